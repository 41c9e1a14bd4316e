// The windows in which one of the exporter's own tests may start: hours of some days of the week,
// in the local time of a zone. They follow its daylight saving time: an hour that the clock skips
// does not occur, and one that it repeats occurs twice.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iperf3_exporter {

using WallTime = std::chrono::system_clock::time_point;

inline constexpr std::size_t kWeekdays = 7;
// As in the configuration file.
inline constexpr std::array<std::string_view, kWeekdays> kDayNames = {"mon", "tue", "wed", "thu",
                                                                      "fri", "sat", "sun"};

struct TimeWindow {
  std::bitset<kWeekdays> days;   // on which it begins; 0: Monday
  std::chrono::minutes from{0};  // since midnight, less than a day
  std::chrono::minutes to{0};    // at most a day; if not after `from`: of the next day
  std::string zone;              // a name of the tz database

  bool operator==(const TimeWindow&) const = default;
};

// Whether the system's tz database has this zone. The first call for a zone reads a file.
[[nodiscard]] bool IsTimeZone(std::string_view name);

// Whether one of the windows contains `time`; true without windows. The zones must exist.
[[nodiscard]] bool IsInWindows(const std::vector<TimeWindow>& windows, WallTime time);

// The first moment in one of the windows that is `time` or later, within ten days; nullopt: none.
[[nodiscard]] std::optional<WallTime> FirstInWindows(const std::vector<TimeWindow>& windows,
                                                     WallTime time);

}  // namespace iperf3_exporter
