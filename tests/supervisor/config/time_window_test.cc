#include "supervisor/config/time_window.h"

#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace iperf3_exporter {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr char kZones[][24] = {"Europe/Berlin",       "America/New_York",  "Australia/Sydney",
                               "Australia/Lord_Howe", "America/St_Johns",  "Asia/Kathmandu",
                               "Pacific/Apia",        "America/Sao_Paulo", "UTC"};

// "2026-03-29T00:59:59Z"
WallTime Utc(const char* text) {
  std::tm parts{};
  EXPECT_NE(::strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts), nullptr) << text;
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

minutes At(const std::string& text) {
  return hours(std::stoi(text.substr(0, 2))) + minutes(std::stoi(text.substr(3)));
}

TimeWindow Window(const std::string& from, const std::string& to, const std::string& zone,
                  const std::string& day_flags = "1111111") {
  TimeWindow window{.from = At(from), .to = At(to), .zone = zone};
  for (std::size_t day = 0; day < kWeekdays; ++day) window.days[day] = day_flags[day] == '1';
  return window;
}

// What the C library says of the same moment.
std::tm LocalTime(WallTime time, const std::string& zone) {
  static std::string zone_of_library;
  if (zone != std::exchange(zone_of_library, zone)) {
    ::setenv("TZ", (":" + zone).c_str(), 1);
    ::tzset();
  }
  const std::time_t unix_time = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  ::localtime_r(&unix_time, &local);
  return local;
}

bool ContainsByTheCLibrary(const TimeWindow& window, WallTime time) {
  const std::tm local = LocalTime(time, window.zone);
  const minutes now = hours(local.tm_hour) + minutes(local.tm_min);
  const auto today = static_cast<std::size_t>((local.tm_wday + 6) % 7);
  if (window.from < window.to) {
    return window.days[today] && now >= window.from && now < window.to;
  }
  return (window.days[today] && now >= window.from) ||
         (window.days[(today + 6) % 7] && now < window.to);
}

struct Row {
  const char* from;
  const char* to;
  const char* zone;
  const char* days;  // from Monday
  const char* time;
  bool is_in;
};

TEST(TimeWindowTest, ContainsByTheLocalTime) {
  const Row rows[] = {
      // Winter, then summer.
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-15T20:59:59Z", false},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-15T21:00:00Z", true},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-07-15T20:00:00Z", true},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-07-15T19:59:59Z", false},
      // Midnight: the night of Friday ends on Saturday, that of Saturday does not begin.
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-16T22:59:59Z", true},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-16T23:00:00Z", true},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-17T04:59:59Z", true},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-17T05:00:00Z", false},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-17T21:00:00Z", false},
      {"22:00", "06:00", "Europe/Berlin", "1111100", "2026-01-18T23:30:00Z", false},
      // The night from Sunday to Monday, over the end of the week.
      {"22:00", "06:00", "UTC", "0000001", "2026-01-19T05:59:59Z", true},
      {"22:00", "06:00", "UTC", "0000001", "2026-01-18T05:59:59Z", false},
      // To the end of the day.
      {"00:00", "24:00", "UTC", "1000000", "2026-01-19T23:59:59Z", true},
      {"00:00", "24:00", "UTC", "1000000", "2026-01-20T00:00:00Z", false},
      {"18:00", "24:00", "UTC", "1000000", "2026-01-20T00:00:00Z", false},
      {"18:00", "00:00", "UTC", "1000000", "2026-01-20T00:00:00Z", false},
      {"18:00", "00:00", "UTC", "1000000", "2026-01-19T23:59:59Z", true},
      // New Year's Eve in three zones.
      {"23:00", "01:00", "UTC", "0001000", "2026-12-31T23:59:59Z", true},
      {"23:00", "01:00", "UTC", "0001000", "2027-01-01T00:59:59Z", true},
      {"23:00", "01:00", "UTC", "0001000", "2027-01-01T01:00:00Z", false},
      {"23:00", "01:00", "Pacific/Apia", "0001000", "2026-12-31T10:00:00Z", true},
      {"23:00", "01:00", "America/New_York", "0001000", "2027-01-01T05:59:59Z", true},
      // Spring in Berlin: 02:00 is followed by 03:00, so 02:15 to 02:45 does not come.
      {"02:15", "02:45", "Europe/Berlin", "1111111", "2026-03-29T00:59:59Z", false},
      {"02:15", "02:45", "Europe/Berlin", "1111111", "2026-03-29T01:30:00Z", false},
      {"01:00", "03:30", "Europe/Berlin", "1111111", "2026-03-29T00:59:59Z", true},
      {"01:00", "03:30", "Europe/Berlin", "1111111", "2026-03-29T01:29:59Z", true},
      {"01:00", "03:30", "Europe/Berlin", "1111111", "2026-03-29T01:30:00Z", false},
      // Autumn: 02:15 to 02:45 comes twice.
      {"02:15", "02:45", "Europe/Berlin", "1111111", "2026-10-25T00:30:00Z", true},
      {"02:15", "02:45", "Europe/Berlin", "1111111", "2026-10-25T00:50:00Z", false},
      {"02:15", "02:45", "Europe/Berlin", "1111111", "2026-10-25T01:30:00Z", true},
      {"02:15", "02:45", "Europe/Berlin", "1111111", "2026-10-25T01:45:00Z", false},
      // Both changes in New York, and half an hour of Lord Howe Island.
      {"02:15", "02:45", "America/New_York", "1111111", "2026-03-08T07:20:00Z", false},
      {"01:15", "01:45", "America/New_York", "1111111", "2026-11-01T05:20:00Z", true},
      {"01:15", "01:45", "America/New_York", "1111111", "2026-11-01T06:20:00Z", true},
      {"01:45", "02:00", "Australia/Lord_Howe", "1111111", "2026-04-04T14:50:00Z", true},
      {"01:45", "02:00", "Australia/Lord_Howe", "1111111", "2026-04-04T15:20:00Z", true},
  };
  for (const Row& row : rows) {
    const TimeWindow window = Window(row.from, row.to, row.zone, row.days);
    EXPECT_EQ(IsInWindows({window}, Utc(row.time)), row.is_in)
        << row.from << " " << row.to << " " << row.zone << " " << row.days << " " << row.time;
    EXPECT_EQ(ContainsByTheCLibrary(window, Utc(row.time)), row.is_in) << row.time;
  }
}

