// A worker that does what its program name says, after "rogue_worker_": one hazard each.
// The tests make a link of that name and give it to the supervisor as --worker.path.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "common/wire/seqpacket.h"
#include "common/wire/wire.h"

namespace iperf3_exporter {
namespace {

constexpr int kSocketFd = 3;

void Send(const wire::Frame& frame) { (void)SendFrame(kSocketFd, frame); }

[[noreturn]] void Silence() {
  for (;;) ::pause();
}

JobResult GoodResult(const Job& job) {
  JobResult result;
  result.job_id = job.id;
  result.outcome = JobOutcome::kSucceeded;
  result.period_seconds = 1;
  DirectionMeasurement direction;
  direction.sent_bytes = 1000;
  direction.received_bytes = 1000;
  if (job.test.direction != Direction::kDownload) result.measurement.upload = direction;
  if (job.test.direction != Direction::kUpload) result.measurement.download = direction;
  return result;
}

// Frames that a decoder must not take, made from a good one.
wire::Frame WithByte(wire::Frame frame, std::size_t offset, int value) {
  frame[offset] = static_cast<std::byte>(value);
  return frame;
}

// Every layer but, with the mode of that name, seccomp of the second worker's iperf3.
WorkerReady Ready(const std::string& mode, std::uint32_t index) {
  WorkerReady ready{.iperf3_version = "3.12"};
  ready.sandbox.worker.fill(LayerState::kInForce);
  ready.sandbox.iperf3.fill(LayerState::kInForce);
  if (mode == "weak_second" && index == 1) {
    ready.sandbox.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)] = LayerState::kMissing;
  }
  return ready;
}

void Answer(const std::string& mode, const Job& job) {
  JobResult result = GoodResult(job);
  if (mode == "garbage") {
    Send(wire::Frame(100, std::byte{0x5a}));
  } else if (mode == "oversize") {
    Send(wire::Frame(100'000, std::byte{0}));
  } else if (mode == "wrong_version") {
    Send(WithByte(wire::Encode(result), 4, wire::kVersion + 1));
  } else if (mode == "out_of_range") {
    result.measurement.upload->lost_ratio = 7;
    Send(wire::Encode(result));
  } else if (mode == "not_a_number") {
    result.measurement.upload->sent_bytes = std::numeric_limits<double>::quiet_NaN();
    Send(wire::Encode(result));
  } else if (mode == "endless_text") {
    wire::Frame frame = wire::Encode(result);
    frame[frame.size() - kMaxErrorTextBytes - 1] = std::byte{0xff};
    frame[frame.size() - kMaxErrorTextBytes - 2] = std::byte{0xff};
    Send(frame);
  } else if (mode == "silence") {
    Silence();
  } else if (mode == "twice") {
    Send(wire::Encode(result));
    Send(wire::Encode(result));
  } else if (mode == "other_job") {
    result.job_id += 1;
    Send(wire::Encode(result));
  } else if (mode == "other_direction") {
    result.measurement.download = result.measurement.upload;
    Send(wire::Encode(result));
  } else if (mode == "hostile_text") {
    result.outcome = JobOutcome::kFailed;
    result.reason = FailureReason::kServerError;
    result.measurement = {};
    result.error_text = std::string("\"}\n# x\r\n\x1b[31m\xff\0<script>", 24);
    Send(wire::Encode(result));
  } else if (mode == "busy" || mode == "lock_gone" || mode == "lock_timeout") {
    result.outcome = mode == "busy"        ? JobOutcome::kFailed
                     : mode == "lock_gone" ? JobOutcome::kLockGone
                                           : JobOutcome::kLockTimeout;
    result.reason = FailureReason::kServerBusy;
    result.measurement = {};
    if (mode != "busy") result.period_seconds = 0;
    Send(wire::Encode(result));
  } else if (mode == "close") {
    std::exit(0);
  } else if (mode == "crash") {
    std::abort();
  } else if (mode == "ready_again") {
    Send(wire::Encode(WorkerReady{.iperf3_version = "3.12"}));
  } else {
    Send(wire::Encode(result));
  }
}

int Main(const std::string& mode) {
  if (mode == "crash_at_start") std::abort();
  if (mode == "silent_start") Silence();
  wire::Frame frame;
  while (ReceiveFrame(kSocketFd, frame, false) == ReceiveOutcome::kFrame) {
    const auto command = wire::DecodeCommand(frame);
    if (!command) return 1;
    if (const auto* config = std::get_if<WorkerConfig>(&*command)) {
      if (mode == "unasked_result") Send(wire::Encode(JobResult{}));
      WorkerReady ready = Ready(mode, config->index);
      if (mode == "cannot_work") ready.error = "no such iperf3";
      Send(wire::Encode(ready));
    } else if (const auto* job = std::get_if<Job>(&*command)) {
      // One target has a good worker, so that the tests see whom a fault touches, and one has a
      // worker that never answers.
      Answer(job->target == "127.0.0.2"   ? "good"
             : job->target == "127.0.0.3" ? "silence"
                                          : mode,
             *job);
    }
  }
  return 0;
}

}  // namespace
}  // namespace iperf3_exporter

int main(int /*argc*/, char** argv) {
  const std::string name = argv[0];
  const std::size_t at = name.rfind("rogue_worker_");
  return iperf3_exporter::Main(
      at == std::string::npos ? "good" : name.substr(at + std::strlen("rogue_worker_")));
}
