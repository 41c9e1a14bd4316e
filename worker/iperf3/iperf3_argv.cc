#include "worker/iperf3/iperf3_argv.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace iperf3_exporter {
namespace {

// The value of an option that is set; empty if the option has no value.
class ArgumentValue {
 public:
  explicit ArgumentValue(const TestOptions& test) : test_(test) {}

  std::string operator()(const NumberOption& number) const {
    const std::uint64_t value = GetNumber(number, test_).value_or(0);
    // The type of service byte has the code point in its upper six bits (RFC 2474).
    return std::to_string(number.form == NumberForm::kDscp ? value << 2U : value);
  }
  std::string operator()(const BitrateOption&) const {
    std::string rate = std::to_string(test_.bitrate_bits_per_second.value_or(0));
    if (test_.burst_packets) rate += '/' + std::to_string(*test_.burst_packets);
    return rate;
  }
  std::string operator()(const NameOption& name) const { return test_.*name.member; }
  template <typename Flag>
  std::string operator()(const Flag& /*no value*/) const {
    return {};
  }

 private:
  const TestOptions& test_;
};

void AddOptions(std::vector<std::string>& argv, const TestOptions& test) {
  for (const TestOption& option : kTestOptions) {
    if (option.name == "period" || !IsSet(option, test)) continue;
    argv.emplace_back(option.argument);
    std::string value = std::visit(ArgumentValue(test), option.kind);
    if (!value.empty()) argv.push_back(std::move(value));
  }
  if (test.bind_address) argv.insert(argv.end(), {"-B", ToString(*test.bind_address)});
}

void AddCredentials(std::vector<std::string>& argv, const Iperf3Command& command,
                    const Iperf3Capabilities& capabilities) {
  argv.insert(argv.end(), {"--username", command.credentials->username, "--rsa-public-key-path",
                           command.public_key_path});
  if (command.credentials->pkcs1_padding && capabilities.pkcs1_padding) {
    argv.emplace_back("--use-pkcs1-padding");
  }
}

// The interval, in seconds, of a test that ends after a number of bytes.
std::string ShortInterval(std::uint32_t period_seconds) {
  constexpr std::uint32_t kTenths = 10;
  const std::uint32_t tenths =
      std::clamp(period_seconds * kTenths / kMaxIntervals, 1U, kMaxIntervalSeconds * kTenths);
  return std::to_string(tenths / kTenths) + '.' + std::to_string(tenths % kTenths);
}

constexpr std::uint64_t kDefaultBlockBytes = 128U << 10U;

// What all streams together may leave uncounted: from 3.16 on a block counts when it is whole. With
// blocks of 128 KiB and 128 streams that was 73 % of 5 s at 10 Mbit/s. Shorter blocks cost
// processor time: 16 KiB allow 3 Gbit/s with one stream and 10 with eight, where 128 KiB allow 11
// and 24 (3.18, a virtual link with an MTU of 1500, two cores).
constexpr std::uint64_t kUncountedBytes = 1U << 20U;
constexpr std::uint64_t kMinSharedBlockBytes = 16U << 10U;

// The length of a write of TCP with many streams or a low bitrate, nullopt if iperf3's own will do.
// iperf3 writes a whole block whenever it is behind its bitrate, so a test exceeds it by up to one
// block: with the default of 128 KiB, one second at 100 kbit/s sends ten times too much.
std::optional<std::uint64_t> ShortBlockBytes(const TestOptions& test) {
  constexpr std::uint64_t kBlocksPerSecond = 20;
  if (test.protocol != Protocol::kTcp || test.length_bytes) return std::nullopt;
  std::uint64_t bytes = std::max(kUncountedBytes / test.parallel, kMinSharedBlockBytes);
  if (const std::uint64_t bitrate = test.bitrate_bits_per_second.value_or(0); bitrate != 0) {
    bytes = std::min(bytes, std::max<std::uint64_t>(1, bitrate / 8 / kBlocksPerSecond));
  }
  return bytes < kDefaultBlockBytes ? std::optional(bytes) : std::nullopt;
}

}  // namespace

std::uint64_t BlockBytes(const TestOptions& test) {
  return test.length_bytes.value_or(ShortBlockBytes(test).value_or(kDefaultBlockBytes));
}

std::uint32_t IntervalSeconds(std::uint32_t period_seconds) {
  const std::uint32_t seconds = (period_seconds + kMaxIntervals - 1) / kMaxIntervals;
  return std::clamp(seconds, 1U, kMaxIntervalSeconds);
}

std::vector<std::string> BuildIperf3Argv(const Iperf3Command& command, std::uint32_t period_seconds,
                                         const Iperf3Capabilities& capabilities) {
  const TestOptions& test = command.test;
  std::vector<std::string> argv = {"iperf3",
                                   "-J",
                                   command.address.is_v6 ? "-6" : "-4",
                                   "-c",
                                   ToString(command.address),
                                   "-p",
                                   std::to_string(command.port)};
  // iperf3 rejects -t together with -n, and from 3.16 on checks -n only at the end of an interval.
  if (!test.bytes) argv.insert(argv.end(), {"-t", std::to_string(period_seconds)});
  argv.insert(argv.end(), {"-i", test.bytes ? ShortInterval(period_seconds)
                                            : std::to_string(IntervalSeconds(period_seconds))});
  if (capabilities.connect_timeout) {
    argv.insert(argv.end(), {"--connect-timeout", std::to_string(command.connect_timeout.count())});
  }
  if (capabilities.udp_counters_64bit && test.protocol == Protocol::kUdp) {
    argv.emplace_back("--udp-counters-64bit");
  }
  if (const auto bytes = ShortBlockBytes(test)) {
    argv.insert(argv.end(), {"-l", std::to_string(*bytes)});
  }
  AddOptions(argv, test);
  if (command.credentials != nullptr) AddCredentials(argv, command, capabilities);
  return argv;
}

}  // namespace iperf3_exporter
