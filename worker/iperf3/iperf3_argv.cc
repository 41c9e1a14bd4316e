#include "worker/iperf3/iperf3_argv.h"

#include <algorithm>
#include <utility>

namespace iperf3_exporter {
namespace {

class Argv {
 public:
  void Add(const char* option) { words_.emplace_back(option); }
  void Add(const char* option, std::string value) {
    words_.emplace_back(option);
    words_.push_back(std::move(value));
  }
  template <typename Number>
  void AddIfSet(const char* option, const std::optional<Number>& value) {
    if (value) Add(option, std::to_string(*value));
  }
  std::vector<std::string> Take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
};

void AddTraffic(Argv& argv, const TestOptions& test) {
  if (test.protocol == Protocol::kUdp) argv.Add("-u");
  if (test.direction == Direction::kDownload) argv.Add("-R");
  if (test.direction == Direction::kBidirectional) argv.Add("--bidir");
  if (test.parallel != 1) argv.Add("-P", std::to_string(test.parallel));
  if (test.omit_seconds != 0) argv.Add("-O", std::to_string(test.omit_seconds));
  if (test.bitrate_bits_per_second) {
    std::string rate = std::to_string(*test.bitrate_bits_per_second);
    if (test.burst_packets) rate += '/' + std::to_string(*test.burst_packets);
    argv.Add("-b", std::move(rate));
  }
}

void AddSocketOptions(Argv& argv, const TestOptions& test) {
  argv.AddIfSet("-w", test.window_bytes);
  argv.AddIfSet("-M", test.mss_bytes);
  argv.AddIfSet("-l", test.length_bytes);
  // The type of service byte; unlike --dscp, every iperf3 knows it (RFC 2474: the upper six bits).
  if (test.dscp) argv.Add("-S", std::to_string(*test.dscp << 2U));
  argv.AddIfSet("--cport", test.client_port);
  if (test.bind_address) argv.Add("-B", ToString(*test.bind_address));
  if (!test.bind_device.empty()) argv.Add("--bind-dev", test.bind_device);
  if (!test.congestion.empty()) argv.Add("-C", test.congestion);
  if (test.no_delay) argv.Add("-N");
  if (test.zerocopy) argv.Add("-Z");
}

}  // namespace

std::uint32_t IntervalSeconds(std::uint32_t period_seconds) {
  const std::uint32_t seconds = (period_seconds + kMostIntervals - 1) / kMostIntervals;
  return std::clamp(seconds, 1U, kLongestIntervalSeconds);
}

std::optional<std::uint32_t> FittingPeriod(const TestOptions& test, std::chrono::nanoseconds left) {
  using std::chrono::floor;
  using std::chrono::seconds;
  const auto spare = left - seconds(test.omit_seconds);
  if (spare >= seconds(test.period_seconds) + kTestOverhead) return test.period_seconds;
  if (spare < seconds(1) + kTestOverhead) return std::nullopt;
  const auto fits = floor<seconds>(spare - kFarTestOverhead).count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(fits, 1));
}

std::vector<std::string> BuildIperf3Argv(const Job& job, std::uint32_t period_seconds,
                                         const Iperf3Capabilities& capabilities) {
  Argv argv;
  argv.Add("iperf3");
  argv.Add("-J");
  argv.Add(job.address.is_v6 ? "-6" : "-4");
  argv.Add("-c", ToString(job.address));
  argv.Add("-p", std::to_string(job.port));
  argv.Add("-t", std::to_string(period_seconds));
  argv.Add("-i", std::to_string(IntervalSeconds(period_seconds)));
  if (capabilities.connect_timeout) {
    argv.Add("--connect-timeout", std::to_string(job.connect_timeout.count()));
  }
  AddTraffic(argv, job.test);
  AddSocketOptions(argv, job.test);
  return argv.Take();
}

}  // namespace iperf3_exporter
