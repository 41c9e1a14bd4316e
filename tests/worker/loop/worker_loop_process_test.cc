// The worker program against the fake iperf3, and once against the real one.
#include "worker/loop/worker_loop.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/lock/record_lock.h"
#include "tests/emulation.h"
#include "tests/worker/loop/worker_loop_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Reason = wire::NotStarted::Reason;

class WorkerLoopTest : public WorkerLoopFixture {};

TEST_F(WorkerLoopTest, DescribesItsIperf3) {
  WorkerUnderTest worker;
  const SetUpAnswer ready = worker.Configure(config_);
  EXPECT_EQ(ready.error, "");
  EXPECT_EQ(ready.iperf3.version, "3.12");
  EXPECT_TRUE(ready.iperf3.capabilities.connect_timeout);
}

// The description from another worker is used if it is of the same file.
TEST_F(WorkerLoopTest, InspectsIperf3OnlyIfUnknownOrChanged) {
  const std::string program = "/tmp/worker_loop_test." + std::to_string(::getpid());
  std::filesystem::copy_file(config_.iperf3_path, program);
  config_.iperf3_path = program;
  SetUpAnswer first;
  {
    WorkerUnderTest worker;
    first = worker.Configure(config_);
  }
  ASSERT_EQ(first.iperf3.version, "3.12");
  config_.known_iperf3 = first.iperf3;
  config_.known_iperf3->version = "3.99";
  {
    WorkerUnderTest worker;
    EXPECT_EQ(worker.Configure(config_).iperf3.version, "3.99") << "it asks iperf3 again";
  }
  // As an upgrade does, with a file of the same length.
  std::filesystem::copy_file(program, program + ".new");
  std::filesystem::rename(program + ".new", program);
  {
    WorkerUnderTest worker;
    const SetUpAnswer answer = worker.Configure(config_);
    EXPECT_EQ(answer.iperf3.version, "3.12") << "it believes what is not of this file";
    EXPECT_NE(answer.iperf3.program, first.iperf3.program);
  }
  std::filesystem::remove(program);
}

TEST_F(WorkerLoopTest, ReturnsTheReasonOfEachFailure) {
  struct Case {
    const char* mode;
    FailureReason reason;
  };
  constexpr Case kCases[] = {
      {"refuse", FailureReason::kConnectionRefused},
      {"truncate", FailureReason::kBadOutput},
      {"silent", FailureReason::kBadOutput},
      {"flood", FailureReason::kOutputTooLarge},
      {"segv", FailureReason::kKilled},
      {"fail", FailureReason::kConnectionRefused},
  };
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  for (const Case& expected : kCases) {
    const JobEnd end = worker.Run(MakeJob(expected.mode));
    ASSERT_TRUE(end.started);
    EXPECT_EQ(end.started->job_id, last_id_);
    EXPECT_EQ(end.started->period_seconds, 1U);
    ASSERT_FALSE(end.Succeeded()) << expected.mode;
    EXPECT_EQ(end.reason(), expected.reason) << expected.mode;
  }
  const JobEnd good = worker.Run(MakeJob("ok"));
  ASSERT_TRUE(good.Succeeded());
  ASSERT_TRUE(good.result->upload);
  EXPECT_EQ(good.result->upload->received_bytes, 900000);
}

TEST_F(WorkerLoopTest, ReportsTheTrafficOfEveryTest) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  const Traffic traffic = EstimateTraffic({}, false, {.bytes = 1'000'000, .retransmits = 3}, {});
  EXPECT_EQ(worker.Run(MakeJob("ok")).traffic, traffic);
  EXPECT_EQ(worker.Run(MakeJob("refuse")).traffic, Traffic{});
  EXPECT_EQ(worker.Run(MakeJob("truncate")).traffic, std::nullopt);
  EXPECT_EQ(worker.Run(MakeJob("segv")).traffic, std::nullopt);
  // At the deadline and on a cancel, it prints what it has done.
  const JobEnd late = worker.Run(MakeJob("late-report", milliseconds(2500)));
  EXPECT_EQ(late.reason(), FailureReason::kDeadline);
  EXPECT_EQ(late.traffic, traffic);
  worker.Send(MakeJob("late-report"));
  ASSERT_TRUE(std::holds_alternative<wire::Started>(worker.ReceiveEvent().value()));
  worker.Send(wire::Cancel{});
  const auto end = worker.ReceiveEvent();
  ASSERT_TRUE(end && std::holds_alternative<wire::Finished>(*end));
  EXPECT_EQ(std::get<wire::Finished>(*end).result.error().reason, FailureReason::kCancelled);
  // Perhaps iperf3 was not ready for SIGTERM yet.
  const auto& cancelled = std::get<wire::Finished>(*end).traffic;
  EXPECT_TRUE(cancelled == std::nullopt || cancelled == traffic);
}

