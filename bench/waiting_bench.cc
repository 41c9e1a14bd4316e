// What /lock-status and /metrics cost while probes wait: the real exporter runs one test, and 0,
// 500 or 5,000 scrapers wait behind it. Every page is verified before it is timed.
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/exporter_process.h"
#include "bench/measure.h"
#include "common/resource_limit.h"
#include "common/unique_fd.h"

namespace iperf3_exporter::bench {
namespace {

constexpr std::size_t kMaxQueued = 5000;
constexpr std::size_t kMaxListed = 100;
constexpr std::chrono::seconds kWaitLimit{60};

UniqueFd Scrape(int exporter_port, int target_port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(exporter_port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string request =
      "GET /probe?target=127.0.0.1&period=10m&bitrate=1M&port=" + std::to_string(target_port) +
      " HTTP/1.1\r\nHost: bench\r\n"
      "X-Prometheus-Scrape-Timeout-Seconds: 1800\r\n\r\n";
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    Die("cannot ask for a probe");
  }
  return fd;
}

std::size_t Count(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    ++count;
  }
  return count;
}

// One exporter with a test that runs and `waiting` scrapers behind it. The destructor ends them
// all.
class Crowd {
 public:
  explicit Crowd(std::size_t waiting)
      : exporter_({"--probe.max-queued=" + std::to_string(kMaxQueued),
                   "--web.max-connections=" + std::to_string(kMaxQueued + 100),
                   "--lock.timeout=30m"}) {
    scrapers_.push_back(Scrape(exporter_.port(), server_.port()));
    AwaitPage("/metrics", "\niperf3_exporter_probes_in_flight 1\n");
    for (std::size_t i = 0; i < waiting; ++i) {
      scrapers_.push_back(Scrape(exporter_.port(), server_.port()));
    }
    AwaitPage("/metrics", "\niperf3_exporter_queue_length " + std::to_string(waiting) + '\n');
  }

  std::string Get(const std::string& path) { return exporter_.Get(path); }

 private:
  void AwaitPage(const std::string& path, const std::string& words) {
    const auto limit = std::chrono::steady_clock::now() + kWaitLimit;
    while (Get(path).find(words) == std::string::npos) {
      if (std::chrono::steady_clock::now() > limit) Die("the page never showed:" + words);
      std::this_thread::yield();
    }
  }

  RealServer server_;
  ExporterProcess exporter_;
  std::vector<UniqueFd> scrapers_;  // closed first
};

// The number of pages is fixed: to find one the library would gather the crowd several times.
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

int main(int argc, char** argv) {
  // One descriptor per scraper.
  (void)iperf3_exporter::RaiseToHardLimit(RLIMIT_NOFILE);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
