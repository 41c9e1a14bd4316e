// The ports of a target, as a request or a module names them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

namespace iperf3_exporter {

inline constexpr std::size_t kMaxPorts = 16;

// `5201`, or a range or list of up to kMaxPorts (`5201-5208`, `5201,5301`). Not empty; each port
// once, in the order of the text. nullopt if the text has another form.
[[nodiscard]] std::optional<std::vector<std::uint16_t>> ParsePortList(std::string_view text);

// Begins the list with one of its ports, chosen at random; the others follow in their order.
void RotateToRandomPort(std::vector<std::uint16_t>& ports, std::minstd_rand& random);

}  // namespace iperf3_exporter
