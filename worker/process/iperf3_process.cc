#include "worker/process/iperf3_process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "worker/sandbox/diagnosis.h"
#include "worker/sandbox/temporary_directory.h"

namespace iperf3_exporter {
namespace {

// How often a temporary directory without a size limit of its own is checked. In that time iperf3
// can exceed the quota only by a little.
constexpr std::chrono::milliseconds kQuotaInterval{100};

// Watches one running iperf3 until it has ended, and stops it if necessary.
class Watch {
 public:
  Watch(const RunRequest& request, const Iperf3Child& child, DIR* watched, UniqueFd listener)
      : request_(request), child_(child), watched_(watched), listener_(std::move(listener)) {
    fds_[kPidfd] = {child.pidfd(), POLLIN, 0};
    fds_[kCancel] = {request.cancel_fd, POLLIN, 0};
    fds_[kListener] = {listener_.get(), POLLIN, 0};
    if (watched != nullptr) check_quota_at_ = Clock::now() + kQuotaInterval;
  }

  // Reads into both buffers until iperf3 has ended. Returns why it was stopped, if it was.
  std::optional<TestFailure> WaitForEnd(OutputBuffer& output, int output_fd, OutputBuffer& errors,
                                        int errors_fd) {
    fds_[kOutput] = {output_fd, POLLIN, 0};
    fds_[kErrors] = {errors_fd, POLLIN, 0};
    for (;;) {
      // If a signal interrupts poll, `revents` is that of the previous call.
      if (::poll(fds_.data(), fds_.size(), PollMilliseconds(NextTimer())) < 0) continue;
      const bool ended = fds_[kPidfd].revents != 0;
      ReadReady(fds_[kOutput], output, ended);
      ReadReady(fds_[kErrors], errors, ended);
      if (ended) return std::move(failure_);
      if (fds_[kCancel].revents != 0) {
        fds_[kCancel].fd = -1;
        Stop(FailureReason::kCancelled, "the test was cancelled");
      }
      if (fds_[kListener].revents != 0 && !RespondToDeniedCall(listener_.get())) {
        // A call that still waits for an answer fails with ENOSYS.
        fds_[kListener].fd = -1;
        listener_.Reset();
      }
      OnTimer();
    }
  }

 private:
  enum Slot : std::size_t { kPidfd, kCancel, kOutput, kErrors, kListener, kSlots };

  // After the end of iperf3, reads the rest of the pipe. Otherwise reads once, so that both pipes
  // and the cancel are served.
  void ReadReady(pollfd& from, OutputBuffer& to, bool ended) {
    if (from.fd < 0 || (from.revents == 0 && !ended)) return;
    OutputBuffer::Progress progress = OutputBuffer::Progress::kMore;
    std::size_t before = 0;
    do {
      before = to.Text().size();
      progress = to.ReadFrom(from.fd);
    } while (ended && progress == OutputBuffer::Progress::kMore && to.Text().size() != before);
    if (progress == OutputBuffer::Progress::kMore) return;
    from.fd = -1;
    if (progress == OutputBuffer::Progress::kFull) {
      Stop(FailureReason::kOutputTooLarge, "iperf3 printed more than the limit");
    }
  }

  void OnTimer() {
    const Deadline now = Clock::now();
    if (killed_) return;
    if (now >= check_quota_at_) CheckQuota(now);
    if (killed_ || now < StopTimer()) return;
    if (!failure_) {
      Stop(FailureReason::kDeadline, "iperf3 was still running at the deadline");
    } else {
      failure_->detail += ", iperf3 ignored SIGTERM";
      Kill();
    }
  }

  void CheckQuota(Deadline now) {
    check_quota_at_ = now + kQuotaInterval;
    if (!ExceedsQuota(watched_)) return;
    Stop(FailureReason::kOutputTooLarge, "iperf3 wrote more to files than the limit");
    // At once: before SIGTERM takes effect it could write as much again.
    Kill();
  }