TEST_F(WorkerLoopTest, LeavesTheServerItsPause) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("ok");
  job.times.not_before = Clock::now() + milliseconds(300);
  EXPECT_TRUE(worker.Run(job).Succeeded());
  EXPECT_GE(Clock::now(), job.times.not_before);
}

TEST_F(WorkerLoopTest, CancelEndsTheServersPause) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("ok");
  job.lock_key = kNoLock;
  job.times.not_before = Clock::now() + WorkerUnderTest::kWaitLimit;
  worker.Send(job);
  worker.Send(wire::Cancel{});
  EXPECT_EQ(worker.AwaitEnd().not_started, Reason::kCancelled);
}

TEST_F(WorkerLoopTest, TerminatesTheTestAtTheDeadline) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  const JobEnd end = worker.Run(MakeJob("hang", milliseconds(2500)));
  ASSERT_FALSE(end.Succeeded());
  EXPECT_EQ(end.reason(), FailureReason::kDeadline);
  const JobEnd next = worker.Run(MakeJob("ok"));
  EXPECT_TRUE(next.Succeeded());
  ASSERT_TRUE(next.started);
  EXPECT_FALSE(next.started->recovered_lock);
}

// Long before the deadline, but not before the omitted second and the period are over.
TEST_F(WorkerLoopTest, TerminatesATestThatExceedsItsOverhead) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("hang");
  job.test.omit_seconds = 1;
  job.times.max_overhead = {};
  const Deadline began = Clock::now();
  EXPECT_EQ(worker.Run(job).reason(), FailureReason::kDeadline);
  EXPECT_GE(Clock::now() - began, seconds(2));
  EXPECT_LT(Clock::now(), job.times.start_by);
}

TEST_F(WorkerLoopTest, AnswersWithinTheDeadlineIfIperf3IgnoresSigterm) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  const Deadline deadline = Clock::now() + milliseconds(2500);
  const JobEnd end = worker.Run(MakeJob("ignore-term", TimeLeft(deadline)));
  EXPECT_TRUE(IsEmulated() || Clock::now() <= deadline);
  EXPECT_EQ(end.reason(), FailureReason::kDeadline);
}

TEST_F(WorkerLoopTest, StartsNothingIfLessThanASecondIsLeft) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  EXPECT_EQ(worker.Run(MakeJob("ok", milliseconds(1200))).not_started, Reason::kNoTime);
}

TEST_F(WorkerLoopTest, CancelReleasesEverything) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  const Job job = MakeJob("ignore-term");
  worker.Send(job);
  worker.Send(wire::Cancel{});
  EXPECT_EQ(worker.AwaitEnd().reason(), FailureReason::kCancelled);
  worker.Send(wire::Cancel{});  // late: ignored
  EXPECT_TRUE(worker.Run(MakeJob("ok")).Succeeded());
}

TEST_F(WorkerLoopTest, WaitsForTheLockWithinItsBudget) {
  WorkerUnderTest holder;
  WorkerUnderTest waiter;
  ASSERT_EQ(holder.Configure(config_).error, "");
  ASSERT_EQ(waiter.Configure(config_).error, "");
  const Job held = MakeJob("hang");
  holder.Send(held);
  // The holder has the lock when the waiter no longer gets it.
  Job waiting = MakeJob("ok");
  JobEnd end;
  Deadline began;
  do {
    began = Clock::now();
    waiting.times.lock_by = began + milliseconds(100);
    end = waiter.Run(waiting);
  } while (end.Succeeded());
  EXPECT_EQ(end.not_started, Reason::kLockTimeout);
  EXPECT_GE(Clock::now() - began, milliseconds(90));

  waiter.Send(MakeJob("ok"));
  waiter.Send(wire::Cancel{});
  EXPECT_EQ(waiter.AwaitEnd().not_started, Reason::kCancelled);

  waiter.Send(MakeJob("ok"));
  holder.Send(wire::Cancel{});
  end = waiter.AwaitEnd();
  EXPECT_TRUE(end.Succeeded());
  ASSERT_TRUE(end.started);
  EXPECT_GT(end.started->lock_wait, seconds(0));
}

TEST_F(WorkerLoopTest, KilledWorkerReleasesTheLock) {
  WorkerUnderTest victim;
  ASSERT_EQ(victim.Configure(config_).error, "");
  victim.Send(MakeJob("ignore-term"));
  WorkerUnderTest next;
  ASSERT_EQ(next.Configure(config_).error, "");
  Job probe = MakeJob("ok");
  do {
    probe.times.lock_by = Clock::now() + milliseconds(100);
  } while (next.Run(probe).Succeeded());
  victim.Kill(SIGKILL);
  const JobEnd end = next.Run(MakeJob("ok"));
  EXPECT_TRUE(end.Succeeded());
  ASSERT_TRUE(end.started);
  EXPECT_TRUE(end.started->recovered_lock);
}

