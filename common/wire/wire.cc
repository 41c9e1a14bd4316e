#include "common/wire/wire.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "common/wire/frame_fields.h"
#include "common/wire/option_fields.h"

namespace iperf3_exporter::wire {
namespace {

constexpr std::uint32_t kMagic = 0x69706633;  // "ipf3"

enum class Type : std::uint16_t { kConfigure = 1, kRun = 2, kCancel = 3, kReady = 4, kResult = 5 };

// Behind magic, version and type.
constexpr std::size_t kLengthOffset = 8;

Writer Begin(Type type) {
  Writer out(kMaxFrameBytes);
  out.Put(kMagic);
  out.Put(kVersion);
  out.Put(static_cast<std::uint16_t>(type));
  out.Put(std::uint32_t{0});  // the frame's length, set by End
  return out;
}

Frame End(Writer out) {
  Frame frame = out.Take();
  const auto length = static_cast<std::uint32_t>(frame.size());
  std::memcpy(frame.data() + kLengthOffset, &length, sizeof length);
  return frame;
}

std::int64_t Nanoseconds(Deadline deadline) { return deadline.time_since_epoch().count(); }

Job GetJob(Reader& in) {
  Job job;
  job.id = in.Get<std::uint64_t>("job id");
  job.target = in.GetText("target", kMaxTargetBytes);
  job.address = GetAddress(in, "address");
  job.port = in.GetInRange<std::uint16_t>("port", 1, UINT16_MAX);
  job.test = GetTest(in);
  job.connect_timeout = std::chrono::milliseconds(
      in.GetInRange<std::int64_t>("connect timeout", 1, std::int64_t{kMaxPeriodSeconds} * 1000));
  job.lock_key = in.GetInRange<LockKey>("lock key", kNoLock, kMaxLockKey);
  job.deadline = Deadline(Clock::duration(in.Get<std::int64_t>("deadline")));
  job.lock_deadline = Deadline(Clock::duration(in.Get<std::int64_t>("lock deadline")));
  return job;
}

WorkerConfig GetConfig(Reader& in) {
  WorkerConfig config;
  config.lock_name = in.GetText("lock name", kMaxLockNameBytes);
  config.lock_scope = in.GetEnum("lock scope", LockScope::kNone);
  config.iperf3_path = in.GetText("iperf3 path", kMaxPathBytes);
  config.sandbox = in.GetEnum("sandbox mode", SandboxMode::kDiagnose);
  config.log_level = in.GetInRange<std::uint8_t>("log level", 0, 3);
  config.log_json = in.GetBool("log format");
  config.index = in.Get<std::uint32_t>("index");
  return config;
}

// The version and the error of a worker reach pages: printable ASCII only.
bool IsPrintable(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

WorkerReady GetReady(Reader& in) {
  WorkerReady ready;
  ready.iperf3_version = in.GetText("iperf3 version", kMaxVersionTextBytes);
  in.Require(IsPrintable(ready.iperf3_version), "iperf3 version");
  ready.capabilities = GetCapabilities(in);
  for (LayerStates* states : {&ready.sandbox.worker, &ready.sandbox.iperf3}) {
    for (LayerState& state : *states) {
      state = in.GetEnum("sandbox layer", LayerState::kInForce);
    }
  }
  ready.error = in.GetText("error", kMaxErrorTextBytes);
  in.Require(IsPrintable(ready.error), "error");
  return ready;
}

void PutDirection(Writer& out, const std::optional<DirectionMeasurement>& direction) {
  out.Put(static_cast<std::uint8_t>(direction.has_value()));
  const DirectionMeasurement values = direction.value_or(DirectionMeasurement{});
  for (const DirectionField& field : kDirectionFields) out.PutOptional(values.*field.member);
}

std::optional<DirectionMeasurement> GetDirection(Reader& in, const char* name) {
  const bool present = in.GetBool(name);
  DirectionMeasurement values;
  for (const DirectionField& field : kDirectionFields) {
    values.*field.member = in.GetNumber(name, field.max);
  }
  if (!present) return std::nullopt;
  return values;
}

void PutCpu(Writer& out, const CpuUtilization& cpu) {
  for (const auto& value : {cpu.total, cpu.user, cpu.system}) out.PutOptional(value);
}

CpuUtilization GetCpu(Reader& in, const char* name) {
  CpuUtilization cpu;
  for (auto* value : {&cpu.total, &cpu.user, &cpu.system}) {
    *value = in.GetNumber(name, kMaxCpuRatio);
  }
  return cpu;
}

JobResult GetResult(Reader& in) {
  JobResult result;
  result.job_id = in.Get<std::uint64_t>("job id");
  result.outcome = in.GetEnum("outcome", JobOutcome::kLockGone);
  result.reason = in.GetEnum("reason", FailureReason::kInvalidOption);
  result.measurement.upload = GetDirection(in, "upload");
  result.measurement.download = GetDirection(in, "download");
  result.measurement.local_cpu = GetCpu(in, "local cpu");
  result.measurement.remote_cpu = GetCpu(in, "remote cpu");
  result.measurement.implausible_values = in.Get<std::uint32_t>("implausible values");
  result.period_seconds = in.GetInRange<std::uint32_t>("period", 0, kMaxPeriodSeconds);
  const std::int64_t day_nanoseconds = std::chrono::nanoseconds(std::chrono::hours(48)).count();
  result.lock_wait =
      std::chrono::nanoseconds(in.GetInRange<std::int64_t>("lock wait", 0, day_nanoseconds));
  result.run_time =
      std::chrono::nanoseconds(in.GetInRange<std::int64_t>("run time", 0, day_nanoseconds));
  result.recovered_lock = in.GetBool("recovered lock");
  result.error_text = in.GetText("error text", kMaxErrorTextBytes);
  return result;
}

// The frame's type, its header checked.
Result<Type> ReadHeader(Reader& in, std::size_t frame_bytes) {
  if (in.Get<std::uint32_t>("magic") != kMagic) return MakeError("wrong frame: magic");
  const auto version = in.Get<std::uint16_t>("version");
  if (version != kVersion) {
    return MakeError("wrong frame: version " + std::to_string(version) + ", not " +
                     std::to_string(kVersion));
  }
  const auto type = in.Get<std::uint16_t>("type");
  if (in.Get<std::uint32_t>("length") != frame_bytes || frame_bytes > kMaxFrameBytes) {
    return MakeError("wrong frame: length");
  }
  return static_cast<Type>(type);
}

template <typename Variant, typename Value>
Result<Variant> Checked(Reader& in, Value value) {
  if (const char* wrong = in.Finish()) return MakeError(std::string("wrong frame: ") + wrong);
  return Variant(std::move(value));
}

}  // namespace

Frame Encode(const WorkerConfig& config) {
  Writer out = Begin(Type::kConfigure);
  out.PutText(config.lock_name, kMaxLockNameBytes);
  out.Put(static_cast<std::uint8_t>(config.lock_scope));
  out.PutText(config.iperf3_path, kMaxPathBytes);
  out.Put(static_cast<std::uint8_t>(config.sandbox));
  out.Put(config.log_level);
  out.Put(static_cast<std::uint8_t>(config.log_json));
  out.Put(config.index);
  return End(std::move(out));
}

Frame Encode(const Job& job) {
  Writer out = Begin(Type::kRun);
  out.Put(job.id);
  out.PutText(job.target, kMaxTargetBytes);
  PutAddress(out, job.address);
  out.Put(job.port);
  PutTest(out, job.test);
  out.Put(static_cast<std::int64_t>(job.connect_timeout.count()));
  out.Put(job.lock_key);
  out.Put(Nanoseconds(job.deadline));
  out.Put(Nanoseconds(job.lock_deadline));
  return End(std::move(out));
}

Frame Encode(const Cancel& cancel) {
  Writer out = Begin(Type::kCancel);
  out.Put(cancel.job_id);
  return End(std::move(out));
}

Frame Encode(const WorkerReady& ready) {
  Writer out = Begin(Type::kReady);
  out.PutText(ready.iperf3_version, kMaxVersionTextBytes);
  PutCapabilities(out, ready.capabilities);
  for (const LayerStates* states : {&ready.sandbox.worker, &ready.sandbox.iperf3}) {
    for (const LayerState state : *states) out.Put(static_cast<std::uint8_t>(state));
  }
  out.PutText(ready.error, kMaxErrorTextBytes);
  return End(std::move(out));
}

Frame Encode(const JobResult& result) {
  Writer out = Begin(Type::kResult);
  out.Put(result.job_id);
  out.Put(static_cast<std::uint8_t>(result.outcome));
  out.Put(static_cast<std::uint8_t>(result.reason));
  PutDirection(out, result.measurement.upload);
  PutDirection(out, result.measurement.download);
  PutCpu(out, result.measurement.local_cpu);
  PutCpu(out, result.measurement.remote_cpu);
  out.Put(result.measurement.implausible_values);
  out.Put(result.period_seconds);
  out.Put(static_cast<std::int64_t>(result.lock_wait.count()));
  out.Put(static_cast<std::int64_t>(result.run_time.count()));
  out.Put(static_cast<std::uint8_t>(result.recovered_lock));
  out.PutText(result.error_text, kMaxErrorTextBytes);
  return End(std::move(out));
}

Result<Command> DecodeCommand(Bytes frame) {
  Reader in(frame);
  const auto type = ReadHeader(in, frame.size());
  if (!type) return tl::unexpected(type.error());
  switch (*type) {
    case Type::kConfigure: {
      WorkerConfig config = GetConfig(in);
      return Checked<Command>(in, std::move(config));
    }
    case Type::kRun: {
      Job job = GetJob(in);
      return Checked<Command>(in, std::move(job));
    }
    case Type::kCancel: {
      const Cancel cancel{in.Get<std::uint64_t>("job id")};
      return Checked<Command>(in, cancel);
    }
    default:
      return MakeError("wrong frame: not a command");
  }
}

Result<Event> DecodeEvent(Bytes frame) {
  Reader in(frame);
  const auto type = ReadHeader(in, frame.size());
  if (!type) return tl::unexpected(type.error());
  switch (*type) {
    case Type::kReady: {
      WorkerReady ready = GetReady(in);
      return Checked<Event>(in, std::move(ready));
    }
    case Type::kResult: {
      JobResult result = GetResult(in);
      return Checked<Event>(in, std::move(result));
    }
    default:
      return MakeError("wrong frame: not an event");
  }
}

}  // namespace iperf3_exporter::wire
