// A window in which one of the exporter's own tests may start: hours of some days of the week, in
// the local time of a zone, which follows its daylight saving time.
#pragma once

#include <bitset>
#include <chrono>
#include <string>

namespace iperf3_exporter {

inline constexpr std::size_t kWeekdays = 7;

struct TimeWindow {
  std::bitset<kWeekdays> days;   // on which it begins; 0: Monday
  std::chrono::minutes from{0};  // since midnight, less than a day
  std::chrono::minutes to{0};    // up to a day; not after `from`: of the next day
  std::string zone;              // a name of the tz database

  bool operator==(const TimeWindow&) const = default;
};

}  // namespace iperf3_exporter
