// Known defects of iperf3 versions. The exporter refuses requests that would trigger one. A unit
// test compares this table with docs/REFERENCE.md. Pure.
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

  // clang-tidy 14 mistakes the 0 in the generated comparisons for a null pointer.
  auto operator<=>(const Iperf3Version&) const = default;  // NOLINT(modernize-use-nullptr)
};

// The version at the beginning of `text`: "3.17.1+" is 3.17.1, "3.9" is 3.9.0.
[[nodiscard]] std::optional<Iperf3Version> ParseIperf3VersionNumber(std::string_view text);

struct Iperf3Defect {
  Iperf3Version introduced;  // 0.0.0: always there
  Iperf3Version fixed_in;
  std::string_view description;
  std::string_view parameter;  // of a request, to refuse
  bool (*affects)(const TestOptions& test);
};

[[nodiscard]] std::span<const Iperf3Defect> Iperf3Defects();

// The first defect of that version that affects `test`, or nullptr. A version that can't be
// parsed counts as free of defects.
[[nodiscard]] const Iperf3Defect* FindDefect(std::string_view version, const TestOptions& test);

}  // namespace iperf3_exporter
