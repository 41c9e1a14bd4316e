// A report of the size of 60 s at 0.1 s intervals, made from a small real one by repeating its
// first interval.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace iperf3_exporter {

// `report`: as iperf3 printed it, with at least one interval. Returns an empty string otherwise.
inline std::string RepeatFirstInterval(std::string_view report, std::size_t times) {
  constexpr std::string_view kKey = "\n\t\"intervals\":\t[";
  constexpr std::string_view kNext = "\n\t\t}";  // the end of an element, no other line is so
  const std::size_t key = report.find(kKey);
  if (key == report.npos) return {};
  const std::size_t begin = key + kKey.size();
  const std::size_t end = report.find(kNext, begin);
  const std::size_t after = report.find("],\n\t\"end\"", begin);
  if (end == report.npos || after == report.npos) return {};
  const std::string_view interval = report.substr(begin, end + kNext.size() - begin);
  std::string large(report.substr(0, begin));
  for (std::size_t i = 0; i < times; ++i) {
    if (i > 0) large += ", ";
    large += interval;
  }
  large += report.substr(after);
  return large;
}

}  // namespace iperf3_exporter