// Mutual exclusion with an iperf3 that briefly outlives its worker depends on it.
TEST_F(WorkerLoopTest, Iperf3KeepsTheLeaseAsItsLowestDescriptor) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to see iperf3's descriptors";
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  const Job job = MakeJob("hang");
  worker.Send(job);
  const std::string fds = "/proc/" + std::to_string(FindIperf3(worker)) + "/fd";
  const std::string path = LockFilePath(LockFile::kLock, config_.lock_name, config_.lock_scope);
  std::vector<std::string> leases;
  for (const auto& fd : std::filesystem::directory_iterator(fds)) {
    std::error_code error;
    if (std::filesystem::read_symlink(fd, error) == path) leases.push_back(fd.path().filename());
  }
  EXPECT_EQ(leases, std::vector<std::string>{"0"});
  const auto lock = OpenLockFile(LockFile::kLock, config_.lock_name, config_.lock_scope, O_RDONLY);
  ASSERT_TRUE(lock);
  EXPECT_TRUE(IsLocked(lock->get(), OffsetOf(LockRole::kLease, job.lock_key)));
  worker.Send(wire::Cancel{});
  EXPECT_EQ(worker.AwaitEnd().reason(), FailureReason::kCancelled);
  EXPECT_FALSE(IsLocked(lock->get(), OffsetOf(LockRole::kLease, job.lock_key)));
}

// iperf3 handles each of them by telling its server. It would inherit ignored signals.
TEST_F(WorkerLoopTest, RestoresDefaultSignalsForIperf3) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  const Job job = MakeJob("hang");
  worker.Send(job);
  std::ifstream status("/proc/" + std::to_string(FindIperf3(worker)) + "/status");
  std::string ignored;
  for (std::string word; status >> word && word != "SigIgn:";) {
  }
  status >> ignored;
  ASSERT_NE(ignored, "");
  const std::uint64_t mask = std::stoull(ignored, nullptr, 16);
  for (const int signal_number : {SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGCONT}) {
    EXPECT_EQ(mask >> (signal_number - 1) & 1, 0U) << signal_number;
  }
  worker.Send(wire::Cancel{});
  EXPECT_EQ(worker.AwaitEnd().reason(), FailureReason::kCancelled);
}

// On a free port of loopback, which it stores in `address`.
UniqueFd Listen(int backlog, sockaddr_in& address) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener.get(), name, size), 0);
  EXPECT_EQ(::listen(listener.get(), backlog), 0);
  EXPECT_EQ(::getsockname(listener.get(), name, &size), 0);
  return listener;
}

// The peer accepts and says nothing: --connect-timeout does not cover that.
TEST_F(WorkerLoopTest, RealIperf3IsTerminatedAtTheDeadlineIfThePeerIsSilent) {
  sockaddr_in address = {};
  const UniqueFd listener = Listen(8, address);

  config_.iperf3_path = "/usr/bin/iperf3";
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("", seconds(5));
  job.port = ntohs(address.sin_port);
  EXPECT_EQ(worker.Run(job).reason(), FailureReason::kNoResponse);
}

// The wait for the lock has used up the time for connecting; the host does not answer.
TEST_F(WorkerLoopTest, RealIperf3StopsConnectingBeforeItIsTerminated) {
  if (IsEmulated()) GTEST_SKIP() << "iperf3 may need more than the second that it has to start";
  sockaddr_in address = {};
  const UniqueFd listener = Listen(0, address);
  // With its queue full the kernel drops every SYN.
  std::vector<UniqueFd> queued;
  for (int i = 0; i < 4; ++i) {
    queued.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)::connect(queued.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  }

  config_.iperf3_path = "/usr/bin/iperf3";
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("", seconds(5));
  job.port = ntohs(address.sin_port);
  job.connect_timeout = seconds(60);
  EXPECT_EQ(worker.Run(job).reason(), FailureReason::kConnectTimeout);
  Job bytes = MakeJob("", seconds(60));
  bytes.port = job.port;
  bytes.connect_timeout = seconds(60);
  bytes.test.bytes = 1;
  bytes.times.max_overhead = seconds(2);
  EXPECT_EQ(worker.Run(bytes).reason(), FailureReason::kConnectTimeout);
  // One of many addresses.
  job = MakeJob("", seconds(60));
  job.port = bytes.port;
  job.connect_timeout = milliseconds(100);
  EXPECT_EQ(worker.Run(job).reason(), FailureReason::kConnectTimeout);
  // Too little time to know anything about the host.
  job = MakeJob("", seconds(60));
  job.port = bytes.port;
  job.connect_timeout = seconds(60);
  job.times.terminate_at = Clock::now() + seconds(1);
  EXPECT_EQ(worker.Run(job).reason(), FailureReason::kDeadline);
}

TEST_F(WorkerLoopTest, RealIperf3ReportsConnectionRefused) {
  config_.iperf3_path = "/usr/bin/iperf3";
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("");
  job.port = 1;
  EXPECT_EQ(worker.Run(job).reason(), FailureReason::kConnectionRefused);
}

}  // namespace
}  // namespace iperf3_exporter
