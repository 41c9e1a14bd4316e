// Benchmarks of the whole exporter: overhead of a probe, throughput, start, memory. Overhead and
// throughput compare a probe with running iperf3 directly, alternating, so that load on the machine
// affects both.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/exporter_process.h"
#include "bench/measure.h"

namespace iperf3_exporter::bench {
namespace {

constexpr const char* kInstantIperf3 = BENCH_BINARY_DIR "/instant_iperf3";

// Ends the benchmark unless iperf3_up is 1 in `response`.
void RequireUp(const std::string& response) {
  const std::size_t line = response.find("\niperf3_up{");
  const std::size_t value = response.find("} ", line);
  if (line == std::string::npos || value == std::string::npos ||
      response.compare(value, 4, "} 1\n") != 0) {
    Die("the probe failed:\n" + response);
  }
}

// Times the bare program and the probe, pair by pair.
template <typename Bare, typename Probe>
void RunPairs(benchmark::State& state, Bare bare, Probe probe,
              std::chrono::milliseconds pause = std::chrono::milliseconds(0)) {
  std::vector<double> bare_seconds;
  std::vector<double> probe_seconds;
  std::vector<double> differences;
  for (auto _ : state) {
    std::this_thread::sleep_for(pause);
    bare_seconds.push_back(SecondsOf(bare));
    std::this_thread::sleep_for(pause);
    probe_seconds.push_back(SecondsOf(probe));
    differences.push_back(probe_seconds.back() - bare_seconds.back());
    state.SetIterationTime(probe_seconds.back());
  }
  state.counters["bare_ms"] = 1e3 * Median(bare_seconds);
  state.counters["probe_ms"] = 1e3 * Median(probe_seconds);
  state.counters["overhead_ms"] = 1e3 * Median(differences);
}

// With a stand-in for iperf3 that answers at once only the exporter's own time is left. A pause
// before each run lets the processors sleep and the caches go cold, as between real probes.
void BM_ProbeOfAnInstantIperf3(benchmark::State& state) {
  ExporterProcess exporter({std::string("--iperf3.path=") + kInstantIperf3});
  const std::vector<std::string> bare = {kInstantIperf3, "-J", "-c", "127.0.0.1"};
  // Another port each time, because the exporter pauses between the tests of one server.
  int port = 0;
  const auto probe = [&] {
    port = port % 1000 + 1;
    return exporter.Get("/probe?target=127.0.0.1&period=1s&port=" + std::to_string(port));
  };
  RequireUp(probe());
  RunPairs(
      state, [&] { (void)RunProgram(bare); }, [&] { benchmark::DoNotOptimize(probe()); },
      std::chrono::milliseconds(state.range(0)));
}
BENCHMARK(BM_ProbeOfAnInstantIperf3)
    ->UseManualTime()
    ->Iterations(300)
    ->ArgName("pause_ms")
    ->Arg(0)
    ->Arg(20);

// A one-second probe against a real server, and the equivalent iperf3 command.
struct RealTest {
  explicit RealTest(int port)
      : probe("/probe?target=127.0.0.1&period=1s&port=" + std::to_string(port)),
        bare{"iperf3", "-J", "-4", "-c", "127.0.0.1",         "-p",  std::to_string(port),
             "-t",     "1",  "-i", "1",  "--connect-timeout", "5000"} {}

  // Adds one option to both. An empty `value` means that iperf3's option is a flag.
  void Add(const std::string& parameter, const std::string& option, const std::string& value) {
    probe += "&" + parameter + "=" + (value.empty() ? "true" : value);
    bare.push_back(option);
    if (!value.empty()) bare.push_back(value);
  }

