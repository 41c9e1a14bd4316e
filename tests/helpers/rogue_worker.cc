// A worker that does what its program name says, after "rogue_worker_": one hazard each.
// The tests make a link of that name and give it to the supervisor as --worker.path. Under a name
// with "second_" before that only worker 1 does it; any other becomes the real worker.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "common/lock/host_lock.h"
#include "common/wire/seqpacket.h"
#include "common/wire/wire.h"

namespace iperf3_exporter {
namespace {

constexpr int kSocketFd = 3;
constexpr int kExitCannotExecute = 2;

// Targets by which tests tell any rogue what to do: to behave, to behave when it is told to cancel,
// or never to answer.
constexpr char kGoodTarget[] = "127.0.0.2";
constexpr char kSilentTarget[] = "127.0.0.3";
constexpr char kGoodAfterCancelTarget[] = "127.0.0.4";

// What a page, a log line or a terminal must not get as it is.
constexpr char kHostileText[] = "\"}\n# x\r\n\x1b[31m\xff<script>";

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
  if (mode == "cannot_work") ready.error = "no such iperf3";
  if (mode == "ready_hostile_version") ready.iperf3_version = kHostileText;
  if (mode == "ready_hostile_error") ready.error = kHostileText;
  return ready;
}

// Holds the job's lock for ever, by processes that do not end with this one.
[[noreturn]] void LeaveOrphans(const WorkerConfig& config, const Job& job) {
  static std::unique_ptr<HostLock> host_lock;
  static HeldLock held;
  if (job.lock_key != kNoLock) {
    auto opened = HostLock::Open(config.lock_name, config.lock_scope);
    if (!opened) std::abort();
    host_lock = std::move(*opened);
    held = std::move(host_lock->Acquire(job.lock_key, {}, job.deadline, -1).value());
  }
  // The worker's filter allows this one kind of process.
  // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
  if (::vfork() == 0 && ::fork() == 0) ::setsid();
  Silence();
}

// Frames that no decoder may take; empty for a mode that sends none.
wire::Frame BadFrame(const std::string& mode, JobResult result) {
  if (mode == "garbage") return wire::Frame(100, std::byte{0x5a});
  if (mode == "oversize") return wire::Frame(100'000, std::byte{0});
  if (mode == "wrong_version") return WithByte(wire::Encode(result), 4, wire::kVersion + 1);
  if (mode == "out_of_range") {
    result.measurement.upload->lost_ratio = 7;
  } else if (mode == "not_a_number") {
    result.measurement.upload->sent_bytes = std::numeric_limits<double>::quiet_NaN();
  } else if (mode == "other_job") {
    result.job_id += 1;
  } else if (mode == "other_direction") {
    result.measurement.download = result.measurement.upload;
  } else if (mode == "ready_again") {
    return wire::Encode(WorkerReady{.iperf3_version = "3.12"});
  } else if (mode == "endless_text") {
    wire::Frame frame = wire::Encode(result);
    frame[frame.size() - kMaxErrorTextBytes - 1] = std::byte{0xff};
    frame[frame.size() - kMaxErrorTextBytes - 2] = std::byte{0xff};
    return frame;
  } else {
    return {};
  }
  return wire::Encode(result);
}

// Answers that are in order as frames, but not true.
JobResult Lie(const std::string& mode, JobResult result) {
  JobResult lie;
  lie.job_id = result.job_id;
  if (mode == "lock_gone") {
    lie.outcome = JobOutcome::kLockGone;
  } else if (mode == "lock_timeout") {
    lie.outcome = JobOutcome::kLockTimeout;
  } else if (mode == "busy") {
    lie.reason = FailureReason::kServerBusy;
    lie.period_seconds = result.period_seconds;
  } else if (mode == "hostile_text") {
    lie.reason = FailureReason::kServerError;
    lie.error_text = std::string(kHostileText) + '\0' + std::string(kMaxErrorTextBytes, 'x');
  } else {
    return result;
  }
  return lie;
}

class Rogue {
 public:
  explicit Rogue(std::string mode) : mode_(std::move(mode)) {}

  int Run() {
    wire::Frame frame;
    while (ReceiveFrame(kSocketFd, frame, false) == ReceiveOutcome::kFrame) {
      const auto command = wire::DecodeCommand(frame);
      if (!command) return 1;
      if (const auto* config = std::get_if<WorkerConfig>(&*command)) {
        config_ = *config;
        SayReady();
      } else if (const auto* job = std::get_if<Job>(&*command)) {
        OnJob(*job);
      } else if (held_back_) {
        Send(wire::Encode(*std::exchange(held_back_, std::nullopt)));
      }
    }
    return 0;
  }

 private:
  void SayReady() const {
    if (mode_ == "crash_at_start") std::abort();
    if (mode_ == "silent_start") Silence();
    if (mode_ == "unasked_result") Send(wire::Encode(JobResult{}));
    Send(wire::Encode(Ready(mode_, config_.index)));
  }

  void OnJob(const Job& job) {
    const JobResult good = GoodResult(job);
    if (job.target == kGoodTarget) return Send(wire::Encode(good));
    if (job.target == kSilentTarget) Silence();
    if (job.target == kGoodAfterCancelTarget) {
      held_back_ = good;
      return;
    }
    if (const wire::Frame frame = BadFrame(mode_, good); !frame.empty()) return Send(frame);
    Misbehave(job);
    // Its second answer to the first job, where the one to the next should be.
    if (mode_ == "twice_late" && last_) return Send(wire::Encode(*last_));
    last_ = good;
    Send(wire::Encode(Lie(mode_, good)));
    if (mode_ == "twice") Send(wire::Encode(good));
  }

  void Misbehave(const Job& job) {
    if (mode_ == "silence") Silence();
    if (mode_ == "close") std::exit(0);
    if (mode_ == "crash") std::abort();
    if (mode_ == "orphan") LeaveOrphans(config_, job);
    if (mode_ == "close_and_live") {
      ::close(kSocketFd);
      Silence();
    }
  }

  std::string mode_;
  WorkerConfig config_;
  std::optional<JobResult> held_back_;
  std::optional<JobResult> last_;
};

// The first message stays where it is, for the program that we may become.
std::uint32_t PeekIndex() {
  wire::Frame frame(wire::kMaxFrameBytes);
  const ssize_t got = ::recv(kSocketFd, frame.data(), frame.size(), MSG_PEEK);
  if (got <= 0) return 0;
  frame.resize(static_cast<std::size_t>(got));
  const auto command = wire::DecodeCommand(frame);
  const auto* config = command ? std::get_if<WorkerConfig>(&*command) : nullptr;
  return config == nullptr ? 0 : config->index;
}

int BecomeRealWorker() {
  const std::string path =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "iperf3_exporter_worker";
  ::execl(path.c_str(), path.c_str(), nullptr);
  return kExitCannotExecute;
}

}  // namespace
}  // namespace iperf3_exporter

int main(int /*argc*/, char** argv) {
  using namespace iperf3_exporter;
  const std::string name = argv[0];
  if (name.find("second_rogue") != std::string::npos && PeekIndex() != 1) return BecomeRealWorker();
  const std::size_t at = name.rfind("rogue_worker_");
  return Rogue(at == std::string::npos ? "good" : name.substr(at + std::strlen("rogue_worker_")))
      .Run();
}
