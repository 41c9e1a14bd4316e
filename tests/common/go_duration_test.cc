#include "common/go_duration.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

struct Case {
  std::string text;
  std::int64_t nanoseconds_count;
};

// The results of Go's time.ParseDuration.
const std::vector<Case> kParsed = {
    {"0", 0},
    {"-0", 0},
    {"+0", 0},
    {"0s", 0},
    {"300ms", 300'000'000},
    {"1.5s", 1'500'000'000},
    {"1m30s", 90'000'000'000},
    {"2h", 7'200'000'000'000},
    {"1h2m3s4ms5us6ns", 3'723'004'005'006},
    {"-1.5h", -5'400'000'000'000},
    {"+5s", 5'000'000'000},
    {".5s", 500'000'000},
    {"5.s", 5'000'000'000},
    {"10us", 10'000},
    {"10\u00b5s", 10'000},
    {"10\u03bcs", 10'000},
    {"1s1s", 2'000'000'000},
    {"0.3333333333333333333h", 1'200'000'000'000},
    {"0.100000000000000000000h", 360'000'000'000},
    {"9223372036854775807ns", std::numeric_limits<std::int64_t>::max()},
    {"-9223372036854775808ns", std::numeric_limits<std::int64_t>::min()},
    {"9223372036.854775807s", std::numeric_limits<std::int64_t>::max()},
};

TEST(GoDurationTest, ParsesWhatGoParses) {
  for (const Case& c : kParsed) {
    const auto duration = ParseGoDuration(c.text);
    ASSERT_TRUE(duration) << c.text;
    EXPECT_EQ(duration->count(), c.nanoseconds_count) << c.text;
  }
}

TEST(GoDurationTest, RefusesWhatGoRefuses) {
  for (const std::string text : {"",
                                 "3",
                                 "-",
                                 "+",
                                 "s",
                                 ".",
                                 "-.",
                                 ".s",
                                 "+.s",
                                 "1d",
                                 "1 s",
                                 " 1s",
                                 "1s ",
                                 "1e3s",
                                 "0x1s",
                                 "1S",
                                 "1m30",
                                 "--1s",
                                 "1s-1s",
                                 "9223372036854775808ns",
                                 "-9223372036854775809ns",
                                 "3000000h",
                                 "9223372036854775.808us",
                                 "99999999999999999999s",
                                 "inf",
                                 "nan",
                                 "1\xc2s"}) {
    EXPECT_FALSE(ParseGoDuration(text)) << text;
  }
  EXPECT_FALSE(ParseGoDuration(std::string_view("1s\0", 3)));
}

TEST(GoDurationTest, FormatsAsGoDoes) {
  const std::vector<Case> cases = {
      {"0s", 0},
      {"1ns", 1},
      {"1.1\u00b5s", 1'100},
      {"2.2ms", 2'200'000},
      {"300ms", 300'000'000},
      {"3.3s", 3'300'000'000},
      {"4m5s", 245'000'000'000},
      {"4m5.001s", 245'001'000'000},
      {"5h6m7.001s", 18'367'001'000'000},
      {"1h0m0s", 3'600'000'000'000},
      {"-1m30s", -90'000'000'000},
      {"2562047h47m16.854775807s", std::numeric_limits<std::int64_t>::max()},
      {"-2562047h47m16.854775808s", std::numeric_limits<std::int64_t>::min()},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(FormatGoDuration(nanoseconds(c.nanoseconds_count)), c.text);
    EXPECT_EQ(ParseGoDuration(c.text)->count(), c.nanoseconds_count) << c.text;
  }
}

}  // namespace
}  // namespace iperf3_exporter
