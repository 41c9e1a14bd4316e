// Known defects of iperf3's versions for which the exporter refuses a test. A test compares the
// rows with docs/REFERENCE.md. Pure.
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string_view>

#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

struct Iperf3Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;

  // clang-tidy 14 takes the 0 of the generated comparisons for a null pointer.
  auto operator<=>(const Iperf3Version&) const = default;  // NOLINT(modernize-use-nullptr)
};

// The version at the beginning of `text`: "3.17.1+" is 3.17.1, "3.9" is 3.9.0.
[[nodiscard]] std::optional<Iperf3Version> ParseIperf3VersionNumber(std::string_view text);

struct Iperf3Defect {
  Iperf3Version first;
  Iperf3Version fixed;  // the first version without it
  std::string_view defect;
  std::string_view parameter;  // the one that is refused
  bool (*affects)(const TestOptions& test);
};

[[nodiscard]] std::span<const Iperf3Defect> Iperf3Defects();

// The first defect of that version that affects `test`, or nullptr. An unknown version counts as
// one without defects.
[[nodiscard]] const Iperf3Defect* FindDefect(std::string_view version, const TestOptions& test);

}  // namespace iperf3_exporter
