// The command line of one test, built only from typed fields: no text from a client can become an
// option of iperf3.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/iperf3/option_table.h"
#include "common/iperf3/test_credentials.h"
#include "common/net/ip_address.h"

namespace iperf3_exporter {

// iperf3 samples round-trip time and congestion window once per interval. The limit of
// kMaxIntervals keeps the report of a long test small; 1 s is iperf3's default, 60 s its maximum.
inline constexpr std::uint32_t kMaxIntervals = 60;
inline constexpr std::uint32_t kMaxIntervalSeconds = 60;
[[nodiscard]] std::uint32_t IntervalSeconds(std::uint32_t period_seconds);

// The bytes of each write of a TCP test.
[[nodiscard]] std::uint64_t BlockBytes(const TestOptions& test);

struct Iperf3Command {
  IpAddress address;  // to connect to
  std::uint16_t port = 5201;
  std::chrono::milliseconds connect_timeout{5000};
  TestOptions test;
  const TestCredentials* credentials = nullptr;  // borrowed; nullptr: none
  std::string public_key_path;                   // where iperf3 finds their public key
};

// Includes argv[0]. `period_seconds` replaces the period of `command.test`. Requested options that
// this iperf3 does not support are passed anyway, so that it reports which one it lacks. Options
// that nobody requested are passed only if it supports them. The password is not an argument: see
// Iperf3Process.
[[nodiscard]] std::vector<std::string> BuildIperf3Argv(const Iperf3Command& command,
                                                       std::uint32_t period_seconds,
                                                       const Iperf3Capabilities& capabilities);

}  // namespace iperf3_exporter
