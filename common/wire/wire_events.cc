#include <algorithm>
#include <utility>

#include "common/text.h"
#include "common/wire/frame.h"
#include "common/wire/option_fields.h"
#include "common/wire/wire.h"

namespace iperf3_exporter::wire {
namespace {

WorkerReady GetReady(Reader& in) {
  WorkerReady ready;
  ready.iperf3 = GetIperf3(in);
  for (LayerStates* states : {&ready.sandbox.worker, &ready.sandbox.iperf3}) {
    for (LayerState& state : *states) {
      state = in.GetEnum("sandbox layer", LayerState::kEnabled);
    }
  }
  return ready;
}

SetUpFailed GetSetUpFailed(Reader& in) {
  SetUpFailed failed{in.GetText("why", kMaxErrorTextBytes)};
  in.Require(std::ranges::all_of(failed.why, IsPrintable), "why");  // pages show it
  return failed;
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

Started GetStarted(Reader& in) {
  constexpr std::int64_t kMaxWait = std::chrono::nanoseconds(std::chrono::hours(48)).count();
  Started started;
  started.job_id = in.Get<std::uint64_t>("job id");
  started.period_seconds = in.GetInRange<std::uint32_t>("period", 1, kMaxPeriodSeconds);
  started.lock_wait =
      std::chrono::nanoseconds(in.GetInRange<std::int64_t>("lock wait", 0, kMaxWait));
  started.recovered_lock = in.GetBool("recovered lock");
  return started;
}

Finished GetMeasured(Reader& in) {
  const auto job_id = in.Get<std::uint64_t>("job id");
  Measurement measurement;
  measurement.upload = GetDirection(in, "upload");
  measurement.download = GetDirection(in, "download");
  measurement.local_cpu = GetCpu(in, "local cpu");
  measurement.remote_cpu = GetCpu(in, "remote cpu");
  measurement.implausible_values = in.Get<std::uint32_t>("implausible values");
  return {job_id, measurement};
}

Finished GetFailed(Reader& in) {
  const auto job_id = in.Get<std::uint64_t>("job id");
  TestFailure failure;
  failure.reason = in.GetEnum("reason", kLastFailureReason);
  failure.detail = in.GetText("detail", kMaxErrorTextBytes);
  return {job_id, tl::unexpected(std::move(failure))};
}

NotStarted GetNotStarted(Reader& in) {
  NotStarted not_started;
  not_started.job_id = in.Get<std::uint64_t>("job id");
  not_started.why = in.GetEnum("why", NotStarted::Why::kNoTime);
  return not_started;
}

Frame EncodeMeasured(std::uint64_t job_id, const Measurement& measurement) {
  Writer out = Begin(Type::kMeasured);
  out.Put(job_id);
  PutDirection(out, measurement.upload);
  PutDirection(out, measurement.download);
  PutCpu(out, measurement.local_cpu);
  PutCpu(out, measurement.remote_cpu);
  out.Put(measurement.implausible_values);
  return End(std::move(out));
}

Frame EncodeFailed(std::uint64_t job_id, const TestFailure& failure) {
  Writer out = Begin(Type::kFailed);
  out.Put(job_id);
  out.Put(static_cast<std::uint8_t>(failure.reason));
  out.PutText(failure.detail, kMaxErrorTextBytes);
  return End(std::move(out));
}

}  // namespace

Frame Encode(const WorkerReady& ready) {
  Writer out = Begin(Type::kReady);
  PutIperf3(out, ready.iperf3);
  for (const LayerStates* states : {&ready.sandbox.worker, &ready.sandbox.iperf3}) {
    for (const LayerState state : *states) out.Put(static_cast<std::uint8_t>(state));
  }
  return End(std::move(out));
}

Frame Encode(const SetUpFailed& failed) {
  Writer out = Begin(Type::kSetUpFailed);
  out.PutText(failed.why, kMaxErrorTextBytes);
  return End(std::move(out));
}

Frame Encode(const Started& started) {
  Writer out = Begin(Type::kStarted);
  out.Put(started.job_id);
  out.Put(started.period_seconds);
  out.Put(static_cast<std::int64_t>(started.lock_wait.count()));
  out.Put(static_cast<std::uint8_t>(started.recovered_lock));
  return End(std::move(out));
}

Frame Encode(const Finished& finished) {
  return finished.result ? EncodeMeasured(finished.job_id, *finished.result)
                         : EncodeFailed(finished.job_id, finished.result.error());
}

Frame Encode(const NotStarted& not_started) {
  Writer out = Begin(Type::kNotStarted);
  out.Put(not_started.job_id);
  out.Put(static_cast<std::uint8_t>(not_started.why));
  return End(std::move(out));
}

Result<Event> DecodeEvent(Bytes frame) {
  Reader in(frame);
  const auto type = ReadHeader(in, frame.size());
  if (!type) return tl::unexpected(type.error());
  switch (*type) {
    case Type::kReady:
      return Checked<Event>(in, GetReady(in));
    case Type::kSetUpFailed:
      return Checked<Event>(in, GetSetUpFailed(in));
    case Type::kStarted:
      return Checked<Event>(in, GetStarted(in));
    case Type::kMeasured:
      return Checked<Event>(in, GetMeasured(in));
    case Type::kFailed:
      return Checked<Event>(in, GetFailed(in));
    case Type::kNotStarted:
      return Checked<Event>(in, GetNotStarted(in));
    default:
      return MakeError("wrong frame: not an event");
  }
}

}  // namespace iperf3_exporter::wire