  std::string probe;
  std::vector<std::string> bare;
};

// One-second tests; the argument is the rate in Mbit/s, 0 for full speed. Durations vary by 1 to 2
// ms, so the median of one run is accurate to about 0.2 ms: use --benchmark_repetitions for more
// precision.
void BM_ProbeOfARealIperf3(benchmark::State& state) {
  const RealServer server;
  ExporterProcess exporter({});
  RealTest test(server.port());
  if (state.range(0) != 0) {
    test.Add("bitrate", "-b", std::to_string(state.range(0)) + "000000");
  }
  RequireUp(exporter.Get(test.probe));
  RunPairs(
      state, [&] { (void)RunProgram(test.bare); }, [&] { RequireUp(exporter.Get(test.probe)); });
}
BENCHMARK(BM_ProbeOfARealIperf3)
    ->UseManualTime()
    ->Iterations(30)
    ->ArgName("Mbit")
    ->Arg(0)
    ->Arg(10)
    ->Unit(benchmark::kMillisecond);

// The number after the first `key` that follows `from` in `text`.
double NumberAfter(const std::string& text, const std::string& from, const std::string& key) {
  const std::size_t at = text.find(key, text.find(from));
  if (at == std::string::npos) Die("no " + key + " in:\n" + text);
  return std::strtod(text.c_str() + at + key.size(), nullptr);
}

// Throughput through the exporter compared with iperf3 run directly, alternating. `side` selects
// the rate of the sender ("sent") or of the receiver ("received").
void CompareThroughput(benchmark::State& state, const RealTest& test, ExporterProcess& exporter,
                       const std::string& side) {
  const std::string report_object = "\"sum_" + side + '"';
  const std::string side_label = side == "sent" ? "sender" : "receiver";
  std::vector<double> bare_rates;
  std::vector<double> probe_rates;
  std::vector<double> ratios;
  for (auto _ : state) {
    bare_rates.push_back(
        NumberAfter(RunProgram(test.bare), report_object, "\"bits_per_second\":\t"));
    const std::string& response = exporter.Get(test.probe);
    RequireUp(response);
    probe_rates.push_back(
        NumberAfter(response, "\niperf3_bits_per_second{", "side=\"" + side_label + "\"} "));
    ratios.push_back(probe_rates.back() / bare_rates.back());
  }
  state.counters["bare_Gbit"] = Median(bare_rates) / 1e9;
  state.counters["probe_Gbit"] = Median(probe_rates) / 1e9;
  state.counters["ratio_median"] = Median(ratios);
  state.counters["ratio_min"] = *std::min_element(ratios.begin(), ratios.end());
  state.counters["ratio_max"] = *std::max_element(ratios.begin(), ratios.end());
}

void BM_TcpThroughput(benchmark::State& state) {
  const RealServer server;
  ExporterProcess exporter({});
  CompareThroughput(state, RealTest(server.port()), exporter, "received");
}
BENCHMARK(BM_TcpThroughput)->Iterations(10)->Unit(benchmark::kMillisecond);

// Datagrams of 64 bytes at full speed: one system call each, so the filters cost most here.
void BM_UdpThroughputOf64Bytes(benchmark::State& state) {
  const RealServer server;
  ExporterProcess exporter({});
  RealTest test(server.port());
  test.Add("udp_mode", "-u", "");
  test.Add("bitrate", "-b", "100G");
  test.Add("length", "-l", "64");
  // The rate of the sender: the receiver drops most packets, how many depends on the load.
  CompareThroughput(state, test, exporter, "sent");
}
BENCHMARK(BM_UdpThroughputOf64Bytes)->Iterations(20)->Unit(benchmark::kMillisecond);

void BM_StartToFirstMetrics(benchmark::State& state) {
  for (auto _ : state) {
    std::optional<ExporterProcess> exporter;
    state.SetIterationTime(SecondsOf([&] {
      exporter.emplace(std::vector<std::string>(), "msg=listening");
      (void)exporter->Get("/metrics");
    }));
  }
}
BENCHMARK(BM_StartToFirstMetrics)->UseManualTime()->Iterations(30)->Unit(benchmark::kMillisecond);

// The memory of an idle exporter with its four workers.
void BM_IdleMemory(benchmark::State& state) {
  ExporterProcess exporter({});
  for (auto _ : state) (void)exporter.Get("/health");
  state.counters["proportional_MB"] = static_cast<double>(exporter.ProportionalBytes()) / 1e6;
}
BENCHMARK(BM_IdleMemory)->Iterations(1);

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
