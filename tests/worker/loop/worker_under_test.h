// The real worker program with the test as its supervisor.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/wire/seqpacket.h"
#include "common/wire/wire.h"
#include "supervisor/probe/probe_timing.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {

// A worker's answer to its configuration: ready, or why it can't work.
struct SetUpAnswer : WorkerReady {
  std::string error;
};

// How a job ended: NotStarted; or Started (unless iperf3 could not be executed) and Finished.
struct JobEnd {
  std::optional<wire::Started> started;
  std::optional<wire::NotStarted::Reason> not_started;
  TestResult result = tl::unexpected(TestFailure{});
  std::optional<Traffic> traffic;

  [[nodiscard]] bool Succeeded() const { return result.has_value(); }
  [[nodiscard]] FailureReason reason() const { return result.error().reason; }
  [[nodiscard]] std::string detail() const { return result ? "" : result.error().detail; }
};

class WorkerUnderTest {
 public:
  // What a loaded machine may need, not what is expected.
  static constexpr std::chrono::seconds kWaitLimit{60};
  // Longer than a job with that limit takes, so that its worker reports how it ended.
  static constexpr std::chrono::seconds kEventLimit{90};

  // `prefix`: a command that becomes the worker, such as setpriv with its options.
  explicit WorkerUnderTest(std::vector<std::string> prefix = {}) {
    auto pair = CreateSeqpacketPair().value();
    link_ = std::move(pair.first);
    int log[2] = {-1, -1};
    EXPECT_EQ(::pipe2(log, O_CLOEXEC), 0);
    log_.Reset(log[0]);
    const UniqueFd log_end(log[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, log_end.get(), STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, pair.second.get(), 3);
    prefix.emplace_back(BuiltProgram("iperf3_exporter_worker"));
    std::vector<char*> argv;
    argv.reserve(prefix.size() + 1);
    for (std::string& word : prefix) argv.push_back(word.data());
    argv.push_back(nullptr);
    EXPECT_EQ(::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  WorkerUnderTest(const WorkerUnderTest&) = delete;
  WorkerUnderTest& operator=(const WorkerUnderTest&) = delete;
  ~WorkerUnderTest() {
    link_.Reset();
    if (pid_ > 0) WaitForExit();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int link() const { return link_.get(); }

  template <typename Message>
  void Send(const Message& message) {
    EXPECT_TRUE(SendFrame(link_.get(), wire::Encode(message)));
  }

  SetUpAnswer Configure(const WorkerConfig& config) {
    Send(config);
    const auto event = ReceiveEvent();
    if (!event) return {{}, "no answer"};
    if (const auto* ready = std::get_if<WorkerReady>(&*event)) return {*ready, ""};
    if (const auto* failed = std::get_if<wire::SetUpFailed>(&*event)) return {{}, failed->message};
    return {{}, "another answer"};
  }

  JobEnd Run(const Job& job) {
    Send(job);
    return AwaitEnd();
  }

  // The end of the current job.
  JobEnd AwaitEnd() {
    JobEnd end;
    for (;;) {
      const auto event = ReceiveEvent();
      if (!event) {
        ADD_FAILURE() << "the worker does not report the end of the job";
        return end;
      }
      if (const auto* started = std::get_if<wire::Started>(&*event)) {
        EXPECT_FALSE(end.started);
        end.started = *started;
      } else if (const auto* not_started = std::get_if<wire::NotStarted>(&*event)) {
        EXPECT_FALSE(end.started);
        end.not_started = not_started->reason;
        return end;
      } else if (const auto* finished = std::get_if<wire::Finished>(&*event)) {
        end.result = finished->result;
        end.traffic = finished->traffic;
        return end;
      }
    }
  }

  // nullopt: the socket was closed.
  std::optional<wire::Event> ReceiveEvent() {
    pollfd readable = {link_.get(), POLLIN, 0};
    ::poll(&readable, 1, PollMilliseconds(Clock::now() + kEventLimit));
    wire::Frame frame;
    const ReceiveOutcome outcome = ReceiveFrame(link_.get(), frame, true);
    if (outcome == ReceiveOutcome::kWouldBlock) ADD_FAILURE() << "the worker is silent";
    if (outcome != ReceiveOutcome::kFrame) return std::nullopt;
    auto event = wire::DecodeEvent(frame);
    if (!event) return std::nullopt;
    return std::move(*event);
  }

  // The running iperf3 of the worker, which is that program; -1: it does not appear.
  [[nodiscard]] pid_t FindIperf3(const std::filesystem::path& program) const {
    const std::string worker = std::to_string(pid_);
    const std::string children = "/proc/" + worker + "/task/" + worker + "/children";
    const Deadline deadline = Clock::now() + kWaitLimit;
    for (; Clock::now() < deadline; ::poll(nullptr, 0, 1)) {
      pid_t pid = -1;
      if (!(std::ifstream(children) >> pid)) continue;
      const std::string process = "/proc/" + std::to_string(pid);
      std::error_code error;
      if (std::filesystem::read_symlink(process + "/exe", error) != program) continue;
      // The environment is the last thing that an exec makes.
      if (std::ifstream(process + "/environ").get() != EOF) return pid;
    }
    ADD_FAILURE() << "no iperf3 appears";
    return -1;
  }

  void CloseLink() { link_.Reset(); }
  void Kill(int signal_number) const { ::kill(pid_, signal_number); }

  // The wait status of the worker, which must be about to exit.
  int WaitForExit() {
    int status = 0;
    const Deadline deadline = Clock::now() + kWaitLimit;
    pid_t done = 0;
    while ((done = ::waitpid(pid_, &status, WNOHANG)) == 0 && Clock::now() < deadline) {
      ::poll(nullptr, 0, 5);
    }
    if (done == 0) {
      ADD_FAILURE() << "the worker does not exit";
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
    }
    pid_ = -1;
    return status;
  }

  // Everything that the worker has logged, once it has exited.
  std::string Log() {
    std::string text;
    char block[4096];
    for (ssize_t got = 0; (got = ::read(log_.get(), block, sizeof block)) > 0;) {
      text.append(block, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd link_;
  UniqueFd log_;
};

}  // namespace iperf3_exporter
