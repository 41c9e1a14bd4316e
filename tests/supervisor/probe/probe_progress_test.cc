#include "supervisor/probe/probe_progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "supervisor/probe/probe_timing.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const Deadline kStart{seconds(1000)};
const Deadline kEnd = kStart + seconds(10);

AddressPair PairTo(const char* address) { return {*ParseIpAddress(address), std::nullopt}; }

ProbeProgress ProgressTo(std::vector<AddressPair> candidates, ProbeRequest request = {}) {
  request.module = std::make_shared<const Module>();
  ProbeProgress progress(std::move(request), kStart, kEnd);
  progress.SetCandidates(std::move(candidates));
  return progress;
}

ProbeProgress Progress() { return ProgressTo({PairTo("192.0.2.1")}); }

wire::Finished Ended(TestResult result) { return {1, std::move(result), Traffic{}}; }

TestResult Failed(FailureReason reason) { return tl::unexpected(TestFailure{reason, ""}); }

wire::Started Started(nanoseconds lock_wait = nanoseconds(0)) {
  return {.job_id = 1, .period_seconds = 1, .lock_wait = lock_wait};
}

// iperf3 starts and its test fails.
void EndJob(ProbeProgress& progress, FailureReason reason, Deadline now = kStart) {
  progress.OnStarted(Started(), now);
  progress.OnFinished(Ended(Failed(reason)), now);
}

class ProbeProgressTest : public testing::Test {
 protected:
  // Runs a job at `now` that fails at once.
  void Fail(ProbeProgress& progress, FailureReason reason, Deadline now = kStart) {
    (void)progress.BuildJob(1, now);
    EndJob(progress, reason, now);
  }

  std::optional<nanoseconds> Next(ProbeProgress& progress, std::uint32_t retries,
                                  Deadline now = kStart) {
    return progress.PlanRetry(now, retries, random_);
  }

  std::minstd_rand random_{1};
};

TEST_F(ProbeProgressTest, TriesEachPortOnceWhileTheServerIsBusyOrRefuses) {
  ProbeRequest request;
  request.ports = {5201, 5202, 5203};
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")}, request);
  std::vector<std::uint16_t> tried;
  const auto fail = [&](FailureReason reason, std::uint32_t retries = 0) {
    tried.push_back(progress.BuildJob(1, kStart).port);
    EndJob(progress, reason);
    return Next(progress, retries);
  };
  EXPECT_EQ(fail(FailureReason::kServerBusy), nanoseconds(0));
  EXPECT_EQ(fail(FailureReason::kConnectionRefused), nanoseconds(0));
  // The last port: refused, so the next address; then busy, which is no reason to change it.
  EXPECT_EQ(fail(FailureReason::kConnectionRefused), nanoseconds(0));
  EXPECT_EQ(fail(FailureReason::kServerBusy), nanoseconds(0));
  EXPECT_EQ(fail(FailureReason::kServerBusy), nanoseconds(0));
  EXPECT_EQ(progress.BuildReport(Measurement{}, kStart).port, 5203);
  EXPECT_EQ(fail(FailureReason::kServerBusy), std::nullopt);
  EXPECT_EQ(tried, (std::vector<std::uint16_t>{5201, 5202, 5203, 5201, 5202, 5203}));
  EXPECT_EQ(progress.BuildReport(Measurement{}, kStart).port, 5203);
}

TEST_F(ProbeProgressTest, ARetryStartsWithTheFirstPortAgain) {
  ProbeRequest request;
  request.ports = {5201, 5202};
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1")}, request);
  Fail(progress, FailureReason::kServerBusy);
  EXPECT_EQ(Next(progress, 1), nanoseconds(0));
  Fail(progress, FailureReason::kServerBusy);
  EXPECT_GT(Next(progress, 1), nanoseconds(0));
  EXPECT_EQ(progress.port(), 5201);
}

