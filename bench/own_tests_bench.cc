// The real exporter with many tests of its own: start, memory, /results, and how long its event
// loop is held up while tests start and /results is built and sent.
//
// The loop is observed from outside: between a request for /metrics and its response, the loop's
// thread can't have worked on anything else for longer than the processor time that it used in
// between. That hardly depends on the load of the machine; the time on the clock does.
#include <benchmark/benchmark.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/exporter_process.h"
#include "bench/kept_connection.h"
#include "bench/measure.h"

namespace iperf3_exporter::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kInstantIperf3 = BENCH_BINARY_DIR "/instant_iperf3";
constexpr char kGzip[] = "Accept-Encoding: gzip\r\n";

// A configuration file with that many tests, removed with this.
class ConfigFile {
 public:
  explicit ConfigFile(std::int64_t tests)
      : path_(std::filesystem::temp_directory_path() /
              ("own_tests_bench." + std::to_string(::getpid()) + ".yml")) {
    std::ofstream file(path_);
    // On average 250 starts a second at most.
    file << "modules: {quick: {period: 1s, bitrate: 1M}}\ntests:\n";
    const std::string every = tests > 1000 ? "40s" : "10s";
    for (std::int64_t i = 0; i < tests; ++i) {
      file << "  - {name: site-" << i << ", target: 127.0.0.1, port: " << 5000 + i % 10'000
           << ", module: quick, every: " << every << ", labels: {site: s" << i % 50 << "}}\n";
    }
    if (!file.flush()) Die("writing the configuration file");
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  [[nodiscard]] std::string flag() const { return "--config.file=" + path_.string(); }

 private:
  std::filesystem::path path_;
};

std::int64_t Count(std::string_view text, std::string_view part) {
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; ++at) ++count;
  return count;
}

std::string Unpack(std::string_view packed) {
  std::string text(std::size_t{100} << 20, '\0');
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK || inflate(&stream, Z_FINISH) != Z_STREAM_END) {
    Die("the page is not gzip");
  }
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

const std::string& Get(KeptConnection& connection, const std::string& fields) {
  connection.Ask("/results", seconds(30), fields);
  while (!connection.Read()) {
  }
  return connection.response();
}

std::string_view BodyOf(std::string_view response) {
  return response.substr(response.find("\r\n\r\n") + 4);
}

// Verifies the page of `tests` tests and returns how many of them have a result.
std::int64_t CountResults(std::string_view page, std::int64_t tests) {
  if (Count(page, "\niperf3_runs_total{") != 2 * tests ||
      Count(page, "\niperf3_next_run_timestamp_seconds{") != tests ||
      Count(page, "\n# TYPE iperf3_up gauge\n") != (Count(page, "\niperf3_up{") > 0 ? 1 : 0) ||
      !page.ends_with('\n')) {
    Die("not the page of all tests");
  }
  return Count(page, "\niperf3_up{");
}

// Of the main thread, which runs the loop.
double LoopMilliseconds(pid_t exporter) {
  const std::string pid = std::to_string(exporter);
  std::ifstream file("/proc/" + pid + "/task/" + pid + "/schedstat");
  double nanoseconds = 0;
  if (!(file >> nanoseconds)) Die("processor time of the exporter");
  return nanoseconds * 1e-6;
}

// Asks for /metrics all the time, until Stop.
class LoopWatch {
 public:
  explicit LoopWatch(const ExporterProcess& exporter)
      : thread_([this, pid = exporter.pid(), port = exporter.port()] { Run(pid, port); }) {}

  struct Longest {
    double loop_ms = 0;   // of processor time
    double clock_ms = 0;  // the 99th percentile
  };
  [[nodiscard]] Longest Stop() {
    stopping_ = true;
    thread_.join();
    std::ranges::sort(clock_ms_);
    return {longest_loop_ms_, clock_ms_[clock_ms_.size() * 99 / 100]};
  }

