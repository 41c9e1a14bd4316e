#include "supervisor/exposition/exporter_metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "common/build_info.h"
#include "common/unique_fd.h"
#include "tests/supervisor/exposition/exposition_samples.h"

namespace {

bool fail_next_allocation = false;

}  // namespace

// Replace the allocation functions of this program. Not inlined: GCC 12 would take the malloc and
// the free for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (std::exchange(fail_next_allocation, false)) throw std::bad_alloc();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

std::string Page(ExporterMetrics& metrics, ExpositionFormat format = ExpositionFormat::kText) {
  return **metrics.Page(format, SampleState(), SampleHttp());
}

// The value of the sample named so, labels included; empty when the page does not have it.
std::string Value(const std::string& page, const std::string& sample) {
  const std::size_t at = ('\n' + page).find('\n' + sample + ' ');
  if (at == std::string::npos) return "";
  const std::size_t begin = at + sample.size() + 1;
  return page.substr(begin, page.find('\n', begin) - begin);
}

ProbeReport Success(std::chrono::nanoseconds duration, std::uint32_t implausible_values = 0) {
  ProbeReport report;
  report.duration = duration;
  report.result->implausible_values = implausible_values;
  return report;
}

ProbeReport Failure(FailureReason reason, std::chrono::nanoseconds duration) {
  ProbeReport report;
  report.duration = duration;
  report.result = tl::unexpected(TestFailure{reason, ""});
  return report;
}

TEST(ExporterMetricsTest, ExportsEverySeriesFromTheStart) {
  ExporterMetrics metrics;
  const std::string page = Page(metrics);
  EXPECT_EQ(Value(page, "iperf3_exporter_duration_seconds_count"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_duration_seconds_sum"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_errors_total"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_lock_timeouts_total"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_lock_recoveries_total"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_implausible_values_total"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_lock_wait_seconds_bucket{le=\"+Inf\"}"), "0");
  std::vector<std::string_view> results(kRefusalReasonNames.begin(), kRefusalReasonNames.end());
  results.insert(results.end(), {"success", "failure", "cancelled"});
  for (const std::string_view result : results) {
    EXPECT_EQ(Value(page, "iperf3_exporter_probes_total{result=\"" + std::string(result) + "\"}"),
              "0");
  }
  for (const std::string_view reason : kFailureReasonNames) {
    EXPECT_EQ(
        Value(page, "iperf3_exporter_probe_failures_total{reason=\"" + std::string(reason) + "\"}"),
        "0");
  }
  for (const std::string_view reason : kWorkerRestartNames) {
    EXPECT_EQ(Value(page, "iperf3_exporter_worker_restarts_total{reason=\"" + std::string(reason) +
                              "\"}"),
              "0");
  }
  EXPECT_THAT(page,
              HasSubstr("iperf3_exporter_build_info{build_type=\"" + std::string(kBuildType) +
                        "\",revision=\"" + kRevision + "\",version=\"" + kVersion + "\"} 1\n"));
  EXPECT_THAT(page, Not(HasSubstr("iperf3_exporter_iperf3_info")));
}

