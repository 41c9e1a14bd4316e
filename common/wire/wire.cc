#include "common/wire/wire.h"

#include <array>
#include <utility>

#include "common/program_file.h"
#include "common/wire/frame.h"
#include "common/wire/option_fields.h"

namespace iperf3_exporter::wire {
namespace {

constexpr std::array kTimeMembers = {
    &JobTimes::lock_by,    &JobTimes::start_by,     &JobTimes::whole_start_by,
    &JobTimes::cut_end_by, &JobTimes::terminate_at, &JobTimes::kill_at,
};

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
  for (auto member : kTimeMembers) {
    job.times.*member = Deadline(Clock::duration(in.Get<std::int64_t>("time")));
  }
  job.times.bytes_overhead = std::chrono::nanoseconds(in.GetInRange<std::int64_t>(
      "bytes overhead", 0, std::int64_t{kMaxPeriodSeconds} * 1'000'000'000));
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
  const bool knows_iperf3 = in.GetBool("known iperf3");
  Iperf3Description iperf3 = GetIperf3(in);
  if (knows_iperf3) config.known_iperf3 = std::move(iperf3);
  return config;
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
  out.Put(static_cast<std::uint8_t>(config.known_iperf3.has_value()));
  PutIperf3(out, config.known_iperf3.value_or(Iperf3Description{}));
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
  for (auto member : kTimeMembers) {
    out.Put(std::int64_t{(job.times.*member).time_since_epoch().count()});
  }
  out.Put(std::int64_t{job.times.bytes_overhead.count()});
  return End(std::move(out));
}

Frame Encode(const Cancel& /*cancel*/) { return End(Begin(Type::kCancel)); }

Result<Command> DecodeCommand(Bytes frame) {
  Reader in(frame);
  const auto type = ReadHeader(in, frame.size());
  if (!type) return tl::unexpected(type.error());
  switch (*type) {
    case Type::kConfigure:
      return Checked<Command>(in, GetConfig(in));
    case Type::kRun:
      return Checked<Command>(in, GetJob(in));
    case Type::kCancel:
      return Checked<Command>(in, Cancel{});
    default:
      return MakeError("wrong frame: not a command");
  }
}

}  // namespace iperf3_exporter::wire