TEST_F(ProbeProgressTest, TriesNoFurtherPortWithoutTimeForATest) {
  ProbeRequest request;
  request.ports = {5201, 5202};
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")}, request);
  Fail(progress, FailureReason::kConnectionRefused);
  EXPECT_EQ(Next(progress, 9, progress.last_start()), std::nullopt);
}

TEST_F(ProbeProgressTest, EveryTestPresentsTheCredentialsOfTheModule) {
  EXPECT_EQ(Progress().BuildJob(1, kStart).credentials, std::nullopt);
  Module module;
  module.auth.emplace().credentials = {"probe", "kittens", "PEM"};
  ProbeRequest request;
  request.module = std::make_shared<const Module>(module);
  ProbeProgress progress(std::move(request), kStart, kEnd);
  progress.SetCandidates({PairTo("192.0.2.1")});
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_EQ(progress.BuildJob(1, kStart).credentials, module.auth->credentials) << attempt;
    EndJob(progress, FailureReason::kServerBusy);
    ASSERT_TRUE(Next(progress, 1));
  }
}

TEST_F(ProbeProgressTest, AnotherFailureDoesNotChangeThePort) {
  ProbeRequest request;
  request.ports = {5201, 5202};
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1")}, request);
  Fail(progress, FailureReason::kAccessDenied);
  EXPECT_EQ(Next(progress, 1), std::nullopt);
}

TEST_F(ProbeProgressTest, WaitsNoLongerThanTheLockTimeout) {
  ProbeProgress progress = Progress();
  progress.BeginWait(kStart, LockScope::kHost, seconds(2));
  EXPECT_EQ(progress.queue_deadline(), kStart + seconds(2));
  EXPECT_EQ(progress.BuildJob(1, kStart).times.lock_by, kStart + seconds(2));
}

TEST_F(ProbeProgressTest, WaitsOnlyWhileASecondOfTestFits) {
  ProbeRequest request;
  request.test.omit_seconds = 3;
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1")}, request);
  progress.BeginWait(kStart, LockScope::kHost, seconds(80));
  EXPECT_EQ(progress.queue_deadline(), kEnd - seconds(4) - kMinTestOverhead);
  EXPECT_EQ(progress.queue_deadline(), progress.last_start());
}

TEST_F(ProbeProgressTest, TheLockTimeoutCountsOnlyWaiting) {
  ProbeProgress progress = Progress();
  progress.BeginWait(kStart, LockScope::kHost, seconds(2));
  progress.EndWait(kStart + milliseconds(500));
  // A test of three seconds, for which its worker waited 500 ms too, and a pause.
  (void)progress.BuildJob(1, kStart + milliseconds(500));
  progress.OnStarted(Started(milliseconds(500)), kStart + seconds(1));
  progress.OnFinished(Ended(Failed(FailureReason::kServerBusy)), kStart);
  const Deadline again = kStart + seconds(5);
  progress.BeginWait(again, LockScope::kHost, seconds(2));
  EXPECT_EQ(progress.queue_deadline(), again + seconds(1));
  progress.EndWait(again + seconds(1));
  EXPECT_EQ(progress.lock_wait(), seconds(2));
  // Nothing of the budget is left: a free lock may still be acquired.
  progress.BeginWait(again + seconds(2), LockScope::kHost, seconds(2));
  EXPECT_EQ(progress.queue_deadline(), again + seconds(2));
}

TEST_F(ProbeProgressTest, ClampsTheWaitThatAWorkerReports) {
  for (const nanoseconds claimed : {nanoseconds::max(), nanoseconds::min()}) {
    ProbeProgress progress = Progress();
    progress.BeginWait(kStart, LockScope::kHost, seconds(2));
    (void)progress.BuildJob(1, kStart);
    progress.OnStarted(Started(claimed), kStart + milliseconds(100));
    EXPECT_EQ(progress.lock_wait(), claimed.count() > 0 ? milliseconds(100) : milliseconds(0));
  }
}

