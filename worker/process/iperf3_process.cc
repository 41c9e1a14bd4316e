#include "worker/process/iperf3_process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "worker/sandbox/diagnosis.h"
#include "worker/sandbox/temporary_folder.h"

namespace iperf3_exporter {
namespace {

// What simdjson may read behind a document (SIMDJSON_PADDING is 32 or 64).
constexpr std::size_t kParserPaddingBytes = 256;

// Between two looks into the folder that has no bound of its own. In that time little more can be
// written than is accepted.
constexpr std::chrono::milliseconds kFolderLook{100};

// Watches one running iperf3 until it has ended, and ends it when it must.
class Watch {
 public:
  Watch(Iperf3Child& child, const RunRequest& request, SupervisorLink* link)
      : child_(child),
        deadline_(request.deadline),
        last_kill_at_(request.deadline + request.grace),
        link_(link),
        job_id_(request.job_id) {
    fds_[kPidfd] = {child.pidfd(), POLLIN, 0};
    fds_[kListener] = {-1, POLLIN, 0};
    fds_[kLink] = {link != nullptr ? link->fd() : -1, POLLIN, 0};
  }

  // Ends iperf3 when this folder (-1: none) holds too much.
  void LookInto(int folder_fd) {
    folder_fd_ = folder_fd;
    if (folder_fd >= 0) look_at_ = Clock::now() + kFolderLook;
  }

  // Takes the listener of a diagnosing sandbox.
  void Diagnose(UniqueFd listener) {
    listener_ = std::move(listener);
    fds_[kListener].fd = listener_.get();
  }

  // Reads into both buffers until iperf3 has ended. Gives why it ended.
  RunEnd WaitForEnd(OutputBuffer& output, int output_fd, OutputBuffer& errors, int errors_fd) {
    fds_[kOutput] = {output_fd, POLLIN, 0};
    fds_[kErrors] = {errors_fd, POLLIN, 0};
    for (;;) {
      // A signal: what it leaves in revents is from the last time.
      if (::poll(fds_.data(), fds_.size(), PollMilliseconds(NextTimer())) < 0) continue;
      const bool ended = fds_[kPidfd].revents != 0;
      ReadReady(fds_[kOutput], output, ended);
      ReadReady(fds_[kErrors], errors, ended);
      if (ended) return end_;
      if (fds_[kLink].revents != 0) OnLink();
      if (fds_[kListener].revents != 0 && !AnswerRefusedCall(listener_.get())) {
        // Whoever still waits for an answer gets ENOSYS.
        fds_[kListener].fd = -1;
        listener_.Reset();
      }
      OnTimer();
    }
  }

 private:
  enum Slot : std::size_t { kPidfd, kLink, kOutput, kErrors, kListener, kSlots };

  // After the end everything that is still in the pipe, otherwise one read at a time: both
  // pipes and the cancel get their turn.
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
    if (progress == OutputBuffer::Progress::kFull) Stop(RunEnd::kOutputTooLarge);
  }

  void OnLink() {
    const JobInterest interest = link_->TryReadInterest(job_id_);
    if (interest == JobInterest::kWanted) return;
    fds_[kLink].fd = -1;
    Stop(interest == JobInterest::kCancelled ? RunEnd::kCancelled : RunEnd::kSupervisorGone);
  }

  void OnTimer() {
    const Deadline now = Clock::now();
    if (killed_) return;
    if (now >= look_at_) OnLook(now);
    if (now < LifeTimer()) return;
    if (end_ == RunEnd::kExited) {
      Stop(RunEnd::kDeadline);
    } else {
      Kill();
    }
  }

  void OnLook(Deadline now) {
    look_at_ = now + kFolderLook;
    if (!HoldsTooMuch(folder_fd_)) return;
    // At once: in its grace it could write as much again.
    Stop(RunEnd::kOutputTooLarge);
    Kill();
  }

  void Kill() {
    child_.Signal(SIGKILL);
    killed_ = true;
  }

  [[nodiscard]] Deadline LifeTimer() const {
    return end_ == RunEnd::kExited ? deadline_ : kill_at_;
  }

  [[nodiscard]] Deadline NextTimer() const {
    return killed_ ? Deadline::max() : std::min(look_at_, LifeTimer());
  }

