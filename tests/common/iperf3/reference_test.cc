// docs/REFERENCE.md has a row for each row of the tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "common/iperf3/defects.h"
#include "common/iperf3/option_table.h"
#include "common/overloaded.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

// The rows of the table in the section that begins with `heading`, without its two header rows.
std::vector<std::string> RowsOf(const std::string& heading) {
  std::ifstream file(SourceFile("docs/REFERENCE.md"));
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) inside = line == heading;
    if (inside && line.starts_with("|")) rows.push_back(line);
  }
  if (rows.size() > 2) rows.erase(rows.begin(), rows.begin() + 2);
  return rows;
}

// As in a request.
std::string FormatByteCount(std::uint64_t bytes) {
  std::size_t power = 0;
  for (; power < 4 && bytes % 1024 == 0; ++power) bytes /= 1024;
  const std::string_view unit = std::string_view("KMGT").substr(power == 0 ? 4 : power - 1, 1);
  return std::to_string(bytes).append(unit);
}

std::string DescribeNumber(const NumberOption& number) {
  const auto format = [&number](std::uint64_t value) {
    return number.form == NumberForm::kBytes ? FormatByteCount(value) : std::to_string(value);
  };
  const auto range = [&format](const Bounds& bounds) {
    return format(bounds.min) + " to " + format(bounds.max);
  };
  std::string text = range(number.bounds);
  if (number.form == NumberForm::kBytes) text = "`#[KMGT]` bytes, " + text;
  if (number.form == NumberForm::kSeconds) text = "duration, rounded up, or whole seconds, " + text;
  if (number.form == NumberForm::kDscp) text += ", or a class such as cs1, af41, ef";
  if (number.udp_bounds) text += " (UDP: " + range(*number.udp_bounds) + ")";
  return text;
}

std::string DescribeKind(const OptionKind& kind) {
  return std::visit(
      Overloaded{
          [](const RequestValue&) { return std::string(); },
          [](const BitrateOption&) {
            return std::string(
                "`#[KMGT][/#]`, bits per second (0: unlimited) and packets in a burst");
          },
          [](const NameOption& name) {
            return std::string(name.expected).append(", at most ") +
                   std::to_string(kMaxKernelNameBytes) + " bytes";
          },
          [](const NumberOption& number) { return DescribeNumber(number); },
          [](const auto& /*flag or mode*/) { return std::string("false | boolean"); },
      },
      kind);
}

TEST(ReferenceTest, HasEachParameterOfTheTable) {
  const auto rows = RowsOf("## Parameters of `/probe`");
  ASSERT_EQ(rows.size(), kTestOptions.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const TestOption& option = kTestOptions[i];
    std::string names = "| `" + std::string(option.name) + "`";
    if (!option.alias.empty()) names += ", `" + std::string(option.alias) + "`";
    EXPECT_THAT(rows[i], testing::StartsWith(names + " |"));
    EXPECT_THAT(rows[i], testing::HasSubstr("| " + DescribeKind(option.kind)));
  }
}

std::string DescribeVersions(const Iperf3Defect& defect) {
  const auto describe = [](unsigned major, unsigned minor) {
    return std::to_string(major) + '.' + std::to_string(minor);
  };
  if (defect.introduced.major != 0)
    return describe(defect.introduced.major, defect.introduced.minor);
  return "up to " + describe(defect.fixed_in.major, defect.fixed_in.minor - 1);
}

TEST(ReferenceTest, HasEachDefectOfTheTable) {
  const auto rows = RowsOf("### Known defects of iperf3");
  for (const Iperf3Defect& defect : Iperf3Defects()) {
    const std::string row = "| " + DescribeVersions(defect) + " | " +
                            std::string(defect.description) + " | `" +
                            std::string(defect.parameter) + "`";
    EXPECT_THAT(rows, testing::Contains(testing::StartsWith(row)));
  }
}

}  // namespace
}  // namespace iperf3_exporter
