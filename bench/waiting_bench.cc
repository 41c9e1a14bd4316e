// What /lock-status and /metrics cost while probes wait: the real exporter runs one test, and 0,
// 500 or 5,000 scrapers wait for it. Every page is verified before it is timed.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/exporter_process.h"
#include "bench/kept_connection.h"
#include "bench/measure.h"
#include "common/resource_limit.h"

namespace iperf3_exporter::bench {
namespace {

constexpr std::size_t kMaxQueued = 5000;
constexpr std::size_t kMaxListed = 100;
constexpr std::chrono::seconds kWaitLimit{60};

std::size_t Count(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    ++count;
  }
  return count;
}

// One exporter with a running test and `waiting` scrapers behind it.
class Crowd {
 public:
  explicit Crowd(std::size_t waiting)
      : exporter_({"--probe.max-queued=" + std::to_string(kMaxQueued),
                   "--web.max-connections=" + std::to_string(kMaxQueued + 100),
                   "--lock.timeout=30m"}) {
    (void)RaiseToHardLimit(RLIMIT_NOFILE);  // one descriptor per scraper
    AddScraper();
    AwaitMetric("iperf3_exporter_probes_in_flight 1");
    for (std::size_t i = 0; i < waiting; ++i) AddScraper();
    AwaitMetric("iperf3_exporter_queue_length " + std::to_string(waiting));
  }

  std::string Get(const std::string& path) { return exporter_.Get(path); }

 private:
  void AddScraper() {
    scrapers_.emplace_back(exporter_.port())
        .Ask("/probe?target=127.0.0.1&period=10m&bitrate=1M&port=" + std::to_string(server_.port()),
             std::chrono::minutes(30));
  }

  void AwaitMetric(const std::string& sample) {
    const auto limit = std::chrono::steady_clock::now() + kWaitLimit;
    while (Get("/metrics").find('\n' + sample + '\n') == std::string::npos) {
      if (std::chrono::steady_clock::now() > limit) Die("timed out waiting for " + sample);
      std::this_thread::yield();
    }
  }

  RealServer server_;
  ExporterProcess exporter_;
  std::vector<KeptConnection> scrapers_;  // closed first
};

// A fixed number of pages: to find one the library would create the crowd several times.
void EachCrowd(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(0)->Arg(500)->Arg(kMaxQueued);
  benchmark->Iterations(1000)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

void LockStatus(benchmark::State& state) {
  const auto waiting = static_cast<std::size_t>(state.range(0));
  Crowd crowd(waiting);
  const std::string page = crowd.Get("/lock-status");
  const std::size_t listed = std::min(waiting, kMaxListed);
  if (page.find("\"queue_size\": " + std::to_string(waiting) + ',') == std::string::npos ||
      page.find("\"waiting_omitted\": " + std::to_string(waiting - listed) + ',') ==
          std::string::npos ||
      Count(page, "\"waited\": ") != listed) {
    Die("wrong page:\n" + page);
  }
  for (auto _ : state) benchmark::DoNotOptimize(crowd.Get("/lock-status"));
  state.counters["page_bytes"] = static_cast<double>(page.size());
}
BENCHMARK(LockStatus)->Apply(EachCrowd);

void Metrics(benchmark::State& state) {
  Crowd crowd(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(crowd.Get("/metrics"));
}
BENCHMARK(Metrics)->Apply(EachCrowd);

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
