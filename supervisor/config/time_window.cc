#include "supervisor/config/time_window.h"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <algorithm>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

// Covers every day of the week, even in a zone that skips a date.
constexpr int kDaysAhead = 10;

// cctz caches each zone that it has read.
cctz::time_zone FindZone(const std::string& name) {
  cctz::time_zone zone;
  cctz::load_time_zone(name, &zone);
  return zone;
}

std::size_t WeekdayOf(cctz::civil_day day) {
  return static_cast<std::size_t>(cctz::get_weekday(day));
}

bool Contains(const TimeWindow& window, WallTime time) {
  const cctz::civil_second local = cctz::convert(time, FindZone(window.zone));
  const cctz::civil_day day(local);
  const std::chrono::minutes minute(local.hour() * 60 + local.minute());
  const bool ends_on_the_next_day = window.to <= window.from;
  const bool began_today = window.days.test(WeekdayOf(day)) && minute >= window.from &&
                           (ends_on_the_next_day || minute < window.to);
  return began_today ||
         (ends_on_the_next_day && window.days.test(WeekdayOf(day - 1)) && minute < window.to);
}

// The moments after `time` at which the window may begin to contain the local time: on each of the
// next days when it begins, and when the zone's clock is changed.
std::vector<WallTime> ListOpenings(const TimeWindow& window, WallTime time) {
  const cctz::time_zone zone = FindZone(window.zone);
  const cctz::civil_day today(cctz::convert(time, zone));
  std::vector<WallTime> openings;
  for (int i = 0; i <= kDaysAhead; ++i) {
    if (!window.days.test(WeekdayOf(today + i))) continue;
    const auto local = cctz::civil_second(today + i) + window.from.count() * 60;
    const auto begin = zone.lookup(local);
    openings.insert(openings.end(), {begin.pre, begin.trans, begin.post});
  }
  cctz::time_zone::civil_transition change;
  if (zone.next_transition(time, &change)) openings.emplace_back(zone.lookup(change.to).trans);
  return openings;
}

}  // namespace

bool IsTimeZone(std::string_view name) {
  // No path, and no name of cctz's own such as "Fixed/UTC+01:00:00".
  const bool is_name = !name.empty() && IsAlnum(name.front()) && HasOnlyAlnumOr(name, "_+-/");
  cctz::time_zone zone;
  return is_name && name != "localtime" && cctz::load_time_zone(std::string(name), &zone);
}

bool IsInWindows(const std::vector<TimeWindow>& windows, WallTime time) {
  return windows.empty() || std::ranges::any_of(windows, [time](const TimeWindow& window) {
           return Contains(window, time);
         });
}

std::optional<WallTime> FirstInWindows(const std::vector<TimeWindow>& windows, WallTime time) {
  if (IsInWindows(windows, time)) return time;
  std::optional<WallTime> first;
  for (const TimeWindow& window : windows) {
    for (const WallTime opening : ListOpenings(window, time)) {
      const bool is_earlier = opening > time && (!first || opening < *first);
      if (is_earlier && Contains(window, opening)) first = opening;
    }
  }
  return first;
}

}  // namespace iperf3_exporter
