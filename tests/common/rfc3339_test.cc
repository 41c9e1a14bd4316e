#include "common/rfc3339.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

std::string Format(std::chrono::microseconds since_epoch) {
  return FormatRfc3339(std::chrono::system_clock::time_point(since_epoch));
}

TEST(Rfc3339Test, HasMillisecondsInUtc) {
  using std::chrono::microseconds;
  EXPECT_EQ(Format(microseconds(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(Format(microseconds(1'709'251'199'007'999)), "2024-02-29T23:59:59.007Z");
  EXPECT_EQ(Format(microseconds(-1)), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace iperf3_exporter