TEST_F(ProbeProgressTest, RetriesAfterTheLockTimeout) {
  ProbeProgress progress = Progress();
  progress.BeginWait(kStart, LockScope::kHost, milliseconds(1));
  progress.EndWait(kStart);
  Fail(progress, FailureReason::kServerBusy, kStart + seconds(3));
  EXPECT_GT(Next(progress, 1, kStart + seconds(3)), nanoseconds::zero());
}

TEST_F(ProbeProgressTest, ShortensThePauseSoThatTheLastTestFits) {
  ProbeProgress progress = Progress();
  Fail(progress, FailureReason::kConnectionRefused);
  // The pause is 100 to 300 ms.
  EXPECT_EQ(Next(progress, 9, progress.last_start() - milliseconds(121)), milliseconds(101));
  EXPECT_EQ(Next(progress, 9, progress.last_start() - milliseconds(119)), std::nullopt);
  EXPECT_EQ(Next(progress, 9, progress.last_start()), std::nullopt);
}

TEST_F(ProbeProgressTest, RetriesARefusalAsOftenAsAllowed) {
  ProbeProgress progress = Progress();
  for (int retry = 0; retry < 2; ++retry) {
    Fail(progress, FailureReason::kConnectionRefused);
    EXPECT_NE(Next(progress, 2), std::nullopt) << retry;
  }
  Fail(progress, FailureReason::kConnectionRefused);
  EXPECT_EQ(Next(progress, 2), std::nullopt);
}

TEST_F(ProbeProgressTest, TriesABusyServerOnceMoreInAnyCase) {
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")});
  Fail(progress, FailureReason::kConnectionRefused);
  ASSERT_EQ(Next(progress, 0), nanoseconds::zero());
  Fail(progress, FailureReason::kServerBusy);
  const auto pause = Next(progress, 0);
  ASSERT_TRUE(pause);
  EXPECT_GE(*pause, milliseconds(50));
  EXPECT_LE(*pause, milliseconds(100));
  EXPECT_EQ(progress.BuildJob(1, kStart).address, *ParseIpAddress("192.0.2.2"));
  EndJob(progress, FailureReason::kServerBusy);
  EXPECT_EQ(Next(progress, 0), std::nullopt);
}

TEST_F(ProbeProgressTest, RetriesABusyServerUntilNoTestFits) {
  ProbeProgress progress = Progress();
  Deadline now = kStart;
  nanoseconds longest{0};
  int retries = 0;
  for (;; ++retries) {
    Fail(progress, FailureReason::kServerBusy, now);
    const auto pause = Next(progress, 1, now);
    if (!pause) break;
    now += *pause;
    longest = std::max(longest, *pause);
  }
  EXPECT_GT(retries, 4);
  EXPECT_GT(longest, seconds(1));
  EXPECT_LT(now, progress.last_start());
  EXPECT_GT(now, progress.last_start() - milliseconds(120));
}

TEST_F(ProbeProgressTest, RetriesABusyServerAfterTheLastRetryOfARefusal) {
  ProbeProgress progress = Progress();
  Fail(progress, FailureReason::kConnectionRefused);
  ASSERT_TRUE(Next(progress, 1));
  for (int retry = 0; retry < 3; ++retry) {
    Fail(progress, FailureReason::kServerBusy);
    EXPECT_TRUE(Next(progress, 1)) << retry;
  }
  Fail(progress, FailureReason::kConnectionRefused);
  EXPECT_FALSE(Next(progress, 1));
}

TEST_F(ProbeProgressTest, DoesNotRetryWhatWillNotPass) {
  for (const FailureReason reason :
       {FailureReason::kServerError, FailureReason::kConnectTimeout, FailureReason::kNoResponse,
        FailureReason::kDeadline, FailureReason::kWorkerLost, FailureReason::kInvalidOption}) {
    ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")});
    Fail(progress, reason);
    const bool has_next_address =
        reason == FailureReason::kConnectTimeout || reason == FailureReason::kNoResponse;
    EXPECT_EQ(Next(progress, 5).has_value(), has_next_address) << Name(reason);
    if (has_next_address) EndJob(progress, reason);
    EXPECT_EQ(Next(progress, 5), std::nullopt) << Name(reason);
  }
}

