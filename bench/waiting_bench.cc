// What the pages cost that people ask for when probes wait: /lock-status and /metrics of the real
// exporter while one test runs and 0, 500 or 5,000 scrapers wait behind it. Every page is compared
// with what it must say before it is timed.
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/exporter_process.h"
#include "common/unique_fd.h"

namespace iperf3_exporter::bench {
namespace {

constexpr std::size_t kLongestQueue = 5000;
constexpr std::size_t kMostListed = 100;
constexpr std::chrono::seconds kPatience{60};

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

// One exporter with one test under way and so many scrapers behind it. Its end ends the test, too.
class Crowd {
 public:
  explicit Crowd(std::size_t waiting)
      : exporter_({"--probe.max-queued=" + std::to_string(kLongestQueue),
                   "--web.max-connections=" + std::to_string(kLongestQueue + 100),
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
    const auto limit = std::chrono::steady_clock::now() + kPatience;
    while (Get(path).find(words) == std::string::npos) {
      if (std::chrono::steady_clock::now() > limit) Die("never came:" + words);
      std::this_thread::yield();
    }
  }

  RealServer server_;
  ExporterProcess exporter_;
  std::vector<UniqueFd> scrapers_;  // ended first
};

// A fixed number of pages, because a crowd takes long to gather and must not gather anew to find
// one.
void EachCrowd(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(0)->Arg(500)->Arg(kLongestQueue);
  benchmark->Iterations(3000)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

void LockStatus(benchmark::State& state) {
  const auto waiting = static_cast<std::size_t>(state.range(0));
  Crowd crowd(waiting);
  const std::string page = crowd.Get("/lock-status");
  const std::size_t listed = std::min(waiting, kMostListed);
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
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