 private:
  void Run(pid_t pid, int port) {
    KeptConnection connection(port);
    while (!stopping_) {
      const double before = LoopMilliseconds(pid);
      clock_ms_.push_back(1e3 * SecondsOf([&] {
                            connection.Ask("/metrics");
                            while (!connection.Read()) {
                            }
                          }));
      longest_loop_ms_ = std::max(longest_loop_ms_, LoopMilliseconds(pid) - before);
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  std::atomic<bool> stopping_ = false;
  double longest_loop_ms_ = 0;
  std::vector<double> clock_ms_;
  std::thread thread_;
};

void SetCounters(benchmark::State& state, const std::string& name,
                 const LoopWatch::Longest& longest) {
  state.counters[name + "_loop_ms"] = longest.loop_ms;
  state.counters[name + "_p99_ms"] = longest.clock_ms;
}

void MeasurePage(benchmark::State& state, const ExporterProcess& exporter, const std::string& name,
                 const std::string& fields) {
  KeptConnection connection(exporter.port());
  LoopWatch watch(exporter);
  std::vector<double> times_ms;
  for (int i = 0; i < 10; ++i) {
    times_ms.push_back(1e3 * SecondsOf([&] { Get(connection, fields); }));
    std::this_thread::sleep_for(milliseconds(100));
  }
  SetCounters(state, name, watch.Stop());
  const std::string_view body = BodyOf(connection.response());
  CountResults(fields.empty() ? body : Unpack(body), state.range(0));
  state.counters[name + "_ms"] = Median(times_ms);
  state.counters[name + "_MB"] = static_cast<double>(body.size()) * 1e-6;
}

// When the exporter last read its configuration file, as text.
std::string ReloadTime(KeptConnection& connection) {
  constexpr std::string_view kName =
      "\niperf3_exporter_config_last_reload_success_timestamp_seconds{file=\"config\"} ";
  connection.Ask("/metrics");
  while (!connection.Read()) {
  }
  const std::string& page = connection.response();
  const std::size_t at = page.find(kName);
  if (at == std::string::npos) Die("no time of the last reload:\n" + page);
  return page.substr(at + kName.size(), page.find('\n', at + 1) - at - kName.size());
}

void MeasureReload(benchmark::State& state, const ExporterProcess& exporter) {
  KeptConnection connection(exporter.port());
  const std::string before = ReloadTime(connection);
  LoopWatch watch(exporter);
  state.counters["reload_ms"] = 1e3 * SecondsOf([&] {
                                  ::kill(exporter.pid(), SIGHUP);
                                  while (ReloadTime(connection) == before) {
                                    std::this_thread::sleep_for(milliseconds(1));
                                  }
                                });
  // The new tests may be taken over afterwards.
  std::this_thread::sleep_for(seconds(1));
  SetCounters(state, "reload", watch.Stop());
}

void OwnTests(benchmark::State& state) {
  const std::int64_t tests = state.range(0);
  const ConfigFile file(tests);
  for (auto _ : state) {
    std::unique_ptr<ExporterProcess> exporter;
    state.counters["start_ms"] =
        1e3 * SecondsOf([&] {
          exporter = std::make_unique<ExporterProcess>(std::vector<std::string>{
              file.flag(), std::string("--iperf3.path=") + kInstantIperf3, "--lock.scope=none"});
        });
    state.counters["new_MB"] = static_cast<double>(exporter->ProportionalBytes()) * 1e-6;
    {
      KeptConnection connection(exporter->port());
      const auto end = std::chrono::steady_clock::now() + seconds(300);
      // After the start the tests are added little by little.
      while (Count(BodyOf(Get(connection, "")), "\niperf3_up{") < tests) {
        if (std::chrono::steady_clock::now() > end) Die("not every test has run within 300 s");
        std::this_thread::sleep_for(seconds(1));
      }
    }
    LoopWatch watch(*exporter);
    std::this_thread::sleep_for(seconds(10));
    SetCounters(state, "starts", watch.Stop());
    state.counters["full_MB"] = static_cast<double>(exporter->ProportionalBytes()) * 1e-6;
    MeasurePage(state, *exporter, "plain", "");
    MeasurePage(state, *exporter, "gzip", kGzip);
    MeasureReload(state, *exporter);
    state.counters["afterwards_MB"] = static_cast<double>(exporter->ProportionalBytes()) * 1e-6;
  }
}
BENCHMARK(OwnTests)->Arg(100)->Arg(10'000)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