  void Kill() {
    child_.Signal(SIGKILL);
    killed_ = true;
  }

  [[nodiscard]] Deadline StopTimer() const { return failure_ ? kill_at_ : request_.terminate_at; }

  [[nodiscard]] Deadline NextTimer() const {
    return killed_ ? Deadline::max() : std::min(check_quota_at_, StopTimer());
  }

  // The first cause counts.
  void Stop(FailureReason reason, const char* detail) {
    if (failure_) return;
    failure_ = TestFailure{reason, detail};
    kill_at_ = std::min(Clock::now() + kTermGrace, request_.kill_at);
    child_.Signal(SIGTERM);
  }

  const RunRequest& request_;
  const Iperf3Child& child_;
  DIR* watched_;
  UniqueFd listener_;
  std::array<pollfd, kSlots> fds_{};
  std::optional<TestFailure> failure_;
  Deadline kill_at_;  // once there is a failure
  Deadline check_quota_at_ = Deadline::max();
  bool killed_ = false;
};

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  UniqueFd read_end;  // non-blocking
  UniqueFd write_end;
};

Result<Pipe> CreatePipe() {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoError("pipe2");
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  if (::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("fcntl");
  return pipe;
}

}  // namespace

Result<Iperf3Process> Iperf3Process::Create(int program_fd, const Iperf3Sandbox* sandbox) {
  auto output = OutputBuffer::Create(kMaxReportBytes);
  if (!output) return tl::unexpected(output.error());
  auto errors = OutputBuffer::Create(kMaxStderrBytes);
  if (!errors) return tl::unexpected(errors.error());
  return Iperf3Process(program_fd, sandbox, std::move(*output), std::move(*errors));
}

Status Iperf3Process::Start(const RunRequest& request) {
  Reset();
  const Deadline started_at = Clock::now();
  auto output = CreatePipe();
  if (!output) return tl::unexpected(output.error());
  auto errors = CreatePipe();
  if (!errors) return tl::unexpected(errors.error());
  const std::vector<char*> argv = Pointers(request.argv);
  const auto job = sandbox_->PrepareJob(request.needs, TimeLeft(request.terminate_at));
  if (!job) return tl::unexpected(job.error());
  std::vector<char*> environment = Pointers(sandbox_->environment());
  std::string password;
  if (request.password != nullptr) {
    password = "IPERF3_PASSWORD=" + *request.password;
    environment.insert(environment.begin(), password.data());
  }
  auto child = Iperf3Child::Spawn({.program_fd = program_fd_,
                                   .argv = argv.data(),
                                   .environment = environment.data(),
                                   .stdout_fd = output->write_end.get(),
                                   .stderr_fd = errors->write_end.get(),
                                   .lease_fd = request.lease_fd,
                                   .sandbox = sandbox_,
                                   .job = &*job});
  ::explicit_bzero(password.data(), password.size());
  if (!child) return tl::unexpected(child.error());
  Result<UniqueFd> listener;
  if (job->listener_receiver) listener = ReceiveListener(job->listener_receiver.get());
  if (!listener) return tl::unexpected(listener.error());
  last_.emplace(Running{request, started_at, std::move(output->read_end),
                        std::move(errors->read_end), std::move(*listener), std::move(*child)});
  return {};
}

RunResult Iperf3Process::Wait() {
  Running& run = *last_;
  Watch watch(run.request, run.child, sandbox_->watched(), std::move(run.seccomp_notify_fd));
  auto failure = watch.WaitForEnd(output_, run.output.get(), errors_, run.errors.get());
  RunResult result;
  result.status = run.child.WaitForEnd();
  result.run_time = Clock::now() - run.started_at;
  if (failure) result.status = tl::unexpected(std::move(*failure));
  return result;
}

void Iperf3Process::Reset() {
  last_.reset();
  output_.Clear();
  errors_.Clear();
}

}  // namespace iperf3_exporter