TEST_F(ProbeProgressTest, AServerIsAnAddressAndAPort) {
  ProbeRequest other_port;
  other_port.ports = {5202};
  const LockKey key = ProgressTo({PairTo("192.0.2.1")}).HashServer();
  EXPECT_EQ(ProgressTo({PairTo("::ffff:192.0.2.1")}).HashServer(), key);
  EXPECT_NE(ProgressTo({PairTo("192.0.2.2")}).HashServer(), key);
  EXPECT_NE(ProgressTo({PairTo("192.0.2.1")}, other_port).HashServer(), key);
}

TEST_F(ProbeProgressTest, TriesTheNextAddressAtOnceAndRetriesFromTheFirst) {
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")});
  Fail(progress, FailureReason::kConnectionRefused);
  EXPECT_EQ(Next(progress, 1), nanoseconds::zero());
  EXPECT_EQ(progress.BuildJob(1, kStart).address, *ParseIpAddress("192.0.2.2"));
  EndJob(progress, FailureReason::kConnectionRefused);
  EXPECT_GT(Next(progress, 1), nanoseconds::zero());
  EXPECT_EQ(progress.BuildJob(1, kStart).address, *ParseIpAddress("192.0.2.1"));
  EndJob(progress, FailureReason::kServerError);
  EXPECT_EQ(Next(progress, 1), std::nullopt);
  EXPECT_EQ(progress.BuildReport(Measurement{}, kStart).attempts, 3U);
}

TEST_F(ProbeProgressTest, UntriedAddressesShareTheTimeToConnect) {
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")});
  const Deadline now = progress.last_start() - seconds(4);
  EXPECT_EQ(progress.BuildJob(1, now).connect_timeout, seconds(2));
  EndJob(progress, FailureReason::kConnectTimeout, now);
  ASSERT_TRUE(Next(progress, 0, now));
  EXPECT_EQ(progress.BuildJob(1, now).connect_timeout, seconds(4));
}

TEST_F(ProbeProgressTest, LocksTheTargetThatIsTried) {
  ProbeProgress progress = ProgressTo({PairTo("192.0.2.1"), PairTo("192.0.2.2")});
  const auto key_of = [](const char* address) {
    ProbeProgress direct = ProgressTo({PairTo(address)});
    direct.BeginWait(kStart, LockScope::kTarget, seconds(1));
    return direct.lock_key();
  };
  ASSERT_NE(key_of("192.0.2.1"), key_of("192.0.2.2"));
  progress.BeginWait(kStart, LockScope::kTarget, seconds(1));
  EXPECT_EQ(progress.lock_key(), key_of("192.0.2.1"));
  EXPECT_EQ(progress.lock_key(), key_of("::ffff:192.0.2.1"));
  Fail(progress, FailureReason::kConnectionRefused);
  ASSERT_TRUE(Next(progress, 1));
  progress.BeginWait(kStart, LockScope::kTarget, seconds(1));
  EXPECT_EQ(progress.lock_key(), key_of("192.0.2.2"));
  EXPECT_EQ(progress.BuildJob(1, kStart).lock_key, key_of("192.0.2.2"));
  Fail(progress, FailureReason::kConnectionRefused);
  ASSERT_TRUE(Next(progress, 1));
  progress.BeginWait(kStart, LockScope::kTarget, seconds(1));
  EXPECT_EQ(progress.lock_key(), key_of("192.0.2.1"));
}

TEST_F(ProbeProgressTest, BindsAndLocksTheSourceOfTheAddressThatIsTried) {
  const IpAddress v4 = *ParseIpAddress("127.0.0.2");
  const IpAddress v6 = *ParseIpAddress("::1");
  ProbeProgress progress = ProgressTo({{v6, v6}, {*ParseIpAddress("127.0.0.1"), v4}});
  progress.BeginWait(kStart, LockScope::kBind, seconds(1));
  const LockKey first = progress.lock_key();
  EXPECT_EQ(progress.BuildJob(1, kStart).test.bind_address, v6);
  EndJob(progress, FailureReason::kUnreachable);
  ASSERT_TRUE(Next(progress, 0));
  progress.BeginWait(kStart, LockScope::kBind, seconds(1));
  EXPECT_NE(progress.lock_key(), first);
  EXPECT_EQ(progress.BuildJob(1, kStart).test.bind_address, v4);
}

