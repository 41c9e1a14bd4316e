#include "supervisor/config/own_test_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "common/go_duration.h"
#include "common/iperf3/option_text.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "supervisor/config/yaml_document.h"

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using yaml::ConfigError;
using yaml::LineOf;
using yaml::Quote;

constexpr std::size_t kMaxNameBytes = 64;
constexpr std::uint64_t kMaxJitterPercent = 50;
// A scrape is better for shorter intervals.
constexpr std::chrono::seconds kMinEvery{10};
constexpr hours kMaxEvery{24 * 31};
constexpr minutes kMinBudgetPeriod{1};
constexpr hours kMaxBudgetPeriod{24 * 366};
// Limit how much a small file can expand to by YAML aliases.
constexpr std::size_t kMaxWindows = 20;
constexpr std::size_t kMaxLabels = 16;
constexpr std::size_t kMaxLabelBytes = 128;  // of a name or a value
constexpr minutes kDay{24 * 60};

// Labels of the metrics of a test, and those that Prometheus adds itself.
constexpr std::array<std::string_view, 19> kReservedLabels = {
    "test",   "target",   "port", "module", "direction", "side",  "stat",
    "host",   "mode",     "job",  "reason", "instance",  "state", "result",
    "family", "quantile", "le",   "by",     "algorithm"};

[[noreturn]] void Refuse(const YAML::Node& node, const std::string& where,
                         const std::string& expected) {
  throw ConfigError{LineOf(node), where + ": expected " + expected};
}

[[noreturn]] void RefuseText(const YAML::Node& node, const std::string& where,
                             const std::string& expected, std::string_view text) {
  Refuse(node, where, expected + ", got " + Quote(text));
}

std::string ReadName(const YAML::Node& node, const std::string& where) {
  std::string name = yaml::ReadText(node, where);
  if (!name.empty() && name.size() <= kMaxNameBytes && IsAlnum(name.front()) &&
      HasOnlyAlnumOr(name, "._-")) {
    return name;
  }
  RefuseText(node, where,
             "1 to " + std::to_string(kMaxNameBytes) +
                 " letters, digits, '.', '_' and '-', with a letter or digit first",
             name);
}

// Its value is checked with the request. An empty one would count as not given.
std::string ReadParameter(const YAML::Node& node, const std::string& where) {
  std::string text = yaml::ReadText(node, where);
  if (!text.empty() && IsPlainText(text)) return text;
  RefuseText(node, where, "UTF-8 text without control characters, not empty", text);
}

std::chrono::nanoseconds ReadDurationWithin(const YAML::Node& node, const std::string& where,
                                            std::chrono::nanoseconds min,
                                            std::chrono::nanoseconds max) {
  const auto duration = yaml::ReadDuration(node, where);
  if (duration >= min && duration <= max) return duration;
  RefuseText(node, where,
             "a duration from " + FormatGoDuration(min) + " to " + FormatGoDuration(max),
             node.Scalar());
}

std::chrono::nanoseconds ReadEvery(const YAML::Node& node, const std::string& where) {
  return ReadDurationWithin(node, where, kMinEvery, kMaxEvery);
}

std::uint32_t ReadJitter(const YAML::Node& node, const std::string& where) {
  const std::string text = yaml::ReadText(node, where);
  std::string_view number = text;
  if (number.ends_with('%')) {
    number.remove_suffix(1);
    const auto percent = ParseUnsigned(number, 0, kMaxJitterPercent);
    if (percent) return static_cast<std::uint32_t>(*percent);
  }
  RefuseText(node, where,
             "a whole percentage from 0% to " + std::to_string(kMaxJitterPercent) + "%", text);
}

std::optional<std::size_t> FindDay(std::string_view name) {
  const auto* found = std::ranges::find(kDayNames, name);
  if (found == kDayNames.end()) return std::nullopt;
  return static_cast<std::size_t>(found - kDayNames.begin());
}