  // The first reason counts.
  void Stop(RunEnd why) {
    if (end_ != RunEnd::kExited) return;
    end_ = why;
    kill_at_ = std::min(Clock::now() + kTermGrace, last_kill_at_);
    child_.Signal(SIGTERM);
  }

  Iperf3Child& child_;
  Deadline deadline_;
  Deadline last_kill_at_;
  SupervisorLink* link_;
  std::uint64_t job_id_;
  std::array<pollfd, kSlots> fds_{};
  UniqueFd listener_;
  RunEnd end_ = RunEnd::kExited;
  Deadline kill_at_;
  int folder_fd_ = -1;
  Deadline look_at_ = Deadline::max();
  bool killed_ = false;
};

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

RunResult NotStarted(const Error& error) {
  RunResult result;
  result.start_error = error.message;
  return result;
}

}  // namespace

Result<Iperf3Process> Iperf3Process::Create(int program_fd, const Iperf3Sandbox* sandbox,
                                            SupervisorLink* link) {
  auto output = OutputBuffer::Create(kMaxReportBytes, kParserPaddingBytes);
  if (!output) return tl::unexpected(output.error());
  auto errors = OutputBuffer::Create(kMaxStderrBytes, kParserPaddingBytes);
  if (!errors) return tl::unexpected(errors.error());
  return Iperf3Process(program_fd, sandbox, link, std::move(*output), std::move(*errors));
}

Result<Iperf3Process::Pipe> Iperf3Process::CreatePipe() {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoError("pipe2");
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  if (::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("fcntl");
  return pipe;
}

Result<Iperf3Process::Pipes> Iperf3Process::CreatePipes() {
  auto output = CreatePipe();
  if (!output) return tl::unexpected(output.error());
  auto errors = CreatePipe();
  if (!errors) return tl::unexpected(errors.error());
  return Pipes{std::move(*output), std::move(*errors)};
}

Result<Iperf3Process::Started> Iperf3Process::Start(const RunRequest& request) {
  auto pipes = std::exchange(next_pipes_, MakeError("a run without Renew before it"));
  if (!pipes) return tl::unexpected(pipes.error());
  const std::vector<char*> argv = Pointers(*request.argv);
  const std::vector<char*> environment = Pointers(sandbox_->environment());
  auto restrictions =
      sandbox_->PrepareJob(request.port, request.binds_port, TimeLeft(request.deadline));
  if (!restrictions) return tl::unexpected(restrictions.error());
  auto child = Iperf3Child::Spawn({.program_fd = program_fd_,
                                   .argv = argv.data(),
                                   .environment = environment.data(),
                                   .stdout_fd = pipes->output.write_end.get(),
                                   .stderr_fd = pipes->errors.write_end.get(),
                                   .lease_fd = request.lease_fd,
                                   .sandbox = sandbox_,
                                   .restrictions = restrictions->view()});
  if (!child) return tl::unexpected(child.error());
  return Started{std::move(*restrictions), std::move(pipes->output.read_end),
                 std::move(pipes->errors.read_end), std::move(*child)};
}

RunResult Iperf3Process::Run(const RunRequest& request) {
  const Deadline start = Clock::now();
  if (!next_pipes_) Renew();
  auto started = Start(request);
  if (!started) return NotStarted(started.error());
  last_.emplace(std::move(*started));

  RunResult result;
  Watch watch(last_->child, request, link_);
  watch.LookInto(sandbox_->watched_fd());
  if (last_->restrictions.diagnosis) {
    auto listener = ReceiveListener(last_->restrictions.diagnosis.get());
    if (!listener) {
      Renew();
      return NotStarted(listener.error());
    }
    watch.Diagnose(std::move(*listener));
  }
  result.end = watch.WaitForEnd(output_, last_->output.get(), errors_, last_->errors.get());
  result.wait_status = last_->child.WaitForEnd();
  result.run_time = Clock::now() - start;
  return result;
}

void Iperf3Process::Renew() {
  last_.reset();
  output_.Clear();
  errors_.Clear();
  next_pipes_ = CreatePipes();
}

}  // namespace iperf3_exporter
