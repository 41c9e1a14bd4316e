// A worker with the hazard that its program name says after "rogue_worker_". The tests create a
// link of that name as --worker.path. With "second_" before it only worker 1 misbehaves; the others
// become the real worker.
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
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

constexpr int kExitCannotExecute = 2;

// Targets at which any rogue behaves, never ends the test, ends it on a cancel, or never starts it.
constexpr char kGoodTarget[] = "127.0.0.2";
constexpr char kSilentTarget[] = "127.0.0.3";
constexpr char kGoodAfterCancelTarget[] = "127.0.0.4";
constexpr char kAtLockTarget[] = "127.0.0.5";

// Must be escaped in pages and log lines.
constexpr char kHostileText[] = "\"}\n# x\r\n\x1b[31m\xff<script>";

void Send(const wire::Frame& frame) { (void)SendFrame(kWorkerSocketFd, frame); }

template <typename Message>
void Say(const Message& message) {
  Send(wire::Encode(message));
}

[[noreturn]] void Silence() {
  for (;;) ::pause();
}

wire::Started StartedJob(const Job& job) { return {.job_id = job.id, .period_seconds = 1}; }

wire::Finished GoodEnd(const Job& job) {
  Measurement measurement;
  DirectionMeasurement direction;
  direction.sent_bytes = 1000;
  direction.received_bytes = 1000;
  if (job.test.direction != Direction::kDownload) measurement.upload = direction;
  if (job.test.direction != Direction::kUpload) measurement.download = direction;
  return {job.id, measurement, Traffic{.upload_bytes = 1000, .download_bytes = 1000}};
}

wire::Finished Failed(const Job& job, FailureReason reason, const std::string& detail = {}) {
  return {job.id, tl::unexpected(TestFailure{reason, detail}), Traffic{}};
}

// Changes a valid frame into one that a decoder must refuse.
wire::Frame WithByte(wire::Frame frame, std::size_t offset, int value) {
  frame[offset] = static_cast<std::byte>(value);
  return frame;
}

// With every layer; in mode "weak_second" without seccomp of the second worker's iperf3.
WorkerReady Ready(const std::string& mode, const WorkerConfig& config) {
  WorkerReady ready{.iperf3 = {.version = "3.12"}};
  ready.sandbox.worker.fill(LayerState::kEnabled);
  ready.sandbox.iperf3.fill(LayerState::kEnabled);
  if (mode == "weak_second" && config.known_iperf3) {
    ready.sandbox.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)] = LayerState::kMissing;
  }
  if ((mode == "echo_known" || mode == "cannot_start") && config.known_iperf3) {
    ready.iperf3.version = config.known_iperf3->version + '+';
  }
  if (mode == "ready_hostile_version") ready.iperf3.version = kHostileText;
  return ready;
}

// Holds the job's lock forever, in processes that do not end with this one.
[[noreturn]] void LeaveOrphans(const WorkerConfig& config, const Job& job) {
  static std::unique_ptr<HostLock> host_lock;
  static HeldLock held;
  if (job.lock_key != kNoLock) {
    auto opened = HostLock::Open(config.lock_name, config.lock_scope);
    if (!opened) std::abort();
    host_lock = std::move(*opened);
    held = std::move(host_lock->Acquire(job.lock_key, {}, job.times.kill_at, -1).value());
  }
  // The worker's filter allows this one kind of process.
  // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
  if (::vfork() == 0 && ::fork() == 0) ::setsid();
  Silence();
}