// `mon`, or `fri-mon`: from the first to the last, perhaps over the end of the week.
void ReadDays(const YAML::Node& node, const std::string& where, std::bitset<kWeekdays>& days) {
  yaml::ForEachItem(node, where, [&](const YAML::Node& item) {
    const std::string text = yaml::ReadText(item, where);
    const std::size_t hyphen = text.find('-');
    const auto first = FindDay(text.substr(0, hyphen));
    const auto last = hyphen == text.npos ? first : FindDay(text.substr(hyphen + 1));
    if (!first || !last) {
      RefuseText(item, where, "days (mon, tue, wed, thu, fri, sat, sun) or ranges such as mon-fri",
                 text);
    }
    for (std::size_t day = *first;; day = (day + 1) % kWeekdays) {
      days.set(day);
      if (day == *last) break;
    }
  });
  if (days.none()) Refuse(node, where, "at least one day");
}

minutes ReadTimeOfDay(const YAML::Node& node, const std::string& where, minutes max) {
  const std::string text = yaml::ReadText(node, where);
  if (text.size() == 5 && text[2] == ':') {
    const auto hour = ParseUnsigned(std::string_view(text).substr(0, 2), 0, 24);
    const auto minute = ParseUnsigned(std::string_view(text).substr(3), 0, 59);
    if (hour && minute) {
      const minutes time(*hour * 60 + *minute);
      if (time <= max) return time;
    }
  }
  const std::string last = max == kDay ? "24:00" : "23:59";
  RefuseText(node, where, "a time as \"HH:MM\" from 00:00 to " + last, text);
}

std::string ReadZone(const YAML::Node& node, const std::string& where) {
  std::string zone = yaml::ReadText(node, where);
  if (zone.size() <= kMaxNameBytes && IsTimeZone(zone)) return zone;
  RefuseText(node, where, "a zone of the tz database (package tzdata) such as Europe/Berlin", zone);
}

TimeWindow ReadWindow(const YAML::Node& node, const std::string& where) {
  TimeWindow window{.zone = "UTC"};
  std::optional<minutes> from;
  std::optional<minutes> to;
  yaml::ReadKeys(node, where,
                 {{"days", yaml::Into(window.days, ReadDays)},
                  {"from",
                   [&](const YAML::Node& value, const std::string& name) {
                     from = ReadTimeOfDay(value, name, kDay - minutes(1));
                   }},
                  {"to", [&](const YAML::Node& value,
                             const std::string& name) { to = ReadTimeOfDay(value, name, kDay); }},
                  {"zone", yaml::Into(window.zone, ReadZone)}});
  if (!from || !to) Refuse(node, where, "a map with from and to, and perhaps days and zone");
  if (*from == *to) Refuse(node, where, "another time in to than in from");
  window.from = *from;
  window.to = *to;
  if (window.days.none()) window.days.set();
  return window;
}

void ReadWindows(const YAML::Node& node, const std::string& where,
                 std::vector<TimeWindow>& windows) {
  yaml::ForEachItem(node, where, [&](const YAML::Node& item) {
    if (windows.size() == kMaxWindows) {
      Refuse(item, where, "at most " + std::to_string(kMaxWindows) + " windows");
    }
    windows.push_back(ReadWindow(item, where));
  });
  if (windows.empty()) Refuse(node, where, "at least one window");
}

std::uint64_t ReadBytes(const YAML::Node& node, const std::string& where) {
  const std::string text = yaml::ReadText(node, where);
  TestOptions test;
  const Status parsed = ParseOption(*FindTestOption("bytes"), text, test);
  if (parsed && test.bytes) return *test.bytes;
  throw ConfigError{LineOf(node), where + ": " +
                                      (parsed ? "must not be empty" : parsed.error().message) +
                                      ", got " + Quote(text)};
}

OwnTestBudget ReadBudget(const YAML::Node& node, const std::string& where) {
  OwnTestBudget budget;
  yaml::ReadKeys(node, where,
                 {{"bytes", yaml::Into(budget.bytes, ReadBytes)},
                  {"per", [&](const YAML::Node& value, const std::string& name) {
                     budget.per =
                         ReadDurationWithin(value, name, kMinBudgetPeriod, kMaxBudgetPeriod);
                   }}});
  if (budget.bytes == 0 || budget.per == decltype(budget.per)::zero()) {
    Refuse(node, where, "a map with bytes and per");
  }
  return budget;
}

