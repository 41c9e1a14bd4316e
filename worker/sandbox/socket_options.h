// The socket options that iperf3 3.9 to 3.21 uses as a client, and why. The filters deny every
// other one: some attach programs to a socket, join groups, change its protocol or return a
// descriptor.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace iperf3_exporter {

enum class OptionUse : std::uint8_t { kGet, kSet, kBoth };

struct SocketOption {
  int level;
  int option;
  OptionUse use;
  std::string_view reason;
};

// Not SO_BINDTODEVICE, which a job has to ask for (JobGrants).
[[nodiscard]] std::span<const SocketOption> SocketOptions();

}  // namespace iperf3_exporter
