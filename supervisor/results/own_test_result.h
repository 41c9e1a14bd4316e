// What is known of one of the exporter's own tests. A snapshot that never changes once it is
// published, so it may be read in any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

// Why a start that was due did not happen: values of the label `reason` of iperf3_skipped_total.
enum class SkipReason : std::uint8_t {
  kBudget,        // the worst case exceeds what is left of the budget
  kWindow,        // outside the windows of the test
  kLock,          // neither lock nor worker was free in time, or the last run had not ended
  kCoordination,  // reserved: other hosts used the server or link
};

inline constexpr std::array<std::string_view, 4> kSkipReasonNames = {
    "budget",
    "window",
    "lock",
    "coordination",
};

[[nodiscard]] constexpr std::string_view Name(SkipReason reason) {
  return kSkipReasonNames[static_cast<std::size_t>(reason)];
}

// The labels of a test. They never change while the test exists.
struct OwnTestIdentity {
  std::string name;
  std::string target;  // as configured, without a port
  std::string port;    // as configured: "5201", or "5201-5208", of which a report names one
  std::string module;  // empty: none
  std::vector<std::pair<std::string, std::string>> labels;  // as configured

  bool operator==(const OwnTestIdentity&) const = default;
};

struct OwnTestBudgetState {
  std::uint64_t used_bytes = 0;
  std::uint64_t left_bytes = 0;
};

struct OwnTestResult {
  std::shared_ptr<const OwnTestIdentity> test;
  std::shared_ptr<const ProbeReport> report;  // of the last run; null: none yet
  std::optional<std::chrono::system_clock::time_point> last_run;
  std::optional<std::chrono::system_clock::time_point> last_success;
  std::optional<std::chrono::system_clock::time_point> next_run;
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::array<std::uint64_t, kSkipReasonNames.size()> skipped{};  // by SkipReason
  std::uint64_t uploaded_bytes = 0;                              // of all runs
  std::uint64_t downloaded_bytes = 0;
  std::optional<OwnTestBudgetState> budget;  // empty: none is configured, or it is unknown
};

}  // namespace iperf3_exporter
