// What a probe costs beyond the test itself: the whole exporter, lock, sandbox and all, beside
// the bare program with the same arguments, in pairs so that a busy machine troubles both alike.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "bench/exporter_process.h"

namespace iperf3_exporter::bench {
namespace {

using Seconds = std::chrono::duration<double>;

template <typename Call>
double Time(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return Seconds(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void RequireUp(const std::string& answer) {
  if (answer.find("\niperf3_up{") == std::string::npos ||
      answer.find("} 1\n") == std::string::npos) {
    Die("the probe did not succeed:\n" + answer);
  }
}

void ReportPairs(benchmark::State& state, const std::vector<double>& bare,
                 const std::vector<double>& probe) {
  std::vector<double> difference;
  for (std::size_t i = 0; i < bare.size(); ++i) difference.push_back(probe[i] - bare[i]);
  state.counters["bare_ms"] = 1e3 * Median(bare);
  state.counters["probe_ms"] = 1e3 * Median(probe);
  state.counters["overhead_ms"] = 1e3 * Median(difference);
}

const std::vector<std::string>& InstantArguments() {
  static const std::vector<std::string> arguments = {BENCH_BINARY_DIR "/instant_iperf3", "-J", "-c",
                                                     "127.0.0.1"};
  return arguments;
}

// A stand-in that answers at once: nothing is left but the exporter. With a pause before each of a
// pair, which finds processors that have slept and caches that others have used, as probes do.
void BM_ProbeOfAnInstantIperf3(benchmark::State& state) {
  ExporterProcess exporter({"--iperf3.path=" BENCH_BINARY_DIR "/instant_iperf3"});
  const std::string probe = "/probe?target=127.0.0.1&period=1s";
  const std::chrono::milliseconds pause(state.range(0));
  RequireUp(exporter.Get(probe));
  std::vector<double> bare_times;
  std::vector<double> probe_times;
  for (auto _ : state) {
    std::this_thread::sleep_for(pause);
    bare_times.push_back(Time([] { (void)RunProgram(InstantArguments()); }));
    std::this_thread::sleep_for(pause);
    probe_times.push_back(Time([&] { benchmark::DoNotOptimize(exporter.Get(probe)); }));
    state.SetIterationTime(probe_times.back());
  }
  ReportPairs(state, bare_times, probe_times);
}
BENCHMARK(BM_ProbeOfAnInstantIperf3)
    ->UseManualTime()
    ->Iterations(500)
    ->ArgName("pause_ms")
    ->Arg(0)
    ->Arg(20);

// A probe of one second of a server on that port of loopback, and what the exporter gives iperf3
// for it, to the letter.
std::string OneSecond(const std::string& port) {
  return "/probe?target=127.0.0.1&period=1s&port=" + port;
}
std::vector<std::string> BareOneSecond(const std::string& port) {
  return {"iperf3", "-J", "-4", "-c", "127.0.0.1",         "-p",  port,
          "-t",     "1",  "-i", "1",  "--connect-timeout", "5000"};
}

// The same through a real iperf3 and a real server on loopback, one second of test each, as fast as
// it goes (0) or at so many Mbit/s. A test's own length varies by a millisecond or two, so take
// several repetitions.
void BM_ProbeOfARealIperf3(benchmark::State& state) {
  const RealServer server;
  ExporterProcess exporter({});
  const std::string port = std::to_string(server.port());
  std::string probe = OneSecond(port);
  std::vector<std::string> bare = BareOneSecond(port);
  if (const auto megabits = std::to_string(state.range(0)); megabits != "0") {
    probe += "&bitrate=" + megabits + "M";
    bare.insert(bare.end(), {"-b", megabits + "000000"});
  }
  RequireUp(exporter.Get(probe));
  std::vector<double> bare_times;
  std::vector<double> probe_times;
  for (auto _ : state) {
    bare_times.push_back(Time([&] { (void)RunProgram(bare); }));
    probe_times.push_back(Time([&] { RequireUp(exporter.Get(probe)); }));
    state.SetIterationTime(probe_times.back());
  }
  ReportPairs(state, bare_times, probe_times);
}
BENCHMARK(BM_ProbeOfARealIperf3)
    ->UseManualTime()
    ->Iterations(60)
    ->ArgName("Mbit")
    ->Arg(0)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond);

// The number behind the first `key` behind `from` in `text`.
double NumberBehind(const std::string& text, const std::string& from, const std::string& key) {
  const std::size_t at = text.find(key, text.find(from));
  if (at == std::string::npos) Die("no " + key + " in:\n" + text);
  return std::strtod(text.c_str() + at + key.size(), nullptr);
}

// What the receiver measured, through the exporter and bare, in turn: what the filters cost the
// data.
void BM_ThroughputOfARealIperf3(benchmark::State& state) {
  const RealServer server;
  ExporterProcess exporter({});
  const std::string port = std::to_string(server.port());
  const std::string probe = OneSecond(port);
  const std::vector<std::string> bare = BareOneSecond(port);
  std::vector<double> bare_rates;
  std::vector<double> probe_rates;
  std::vector<double> ratios;
  for (auto _ : state) {
    bare_rates.push_back(
        NumberBehind(RunProgram(bare), "\"sum_received\"", "\"bits_per_second\":\t"));
    const std::string& answer = exporter.Get(probe);
    RequireUp(answer);
    probe_rates.push_back(NumberBehind(answer, "\niperf3_bits_per_second{", "side=\"receiver\"} "));
    ratios.push_back(probe_rates.back() / bare_rates.back());
  }
  state.counters["bare_Gbit"] = Median(bare_rates) / 1e9;
  state.counters["probe_Gbit"] = Median(probe_rates) / 1e9;
  state.counters["ratio_median"] = Median(ratios);
  state.counters["ratio_least"] = *std::min_element(ratios.begin(), ratios.end());
  state.counters["ratio_most"] = *std::max_element(ratios.begin(), ratios.end());
}
BENCHMARK(BM_ThroughputOfARealIperf3)->Iterations(25)->Unit(benchmark::kMillisecond);

// Not a time: what an idle exporter with its four workers holds.
void BM_IdleMemory(benchmark::State& state) {
  ExporterProcess exporter({});
  for (auto _ : state) benchmark::DoNotOptimize(exporter.Get("/health"));
  state.counters["proportional_MB"] = static_cast<double>(exporter.ProportionalBytes()) / 1e6;
}
BENCHMARK(BM_IdleMemory)->Iterations(1);

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