TEST_F(ProbeProgressTest, LocksTheSourceOnItsDevice) {
  const auto key_on = [](const char* device) {
    ProbeRequest request;
    request.test.bind_device = device;
    ProbeProgress progress = ProgressTo({PairTo("127.0.0.1")}, request);
    progress.BeginWait(kStart, LockScope::kBind, seconds(1));
    return progress.lock_key();
  };
  EXPECT_EQ(key_on("lo"), key_on(""));
  EXPECT_NE(key_on("no-such-device"), key_on(""));
}

TEST_F(ProbeProgressTest, CountsTheTestsThatWereTried) {
  ProbeProgress progress = Progress();
  const auto report = [&] { return progress.BuildReport(Measurement{}, kStart); };
  (void)progress.BuildJob(1, kStart);
  progress.OnNotStarted(kStart);
  EXPECT_EQ(report().attempts, 0U);
  EXPECT_EQ(report().test.period_seconds, 0U);
  EXPECT_FALSE(progress.last_failure());
  Fail(progress, FailureReason::kServerBusy);
  EXPECT_EQ(report().attempts, 1U);
  EXPECT_EQ(report().test.period_seconds, 1U);
  // iperf3 may have started just before.
  (void)progress.BuildJob(1, kStart);
  progress.OnFinished(Ended(Failed(FailureReason::kWorkerLost)), kStart);
  EXPECT_EQ(report().attempts, 2U);
  EXPECT_EQ(report().test.period_seconds, 0U);
  EXPECT_EQ(progress.last_failure()->reason, FailureReason::kWorkerLost);
  // A test that was not tried does not replace one that was.
  (void)progress.BuildJob(1, kStart);
  progress.OnNotStarted(kStart);
  EXPECT_EQ(progress.last_failure()->reason, FailureReason::kWorkerLost);
  (void)progress.BuildJob(1, kStart);
  progress.OnStarted(Started(), kStart);
  progress.OnFinished(Ended(Measurement{}), kStart);
  EXPECT_EQ(report().attempts, 3U);
}

// The traffic of a probe whose one test took a second.
std::optional<Traffic> TrafficOf(const std::optional<Traffic>& reported, const TestResult& result) {
  ProbeProgress progress = Progress();
  (void)progress.BuildJob(1, kStart);
  progress.OnStarted(Started(), kStart);
  progress.OnFinished({1, result, reported}, kStart + seconds(1));
  EXPECT_EQ(progress.BuildReport(result, kStart).traffic, progress.traffic());
  return progress.traffic();
}

TEST_F(ProbeProgressTest, AddsUpTheTrafficOfAllTests) {
  ProbeProgress progress = Progress();
  EXPECT_EQ(progress.traffic(), Traffic{});
  const Traffic traffic{.upload_bytes = 1000, .download_bytes = 10};
  for (int i = 0; i < 2; ++i) {
    (void)progress.BuildJob(1, kStart);
    progress.OnFinished({1, Failed(FailureReason::kServerBusy), traffic}, kStart);
  }
  EXPECT_EQ(progress.traffic(), (Traffic{.upload_bytes = 2000, .download_bytes = 20}));
  progress.OnFinished({1, Failed(FailureReason::kWorkerLost), std::nullopt}, kStart);
  EXPECT_EQ(progress.traffic(), std::nullopt);
  progress.OnFinished({1, Failed(FailureReason::kServerBusy), traffic}, kStart);
  EXPECT_EQ(progress.traffic(), std::nullopt);
}

