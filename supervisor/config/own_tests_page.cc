#include "supervisor/config/own_tests_page.h"

#include <array>
#include <cstdio>
#include <string_view>

#include "common/go_duration.h"
#include "common/iperf3/option_text.h"
#include "common/quoted_text.h"

namespace iperf3_exporter {
namespace {

std::string Quoted(std::string_view text) { return QuoteText(text, std::string_view::npos); }

std::string TimeOfDay(std::chrono::minutes time) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "\"%02d:%02d\"", static_cast<int>(time.count() / 60),
                static_cast<int>(time.count() % 60));
  return text.data();
}

std::string ListDays(const std::bitset<kWeekdays>& days) {
  std::string list;
  for (std::size_t day = 0; day < kWeekdays; ++day) {
    if (!days.test(day)) continue;
    if (!list.empty()) list += ", ";
    list += kDayNames[day];
  }
  return "[" + list + "]";
}

void AppendWindow(const TimeWindow& window, std::string& out) {
  out += "      - {days: " + ListDays(window.days) + ", from: " + TimeOfDay(window.from) +
         ", to: " + TimeOfDay(window.to) + ", zone: " + Quoted(window.zone) + "}\n";
}

void AppendLabels(const OwnTest& test, std::string& out) {
  out += "    labels: {";
  std::string_view separator;
  for (const auto& [name, value] : test.labels) {
    out += separator;
    out += Quoted(name) + ": " + Quoted(value);
    separator = ", ";
  }
  out += "}\n";
}

void AppendTest(const OwnTest& test, std::string& out) {
  out += "  - name: " + Quoted(test.name) + "\n    target: " + Quoted(test.target) + "\n";
  if (!test.port.empty()) out += "    port: " + Quoted(test.port) + "\n";
  if (!test.module.empty()) out += "    module: " + Quoted(test.module) + "\n";
  out += "    every: " + FormatGoDuration(test.every) + "\n";
  out += "    jitter: " + std::to_string(test.jitter_percent) + "%\n";
  if (!test.windows.empty()) {
    out += "    windows:\n";
    for (const TimeWindow& window : test.windows) AppendWindow(window, out);
  }
  if (test.budget) {
    out += "    budget: {bytes: " + FormatByteCount(test.budget->bytes) +
           ", per: " + FormatGoDuration(test.budget->per) + "}\n";
  }
  if (!test.labels.empty()) AppendLabels(test, out);
}

}  // namespace

std::string FormatOwnTests(const std::vector<OwnTestPointer>& tests) {
  if (tests.empty()) return {};
  std::string out = "tests:\n";
  for (const OwnTestPointer& test : tests) AppendTest(*test, out);
  return out;
}

}  // namespace iperf3_exporter
