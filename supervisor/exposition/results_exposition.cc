#include "supervisor/exposition/results_exposition.h"

#include <prometheus/metric_type.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "supervisor/exposition/exposition_writer.h"
#include "supervisor/exposition/probe_exposition.h"

namespace iperf3_exporter {
namespace {

using prometheus::MetricType;
using WallTime = std::chrono::system_clock::time_point;

// A result, and the labels of its test with the port as configured.
struct LabelledResult {
  const OwnTestResult* result;
  std::string labels;
};

std::string LabelsOf(const OwnTestIdentity& test, std::string_view port) {
  MetricLabels labels = {
      {"test", test.name}, {"target", test.target}, {"port", port}, {"module", test.module}};
  for (const auto& [name, value] : test.labels) labels.emplace_back(name, value);
  return FormatLabels(labels);
}

std::vector<LabelledResult> Label(const OwnTestResults& results) {
  std::vector<LabelledResult> labelled;
  labelled.reserve(results.size());
  for (const auto& result : results) {
    labelled.push_back({result.get(), LabelsOf(*result->test, result->test->port)});
  }
  return labelled;
}

std::vector<LabelledReport> LabelReports(const OwnTestResults& results) {
  std::vector<LabelledReport> reports;
  reports.reserve(results.size());
  for (const auto& result : results) {
    if (!result->report) continue;
    reports.emplace_back(*result->report,
                         LabelsOf(*result->test, std::to_string(result->report->port)));
  }
  return reports;
}

// Enough for nearly every page, so that it is not copied while it grows. The rest is never touched,
// so it takes no memory.
std::size_t EstimateBytes(const std::vector<LabelledResult>& results,
                          const std::vector<LabelledReport>& reports) {
  constexpr std::size_t kNameAndValueBytes = 64;
  constexpr std::size_t kDirectionBytes = 21;
  constexpr std::size_t kOwnSamples = 13;
  constexpr std::size_t kProbeSamples = 33;
  std::size_t bytes = std::size_t{16} << 10;  // HELP and TYPE
  for (const LabelledResult& result : results) {
    bytes += kOwnSamples * (result.labels.size() + kNameAndValueBytes);
  }
  for (const LabelledReport& report : reports) {
    const bool both = report.report().test.direction == Direction::kBidirectional;
    bytes += (both ? 2 : 1) * kProbeSamples *
             (report.labels().size() + kNameAndValueBytes + kDirectionBytes);
  }
  return bytes;
}

void AddTimestamps(std::string_view name, std::string_view help,
                   std::optional<WallTime> OwnTestResult::*time,
                   const std::vector<LabelledResult>& results, ExpositionWriter& writer) {
  writer.StartFamily(name, MetricType::Gauge, help);
  for (const auto& [result, labels] : results) {
    const auto& at = result->*time;
    if (!at) continue;
    // To whole milliseconds: the clock's nanoseconds are more than a double holds.
    const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(at->time_since_epoch());
    writer.AddSample(labels, {}, static_cast<double>(since_epoch.count()) / 1000);
  }
}

void AddCounters(const std::vector<LabelledResult>& results, ExpositionWriter& writer) {
  const auto add = [&writer](const LabelledResult& to, std::string_view label,
                             std::string_view value, std::uint64_t count) {
    writer.AddSample(to.labels, {{label, value}}, static_cast<double>(count));
  };
  writer.StartFamily("iperf3_runs_total", MetricType::Counter, "Runs of the test by result.");
  for (const LabelledResult& each : results) {
    add(each, "result", "success", each.result->successes);
    add(each, "result", "failure", each.result->failures);
  }
  writer.StartFamily("iperf3_skipped_total", MetricType::Counter,
                     "Starts of the test that were due and did not happen, by reason.");
  for (const LabelledResult& each : results) {
    for (std::size_t i = 0; i < kSkipReasonNames.size(); ++i) {
      add(each, "reason", kSkipReasonNames[i], each.result->skipped[i]);
    }
  }
  writer.StartFamily("iperf3_transferred_bytes_total", MetricType::Counter,
                     "Bytes that all runs of the test transferred, failed ones too.");
  for (const LabelledResult& each : results) {
    add(each, "direction", "upload", each.result->uploaded_bytes);
    add(each, "direction", "download", each.result->downloaded_bytes);
  }
}

void AddBudgets(const std::vector<LabelledResult>& results, ExpositionWriter& writer) {
  writer.StartFamily("iperf3_budget_bytes", MetricType::Gauge,
                     "Bytes of the budget of the test that are used, and that are left.");
  for (const auto& [result, labels] : results) {
    if (!result->budget) continue;
    writer.AddSample(labels, {{"state", "used"}}, static_cast<double>(result->budget->used_bytes));
    writer.AddSample(labels, {{"state", "left"}}, static_cast<double>(result->budget->left_bytes));
  }
}

}  // namespace

std::string BuildResultsPage(const OwnTestResults& results, const ProbePageStyle& style,
                             ExpositionFormat format) {
  const std::vector<LabelledResult> labelled = Label(results);
  const std::vector<LabelledReport> reports = LabelReports(results);
  std::string page;
  page.reserve(EstimateBytes(labelled, reports));
  ExpositionWriter writer(format, page);
  AddTimestamps("iperf3_last_run_timestamp_seconds",
                "Unix time at which the last run of the test ended, in seconds.",
                &OwnTestResult::last_run, labelled, writer);
  AddTimestamps("iperf3_last_success_timestamp_seconds",
                "Unix time at which the last successful run of the test ended, in seconds.",
                &OwnTestResult::last_success, labelled, writer);
  AddTimestamps("iperf3_next_run_timestamp_seconds",
                "Unix time at which the test is due next, in seconds.", &OwnTestResult::next_run,
                labelled, writer);
  AddCounters(labelled, writer);
  AddBudgets(labelled, writer);
  AddProbeFamilies(reports, style, writer);
  writer.EndPage();
  return page;
}

}  // namespace iperf3_exporter
