// Results of own tests that the tests of their page share.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "supervisor/exposition/results_exposition.h"
#include "tests/supervisor/exposition/exposition_samples.h"

namespace iperf3_exporter {

[[nodiscard]] inline std::chrono::system_clock::time_point AtMillisecond(std::int64_t since_epoch) {
  return std::chrono::system_clock::time_point(std::chrono::milliseconds(since_epoch));
}

// A test that has not run yet, and that has no budget.
[[nodiscard]] inline OwnTestResult SampleNewTest(
    std::string name, std::vector<std::pair<std::string, std::string>> labels = {}) {
  OwnTestResult result;
  result.test =
      std::make_shared<const OwnTestIdentity>(OwnTestIdentity{.name = std::move(name),
                                                              .target = "hq.example.org",
                                                              .port = "5201-5208",
                                                              .module = "lte",
                                                              .labels = std::move(labels)});
  result.next_run = AtMillisecond(1'700'003'600'250);
  return result;
}

[[nodiscard]] inline OwnTestResult SampleOwnTest(
    std::string name, ProbeReport report,
    std::vector<std::pair<std::string, std::string>> labels = {}) {
  OwnTestResult result = SampleNewTest(std::move(name), std::move(labels));
  report.target = result.test->target;
  const bool succeeded = report.result.has_value();
  result.report = std::make_shared<const ProbeReport>(std::move(report));
  result.last_run = AtMillisecond(1'700'000'000'125);
  result.last_success = AtMillisecond(1'699'996'400'000);
  result.successes = succeeded ? 5 : 4;
  result.failures = succeeded ? 0 : 1;
  result.skipped = {1, 2, 3, 4};
  result.uploaded_bytes = 3145728000;
  result.downloaded_bytes = 42;
  result.budget = OwnTestBudgetState{.used_bytes = 3145728042, .left_bytes = 7};
  return result;
}

// Tests of every protocol, direction and outcome, with different sets of labels.
[[nodiscard]] inline OwnTestResults SampleOwnTests() {
  OwnTestResults results;
  const auto add = [&results](OwnTestResult result) {
    results.push_back(std::make_shared<const OwnTestResult>(std::move(result)));
  };
  add(SampleNewTest("new"));
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    for (const Direction direction :
         {Direction::kUpload, Direction::kDownload, Direction::kBidirectional}) {
      const std::string number = std::to_string(results.size());
      add(SampleOwnTest("good-" + number, SampleReport(protocol, direction), {{"site", "ber"}}));
      add(SampleOwnTest("bad-" + number, SampleFailure(protocol, direction),
                        {{"link", "lte " + number}, {"team", "a\\b\n\"c\" ü"}}));
    }
  }
  return results;
}

}  // namespace iperf3_exporter