TEST(ExporterMetricsTest, CountsEvents) {
  ExporterMetrics metrics;
  Page(metrics);
  metrics.OnReport(Success(milliseconds(1500), 3));
  metrics.OnCancelled(milliseconds(500));
  metrics.OnReport(Failure(FailureReason::kServerBusy, seconds(2)));
  // Their durations are not those of a probe.
  metrics.OnRefusal(RefusalReason::kBadRequest, seconds(9));
  metrics.OnRefusal(RefusalReason::kForbidden, seconds(9));
  metrics.OnRefusal(RefusalReason::kDraining, seconds(1));
  metrics.OnLockWait(milliseconds(30));
  metrics.OnLockTimeout();
  metrics.OnLockRecovery();
  metrics.OnWorkerRestart(WorkerRestart::kProtocol);
  for (const ExpositionFormat format : {ExpositionFormat::kText, ExpositionFormat::kOpenMetrics}) {
    const std::string page = Page(metrics, format);
    EXPECT_EQ(Value(page, "iperf3_exporter_duration_seconds_count"), "4");
    EXPECT_EQ(Value(page, "iperf3_exporter_duration_seconds_sum"), "5");
    EXPECT_EQ(Value(page, "iperf3_exporter_errors_total"), "4");
    EXPECT_EQ(Value(page, "iperf3_exporter_probes_total{result=\"success\"}"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_probes_total{result=\"cancelled\"}"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_probes_total{result=\"bad_request\"}"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_probe_failures_total{reason=\"server_busy\"}"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_lock_wait_seconds_bucket{le=\"0.025\"}"), "0");
    EXPECT_EQ(Value(page, "iperf3_exporter_lock_wait_seconds_bucket{le=\"0.1\"}"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_lock_wait_seconds_sum"), "0.03");
    EXPECT_EQ(Value(page, "iperf3_exporter_lock_timeouts_total"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_lock_recoveries_total"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_worker_restarts_total{reason=\"protocol\"}"), "1");
    EXPECT_EQ(Value(page, "iperf3_exporter_implausible_values_total"), "3");
  }
}

TEST(ExporterMetricsTest, ShowsEveryEventOnTheNextPage) {
  ExporterMetrics metrics;
  const auto changes = [&](const std::string& sample, const auto& event) {
    for (const ExpositionFormat format :
         {ExpositionFormat::kText, ExpositionFormat::kOpenMetrics}) {
      const std::string before = Value(Page(metrics, format), sample);
      event();
      EXPECT_NE(Value(Page(metrics, format), sample), before) << sample;
    }
  };
  changes("iperf3_exporter_duration_seconds_count", [&] { metrics.OnReport(Success(seconds(1))); });
  changes("iperf3_exporter_probes_total{result=\"draining\"}",
          [&] { metrics.OnRefusal(RefusalReason::kDraining, seconds(1)); });
  changes("iperf3_exporter_probes_total{result=\"cancelled\"}",
          [&] { metrics.OnCancelled(seconds(1)); });
  changes("iperf3_exporter_probe_failures_total{reason=\"exec\"}",
          [&] { metrics.OnReport(Failure(FailureReason::kExec, seconds(1))); });
  changes("iperf3_exporter_lock_wait_seconds_count", [&] { metrics.OnLockWait(seconds(1)); });
  changes("iperf3_exporter_lock_timeouts_total", [&] { metrics.OnLockTimeout(); });
  changes("iperf3_exporter_lock_recoveries_total", [&] { metrics.OnLockRecovery(); });
  changes("iperf3_exporter_worker_restarts_total{reason=\"hung\"}",
          [&] { metrics.OnWorkerRestart(WorkerRestart::kHung); });
  changes("iperf3_exporter_implausible_values_total",
          [&] { metrics.OnReport(Success(seconds(1), 1)); });
}

TEST(ExporterMetricsTest, ShowsTheStatePassedIn) {
  ExporterMetrics metrics;
  LiveState state = SampleState();
  HttpStatistics http = SampleHttp();
  std::string page = **metrics.Page(ExpositionFormat::kText, state, http);
  EXPECT_EQ(Value(page, "iperf3_exporter_probes_in_flight"), "2");
  EXPECT_EQ(Value(page, "iperf3_exporter_queue_length"), "3");
  EXPECT_EQ(Value(page, "iperf3_exporter_workers{state=\"idle\"}"), "2");
  EXPECT_EQ(Value(page, "iperf3_exporter_workers{state=\"down\"}"), "0");
  EXPECT_EQ(Value(page, "iperf3_exporter_sandbox_layer{process=\"worker\",layer=\"seccomp\"}"),
            "1");
  EXPECT_EQ(Value(page, "iperf3_exporter_sandbox_layer{process=\"iperf3\",layer=\"namespaces\"}"),
            "0");
  EXPECT_THAT(page, Not(HasSubstr("process=\"supervisor\"")));
  EXPECT_EQ(Value(page, "iperf3_exporter_http_requests_total{path=\"/probe\",code=\"400\"}"), "1");
  EXPECT_EQ(Value(page, "iperf3_exporter_http_connections"), "4");
  EXPECT_EQ(Value(page, "iperf3_exporter_http_connections_rejected_total"), "1");
  EXPECT_EQ(Value(page, "iperf3_exporter_config_last_reload_successful{file=\"web\"}"), "1");
  EXPECT_EQ(
      Value(page, "iperf3_exporter_config_last_reload_success_timestamp_seconds{file=\"web\"}"),
      "1700000000.25");

  state.queue_length = 9;
  const auto own = [&state](SandboxLayer layer) -> LayerState& {
    return state.supervisor_sandbox[static_cast<std::size_t>(layer)];
  };
  own(SandboxLayer::kRlimits) = LayerState::kEnabled;
  own(SandboxLayer::kNotDumpable) = LayerState::kMissing;
  http.requests[{"/probe", 400}] = 2;
  state.reloads[0].last_successful = false;
  page = **metrics.Page(ExpositionFormat::kText, state, http);
  EXPECT_EQ(Value(page, "iperf3_exporter_queue_length"), "9");
  EXPECT_EQ(Value(page, "iperf3_exporter_sandbox_layer{process=\"supervisor\",layer=\"rlimits\"}"),
            "1");
  EXPECT_EQ(
      Value(page, "iperf3_exporter_sandbox_layer{process=\"supervisor\",layer=\"not_dumpable\"}"),
      "0");
  EXPECT_THAT(page, Not(HasSubstr("process=\"supervisor\",layer=\"seccomp\"")));
  EXPECT_EQ(Value(page, "iperf3_exporter_http_requests_total{path=\"/probe\",code=\"400\"}"), "2");
  EXPECT_EQ(Value(page, "iperf3_exporter_config_last_reload_successful{file=\"web\"}"), "0");
}

TEST(ExporterMetricsTest, DoesNotChangeAFinishedPage) {
  ExporterMetrics metrics;
  const auto page = metrics.Page(ExpositionFormat::kText, SampleState(), SampleHttp()).value();
  const std::string copy(page->data(), page->size());
  metrics.OnLockTimeout();
  EXPECT_NE(**metrics.Page(ExpositionFormat::kText, {}, {}), copy);
  EXPECT_EQ(*page, copy);
}

TEST(ExporterMetricsTest, ReturnsAnExceptionAsAnErrorOfOnePage) {
  ExporterMetrics metrics;
  const std::string before = Page(metrics);
  metrics.OnLockTimeout();
  const LiveState state = SampleState();
  const HttpStatistics http = SampleHttp();
  fail_next_allocation = true;
  const auto failed = metrics.Page(ExpositionFormat::kText, state, http);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "cannot build the metrics: std::bad_alloc");
  EXPECT_EQ(Value(Page(metrics), "iperf3_exporter_lock_timeouts_total"), "1");
}

TEST(ExporterMetricsTest, ExportsOneIperf3Version) {
  ExporterMetrics metrics;
  metrics.SetIperf3Version("3.12");
  EXPECT_EQ(Value(Page(metrics), "iperf3_exporter_iperf3_info{version=\"3.12\"}"), "1");
  metrics.SetIperf3Version("3.18\n\xff");
  const std::string page = Page(metrics);
  EXPECT_EQ(Value(page, "iperf3_exporter_iperf3_info{version=\"3.18??\"}"), "1");
  EXPECT_THAT(page, Not(HasSubstr("3.12")));
}

TEST(ExporterMetricsTest, WritesOpenMetricsNamesAndEnd) {
  ExporterMetrics metrics;
  const std::string page = Page(metrics, ExpositionFormat::kOpenMetrics);
  EXPECT_THAT(page,
              HasSubstr("# TYPE iperf3_exporter_errors counter\niperf3_exporter_errors_total 0\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total "));
  EXPECT_THAT(page, EndsWith("\n# EOF\n"));
  EXPECT_THAT(Page(metrics), Not(HasSubstr("# EOF")));
}

TEST(ExporterMetricsTest, ExportsTheProcessMetrics) {
  const auto number = [](const char* sample) {
    ExporterMetrics fresh;
    return std::strtod(Value(Page(fresh), sample).c_str(), nullptr);
  };
  EXPECT_GT(number("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(number("process_virtual_memory_bytes"), number("process_resident_memory_bytes"));
  EXPECT_GT(number("process_cpu_seconds_total"), 0);
  EXPECT_GT(number("process_max_fds"), 3);
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(number("process_start_time_seconds"), now + 1);
  EXPECT_GT(number("process_start_time_seconds"), now - 3600);
  const double before = number("process_open_fds");
  const UniqueFd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd two(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(number("process_open_fds"), before + 2);
}

TEST(ExporterMetricsTest, ReadsTheProcessMetricsAgainSoon) {
  ExporterMetrics metrics;
  const auto open_fds = [&metrics] { return Value(Page(metrics), "process_open_fds"); };
  const std::string before = open_fds();
  const UniqueFd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Deadline limit = Clock::now() + seconds(10);
  while (open_fds() == before) ASSERT_LT(Clock::now(), limit);
}

}  // namespace
}  // namespace iperf3_exporter