TEST_F(ProbeProgressTest, BoundsTheTrafficThatAWorkerReports) {
  Measurement measurement;
  measurement.upload = DirectionMeasurement{.sent_bytes = 5000, .received_bytes = 9000};
  measurement.download = DirectionMeasurement{.sent_bytes = 9000, .received_bytes = 4000};
  EXPECT_EQ(TrafficOf(Traffic{}, measurement), (Traffic{5000, 4000}));
  EXPECT_EQ(TrafficOf(Traffic{6000, 5000}, measurement), (Traffic{6000, 5000}));
  const Traffic in_one_second{kMaxBytesPerSecond, kMaxBytesPerSecond};
  EXPECT_EQ(TrafficOf(Traffic{kMaxTrafficBytes, kMaxTrafficBytes}, Measurement{}), in_one_second);
  measurement.upload->sent_bytes = measurement.download->received_bytes = kMaxCount;
  EXPECT_EQ(TrafficOf(Traffic{}, measurement), in_one_second);
}

TEST_F(ProbeProgressTest, DoesNotRetryBeyondTheReservationOfABudget) {
  const auto retries = [](bool has_budget, const std::optional<Traffic>& traffic) {
    ProbeRequest request;
    request.target = "h";
    request.has_budget = has_budget;
    request.module = std::make_shared<const Module>();
    ProbeProgress progress(std::move(request), kStart, kStart + seconds(30));
    progress.SetCandidates({PairTo("192.0.2.1"), PairTo("192.0.2.2")});
    (void)progress.BuildJob(1, kStart);
    progress.OnFinished({1, Failed(FailureReason::kNoResponse), traffic}, kStart);
    std::minstd_rand random;
    return progress.PlanRetry(kStart, 0, random).has_value();
  };
  EXPECT_TRUE(retries(true, Traffic{}));
  EXPECT_FALSE(retries(true, Traffic{.upload_bytes = 1}));
  EXPECT_FALSE(retries(true, std::nullopt));
  EXPECT_TRUE(retries(false, std::nullopt));
}

TEST_F(ProbeProgressTest, AFailedWaitForTheLockCounts) {
  ProbeProgress progress = Progress();
  progress.BeginWait(kStart, LockScope::kHost, seconds(2));
  (void)progress.BuildJob(1, kStart);
  progress.OnNotStarted(kStart + milliseconds(300));
  EXPECT_EQ(progress.lock_wait(), milliseconds(300));
}

TEST_F(ProbeProgressTest, CountsItsDurationFromTheRequest) {
  EXPECT_EQ(Progress().BuildReport(Measurement{}, kStart + seconds(2)).duration, seconds(2));
}

// A probe of `period` whose request has `time` from kStart on.
ProbeProgress ProgressWithin(nanoseconds time, std::uint32_t period = 5) {
  ProbeRequest request;
  request.target = "h";
  request.test.period_seconds = period;
  request.module = std::make_shared<const Module>();
  ProbeProgress progress(std::move(request), kStart, kStart + time);
  progress.SetCandidates({PairTo("192.0.2.1")});
  return progress;
}

// Of a probe whose last test began at `began` with `period`.
StoredResult ResultWithin(nanoseconds time, Deadline began, std::uint32_t period,
                          const TestResult& result, std::uint32_t requested = 5) {
  ProbeProgress progress = ProgressWithin(time, requested);
  (void)progress.BuildJob(1, kStart);
  progress.OnStarted({.job_id = 1, .period_seconds = period}, began);
  progress.OnFinished(Ended(result), began);
  return progress.BuildResult(progress.BuildReport(result, kStart + time));
}

TEST_F(ProbeProgressTest, AWaitForAnotherTestCountsAsAWaitForTheLock) {
  ProbeProgress progress = Progress();
  progress.BeginJoin(kStart);
  progress.EndWait(kStart + seconds(2));
  EXPECT_EQ(progress.lock_wait(), seconds(2));
  progress.BeginWait(kStart + seconds(2), LockScope::kHost, seconds(5));
  EXPECT_EQ(progress.queue_deadline(), kStart + seconds(5));
}

