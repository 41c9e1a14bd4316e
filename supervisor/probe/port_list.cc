#include "supervisor/probe/port_list.h"

#include <algorithm>
#include <iterator>

#include "common/text.h"

namespace iperf3_exporter {

std::optional<std::vector<std::uint16_t>> ParsePortList(std::string_view text) {
  std::vector<std::uint16_t> ports;
  if (text.find_first_of(" \t") != std::string_view::npos) return std::nullopt;
  do {
    const bool is_last = text.find(',') == std::string_view::npos;
    std::string_view range = TakeUntil(',', text);
    const bool is_range = range.find('-') != std::string_view::npos;
    const auto first = ParseUnsigned(TakeUntil('-', range), 1, UINT16_MAX);
    const auto last = is_range ? ParseUnsigned(range, 1, UINT16_MAX) : first;
    if (!first || !last || *last < *first || *last - *first >= kMaxPorts) return std::nullopt;
    for (auto port = *first; port <= *last; ++port) {
      const auto number = static_cast<std::uint16_t>(port);
      if (std::ranges::find(ports, number) == ports.end()) ports.push_back(number);
    }
    if (ports.size() > kMaxPorts) return std::nullopt;
    if (is_last) return ports;
  } while (true);
}

void RotateToRandomPort(std::vector<std::uint16_t>& ports, std::minstd_rand& random) {
  std::uniform_int_distribution<std::ptrdiff_t> index(0, std::ssize(ports) - 1);
  std::rotate(ports.begin(), ports.begin() + index(random), ports.end());
}

}  // namespace iperf3_exporter