// Over a year and its end, through both changes of each clock.
TEST(TimeWindowTest, AgreesWithTheCLibrary) {
  const char* const times[][2] = {{"22:00", "06:00"},
                                  {"02:15", "02:45"},
                                  {"00:00", "24:00"},
                                  {"23:30", "00:30"},
                                  {"08:00", "18:00"}};
  for (const char* zone : kZones) {
    for (const auto& [from, to] : times) {
      const TimeWindow window = Window(from, to, zone, "1010011");
      for (WallTime time = Utc("2026-01-01T00:00:00Z"); time < Utc("2027-01-03T00:00:00Z");
           time += minutes(37)) {
        ASSERT_EQ(IsInWindows({window}, time), ContainsByTheCLibrary(window, time))
            << zone << " " << from << " " << std::chrono::system_clock::to_time_t(time);
      }
    }
  }
}

TEST(TimeWindowTest, OneOfSeveralIsEnoughAndNoneMeansAlways) {
  const std::vector<TimeWindow> windows = {Window("08:00", "09:00", "UTC"),
                                           Window("08:00", "09:00", "Asia/Tokyo")};
  EXPECT_TRUE(IsInWindows(windows, Utc("2026-05-05T08:30:00Z")));
  EXPECT_TRUE(IsInWindows(windows, Utc("2026-05-05T23:30:00Z")));
  EXPECT_FALSE(IsInWindows(windows, Utc("2026-05-05T12:00:00Z")));
  EXPECT_TRUE(IsInWindows({}, Utc("2026-05-05T12:00:00Z")));
}

// The first minute of a window, found by trying each.
std::optional<WallTime> FirstByTrying(const TimeWindow& window, WallTime time) {
  if (IsInWindows({window}, time)) return time;
  WallTime minute = std::chrono::floor<minutes>(time);
  for (int i = 0; i < 9 * 24 * 60; ++i) {
    minute += minutes(1);
    if (IsInWindows({window}, minute)) return minute;
  }
  return std::nullopt;
}

TEST(TimeWindowTest, FindsTheNextOpening) {
  const char* const moments[] = {"2026-03-28T12:34:56Z", "2026-03-29T00:30:00Z",
                                 "2026-03-29T01:30:00Z", "2026-10-24T12:00:00Z",
                                 "2026-10-25T00:50:00Z", "2026-10-25T01:50:00Z",
                                 "2026-12-31T22:59:30Z", "2026-04-04T14:30:00Z"};
  const char* const times[][2] = {{"22:00", "06:00"},
                                  {"02:15", "02:45"},
                                  {"02:00", "02:30"},
                                  {"01:45", "02:10"},
                                  {"00:00", "24:00"}};
  for (const char* zone : kZones) {
    for (const auto& [from, to] : times) {
      for (const char* flags : {"1111111", "0000001", "1000000", "0000110"}) {
        const TimeWindow window = Window(from, to, zone, flags);
        for (const char* moment : moments) {
          EXPECT_EQ(FirstInWindows({window}, Utc(moment)), FirstByTrying(window, Utc(moment)))
              << zone << " " << from << " " << to << " " << flags << " " << moment;
        }
      }
    }
  }
}

TEST(TimeWindowTest, KnowsTheZonesOfTheDatabase) {
  for (const char* zone : kZones) EXPECT_TRUE(IsTimeZone(zone)) << zone;
  EXPECT_TRUE(IsTimeZone("Etc/GMT+12"));
  for (const char* text :
       {"", "Europe/Berlino", "europe/berlin ", "/etc/localtime", "localtime", "../Europe/Berlin",
        "Europe/../UTC", "Fixed/UTC+01:00:00", "Europe", "posixrules\n", "+01:00"}) {
    EXPECT_FALSE(IsTimeZone(text)) << text;
  }
}

}  // namespace
}  // namespace iperf3_exporter