TEST_F(ProbeProgressTest, AResultBeganWithTheLastTest) {
  ProbeProgress progress = Progress();
  EXPECT_FALSE(progress.WasTried());
  Fail(progress, FailureReason::kServerBusy, kStart + seconds(1));
  EXPECT_TRUE(progress.WasTried());
  (void)progress.BuildJob(2, kStart + seconds(2));
  progress.OnStarted(Started(), kStart + seconds(3));
  progress.OnFinished(Ended(Measurement{}), kStart);
  const StoredResult result =
      progress.BuildResult(progress.BuildReport(Measurement{}, kStart + seconds(9)));
  EXPECT_EQ(result.began, kStart + seconds(3));
  EXPECT_EQ(result.key, progress.BuildKey());
  EXPECT_EQ(result.report.attempts, 2U);
}

TEST_F(ProbeProgressTest, ATestWhoseIperf3DidNotStartBeganWithItsJob) {
  ProbeProgress progress = Progress();
  (void)progress.BuildJob(1, kStart + seconds(2));
  progress.OnFinished(Ended(Failed(FailureReason::kExec)), kStart);
  const StoredResult result =
      progress.BuildResult(progress.BuildReport(Failed(FailureReason::kExec), kStart + seconds(4)));
  EXPECT_EQ(result.began, kStart + seconds(2));
  EXPECT_TRUE(Progress().Accepts(result, kStart));
}

TEST_F(ProbeProgressTest, AcceptsEveryResultThatNoDeadlineLimited) {
  const ProbeProgress probe = ProgressWithin(seconds(60));
  for (const TestResult& result :
       {TestResult(Measurement{}), Failed(FailureReason::kConnectionRefused),
        Failed(FailureReason::kNoData)}) {
    EXPECT_TRUE(probe.Accepts(ResultWithin(seconds(10), kStart, 5, result), kStart));
  }
}

TEST_F(ProbeProgressTest, AcceptsACutPeriodUnlessItsOwnWouldBeLonger) {
  // 3 s and the overhead of 1.3 s are left.
  const StoredResult cut =
      ResultWithin(milliseconds(9300), kStart + seconds(5), 3, Measurement{}, 20);
  EXPECT_EQ(cut.longest_period_seconds, 3U);
  const ProbeProgress probe = ProgressWithin(seconds(30), 20);
  EXPECT_FALSE(probe.Accepts(cut, kStart));
  EXPECT_FALSE(probe.Accepts(cut, kStart + milliseconds(30'000 - 5'300)));
  EXPECT_TRUE(probe.Accepts(cut, kStart + milliseconds(30'000 - 5'299)));
  EXPECT_TRUE(probe.Accepts(cut, kStart + seconds(30)));
}

TEST_F(ProbeProgressTest, AcceptsATestThatItsDeadlineEndedUnlessItHasMoreTime) {
  const StoredResult ended =
      ResultWithin(milliseconds(9300), kStart, 5, Failed(FailureReason::kDeadline));
  EXPECT_EQ(ended.longest_period_seconds, 8U);
  EXPECT_FALSE(ProgressWithin(milliseconds(10'300)).Accepts(ended, kStart));
  EXPECT_TRUE(ProgressWithin(milliseconds(10'299)).Accepts(ended, kStart));
}

TEST_F(ProbeProgressTest, AdoptsAReportWithTheLabelAndTheDurationOfItsOwnRequest) {
  const StoredResult result = ResultWithin(seconds(10), kStart, 5, Measurement{});
  ProbeRequest request;
  request.target = "[::1]";
  const ProbeReport report =
      ProgressTo({PairTo("::1")}, request).Adopt(result.report, kStart + milliseconds(7));
  EXPECT_EQ(report.target, "[::1]");
  EXPECT_EQ(report.duration, milliseconds(7));
  EXPECT_EQ(report.attempts, 1U);
  EXPECT_EQ(report.test.period_seconds, 5U);
}

}  // namespace
}  // namespace iperf3_exporter
