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

// Up to kMaxPorts ports as a list of ports and ranges: `5201`, `5201-5208`, `5201,5301-5302`. Each
// port once, in the order of the text. nullopt if the text has another form.
[[nodiscard]] std::optional<std::vector<std::uint16_t>> ParsePortList(std::string_view text);

// Rotates the list to begin at a random one of its ports. It must not be empty.
void RotateToRandomPort(std::vector<std::uint16_t>& ports, std::minstd_rand& random);

}  // namespace iperf3_exporter