// Ends of a started job that the supervisor must refuse; empty for a mode that has none.
wire::Frame BadEnd(const std::string& mode, const Job& job) {
  wire::Finished end = GoodEnd(job);
  Measurement& measurement = *end.result;
  if (mode == "garbage") return wire::Frame(100, std::byte{0x5a});
  if (mode == "oversize") return wire::Frame(100'000, std::byte{0});
  if (mode == "wrong_version") return WithByte(wire::Encode(end), 4, wire::kVersion + 1);
  if (mode == "ready_again") return wire::Encode(WorkerReady{.iperf3 = {.version = "3.12"}});
  if (mode == "cannot_work_after_all") return wire::Encode(wire::SetUpFailed{"changed my mind"});
  if (mode == "started_twice") return wire::Encode(StartedJob(job));
  if (mode == "not_started_after_all") {
    return wire::Encode(wire::NotStarted{job.id, wire::NotStarted::Reason::kCancelled});
  }
  if (mode == "endless_text") {
    wire::Frame frame = wire::Encode(Failed(job, FailureReason::kServerError));
    frame[frame.size() - kMaxErrorTextBytes - 1] = std::byte{0xff};
    frame[frame.size() - kMaxErrorTextBytes - 2] = std::byte{0xff};
    return frame;
  }
  if (mode == "out_of_range") {
    measurement.upload->lost_ratio = 7;
  } else if (mode == "not_a_number") {
    measurement.upload->sent_bytes = std::numeric_limits<double>::quiet_NaN();
  } else if (mode == "endless_traffic") {
    end.traffic->upload_bytes = kMaxTrafficBytes + 1;
  } else if (mode == "other_job") {
    end.job_id += 1;
  } else if (mode == "other_direction") {
    measurement.download = measurement.upload;
  } else if (mode == "no_direction") {
    measurement.upload.reset();
  } else {
    return {};
  }
  return wire::Encode(end);
}

// First messages about a job that the supervisor must refuse; empty for a mode that has none.
wire::Frame BadStart(const std::string& mode, const Job& job) {
  wire::Started started = StartedJob(job);
  if (mode == "finished_unstarted") return wire::Encode(GoodEnd(job));
  if (mode == "cannot_start") return wire::Encode(Failed(job, FailureReason::kExec, "clone: \x9b"));
  if (mode == "failed_unstarted") return wire::Encode(Failed(job, FailureReason::kServerError));
  if (mode == "other_start") {
    started.job_id += 1;
  } else if (mode == "long_period") {
    started.period_seconds = job.test.period_seconds + 1;
  } else if (mode == "recovered_no_lock") {
    started.recovered_lock = true;
  } else {
    return {};
  }
  return wire::Encode(started);
}

// Valid but false ends.
wire::Finished Lie(const std::string& mode, const Job& job) {
  if (mode == "busy") return Failed(job, FailureReason::kServerBusy);
  if (mode == "cancelled") return Failed(job, FailureReason::kCancelled);
  if (mode == "hostile_text") {
    return Failed(job, FailureReason::kServerError,
                  std::string(kHostileText) + '\0' + std::string(kMaxErrorTextBytes, 'x'));
  }
  return GoodEnd(job);
}

class Rogue {
 public:
  explicit Rogue(std::string mode) : mode_(std::move(mode)) {}

  int Run() {
    wire::Frame frame;
    while (ReceiveFrame(kWorkerSocketFd, frame, false) == ReceiveOutcome::kFrame) {
      const auto command = wire::DecodeCommand(frame);
      if (!command) return 1;
      if (const auto* config = std::get_if<WorkerConfig>(&*command)) {
        config_ = *config;
        SayReady();
      } else if (const auto* job = std::get_if<Job>(&*command)) {
        OnJob(*job);
      } else if (held_back_) {
        Say(*std::exchange(held_back_, std::nullopt));
      }
    }
    return 0;
  }

 private:
  void SayReady() const {
    if (mode_ == "crash_at_start") std::abort();
    if (mode_ == "silent_start") Silence();
    if (mode_ == "stopped_start") static_cast<void>(std::raise(SIGSTOP));
    if (mode_ == "old_version")
      return Send(WithByte(wire::Encode(Ready(mode_, config_)), 4, wire::kVersion + 1));
    if (mode_ == "unasked_result") Say(wire::Finished{});
    if (mode_ == "unasked_start") Say(wire::Started{.period_seconds = 1});
    if (mode_ == "cannot_work") return Say(wire::SetUpFailed{"no such iperf3"});
    if (mode_ == "ready_hostile_error") return Say(wire::SetUpFailed{kHostileText});
    Say(Ready(mode_, config_));
  }

  void OnJob(const Job& job) {
    const wire::Finished good = GoodEnd(job);
    if (job.target == kAtLockTarget) Silence();
    const bool behaves = job.target == kGoodTarget || job.target == kSilentTarget ||
                         job.target == kGoodAfterCancelTarget;
    if (!behaves && (SendBad(BadStart(mode_, job)) || SaysNotStarted(job))) return;
    // A second end of the first job instead of the start of the next.
    if (!behaves && mode_ == "twice_late" && last_) return Say(*last_);
    if (!behaves) MisbehaveAtStart(job);
    Say(StartedJob(job));
    if (job.target == kGoodTarget) return Say(good);
    if (job.target == kSilentTarget) Silence();
    if (job.target == kGoodAfterCancelTarget) {
      held_back_ = good;
      return;
    }
    if (SendBad(BadEnd(mode_, job))) return;
    Misbehave();
    last_ = good;
    Say(Lie(mode_, job));
    if (mode_ == "twice") Say(good);
    if (mode_ == "last_words") std::exit(0);
  }

  static bool SendBad(const wire::Frame& frame) {
    if (frame.empty()) return false;
    Send(frame);
    return true;
  }

  [[nodiscard]] bool SaysNotStarted(const Job& job) const {
    using Reason = wire::NotStarted::Reason;
    if (mode_ == "lock_gone") {
      Say(wire::NotStarted{job.id, Reason::kLockGone});
    } else if (mode_ == "lock_timeout") {
      Say(wire::NotStarted{job.id, Reason::kLockTimeout});
    } else {
      return false;
    }
    return true;
  }

  void MisbehaveAtStart(const Job& job) {
    if (mode_ == "silence_at_lock") Silence();
    if (mode_ == "orphan") LeaveOrphans(config_, job);
  }

  void Misbehave() {
    if (mode_ == "silence") Silence();
    if (mode_ == "close") std::exit(0);
    if (mode_ == "crash") std::abort();
    if (mode_ == "close_and_live") {
      ::close(kWorkerSocketFd);
      Silence();
    }
  }

  std::string mode_;
  WorkerConfig config_;
  std::optional<wire::Finished> held_back_;
  std::optional<wire::Finished> last_;
};

// Only the first worker of an exporter has to inspect iperf3. Does not consume the message: this
// process may become the real worker.
bool IsFirstWorker() {
  wire::Frame frame(wire::kMaxFrameBytes);
  const ssize_t got = ::recv(kWorkerSocketFd, frame.data(), frame.size(), MSG_PEEK);
  if (got <= 0) return true;
  frame.resize(static_cast<std::size_t>(got));
  const auto command = wire::DecodeCommand(frame);
  const auto* config = command ? std::get_if<WorkerConfig>(&*command) : nullptr;
  return config == nullptr || !config->known_iperf3;
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
  if (name.find("second_rogue") != std::string::npos && IsFirstWorker()) return BecomeRealWorker();
  const std::size_t at = name.rfind("rogue_worker_");
  return Rogue(at == std::string::npos ? "good" : name.substr(at + std::strlen("rogue_worker_")))
      .Run();
}