// A label name of Prometheus.
bool IsLabelName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxLabelBytes && !IsDigit(name.front()) &&
         HasOnlyAlnumOr(name, "_") && !name.starts_with("__");
}

void ReadLabels(const YAML::Node& node, const std::string& where,
                std::vector<std::pair<std::string, std::string>>& labels) {
  yaml::ForEachPair(node, where, [&](const std::string& name, int line, const YAML::Node& value) {
    if (!IsLabelName(name)) {
      throw ConfigError{line, where +
                                  ": expected the name of a label (letters, digits and _; no digit "
                                  "first, not __ first), got " +
                                  Quote(name)};
    }
    if (std::ranges::find(kReservedLabels, name) != kReservedLabels.end()) {
      throw ConfigError{line, where + ": " + name + " is reserved, expected none of " +
                                  Join(kReservedLabels, ", ")};
    }
    std::string text = yaml::ReadText(value, where + "." + name);
    if (text.empty() || text.size() > kMaxLabelBytes || !IsPlainText(text)) {
      RefuseText(value, where + "." + name,
                 "UTF-8 text without control characters of 1 to " + std::to_string(kMaxLabelBytes) +
                     " bytes",
                 text);
    }
    labels.emplace_back(name, std::move(text));
    if (labels.size() > kMaxLabels) {
      throw ConfigError{line,
                        where + ": expected at most " + std::to_string(kMaxLabels) + " labels"};
    }
  });
  std::ranges::sort(labels);
}

// The name comes first in messages, so it is read before the other keys.
std::string FindName(const YAML::Node& node, const std::string& where) {
  if (!node.IsMap()) Refuse(node, where, "a map for each test");
  for (const auto& pair : node) {
    if (pair.first.IsScalar() && pair.first.Scalar() == "name") {
      return ReadName(pair.second, where + ": name");
    }
  }
  Refuse(node, where, "a name for each test");
}

OwnTestPointer ReadOwnTest(const YAML::Node& node, const std::string& list) {
  OwnTest test;
  test.name = FindName(node, list);
  test.line = LineOf(node);
  const std::string where = list + "." + test.name;
  // A key without a value must not mean "no limit".
  yaml::ForEachPair(node, where, [&](const std::string& key, int line, const YAML::Node& value) {
    if (!yaml::IsAbsent(value)) return;
    throw ConfigError{line, where + "." + key + ": expected a value, got nothing"};
  });
  yaml::ReadKeys(node, where,
                 {{"name", [](const YAML::Node&, const std::string&) {}},
                  {"target", yaml::Into(test.target, ReadParameter)},
                  {"port", yaml::Into(test.port, ReadParameter)},
                  {"module", yaml::Into(test.module, ReadParameter)},
                  {"every", yaml::Into(test.every, ReadEvery)},
                  {"jitter", yaml::Into(test.jitter_percent, ReadJitter)},
                  {"windows", yaml::Into(test.windows, ReadWindows)},
                  {"budget", yaml::Into(test.budget, ReadBudget)},
                  {"labels", yaml::Into(test.labels, ReadLabels)}});
  if (test.target.empty()) Refuse(node, where, "the key target");
  if (test.every == decltype(test.every)::zero()) Refuse(node, where, "the key every");
  return std::make_shared<const OwnTest>(std::move(test));
}

}  // namespace

std::vector<OwnTestPointer> ReadOwnTests(const YAML::Node& list, const std::string& where) {
  std::vector<OwnTestPointer> tests;
  std::set<std::string_view> names;
  yaml::ForEachItem(list, where, [&](const YAML::Node& item) {
    if (tests.size() == kMaxOwnTests) {
      Refuse(item, where, "at most " + std::to_string(kMaxOwnTests) + " tests");
    }
    const OwnTestPointer& test = tests.emplace_back(ReadOwnTest(item, where));
    if (!names.insert(test->name).second) {
      throw ConfigError{test->line, where + ": the name " + Quote(test->name) + " is repeated"};
    }
  });
  return tests;
}

}  // namespace iperf3_exporter
