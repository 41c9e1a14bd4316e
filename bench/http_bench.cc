// The real exporter's /metrics over 64 kept connections, as fast as it can. The result to compare
// is the supervisor's processor time per page, which load on the machine changes little.
#include <benchmark/benchmark.h>
#include <poll.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "bench/exporter_process.h"
#include "bench/kept_connection.h"
#include "bench/measure.h"

namespace iperf3_exporter::bench {
namespace {

constexpr int kConnections = 64;
constexpr std::size_t kResponsesPerIteration = 1000;

double ProcessorSeconds(clockid_t clock) {
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) Die("processor time of the exporter");
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void RequirePage(const std::string& response) {
  if (!response.starts_with("HTTP/1.1 200 OK\r\n") || !response.ends_with("\n") ||
      response.find("\niperf3_exporter_build_info{") == std::string::npos ||
      response.find("\niperf3_exporter_config_last_reload_success_timestamp_seconds{") ==
          std::string::npos) {
    Die("not the page of metrics:\n" + response);
  }
}

void BM_MetricsOver64Connections(benchmark::State& state) {
  const ExporterProcess exporter({});
  std::vector<KeptConnection> connections;
  std::vector<pollfd> polls;
  for (int i = 0; i < kConnections; ++i) {
    KeptConnection& connection = connections.emplace_back(exporter.port());
    polls.push_back({connection.fd(), POLLIN, 0});
    connection.Ask("/metrics");
  }
  clockid_t clock{};
  if (::clock_getcpuclockid(exporter.pid(), &clock) != 0) Die("clock of the exporter");
  std::size_t responses = 0;
  std::size_t page_bytes = 0;
  const double before = ProcessorSeconds(clock);
  for (auto _ : state) {
    const std::size_t target = responses + kResponsesPerIteration;
    while (responses < target) {
      if (::poll(polls.data(), polls.size(), -1) <= 0) Die("poll");
      for (std::size_t i = 0; i < polls.size(); ++i) {
        if (polls[i].revents == 0 || !connections[i].Read()) continue;
        RequirePage(connections[i].response());
        page_bytes = connections[i].response().size();
        ++responses;
        connections[i].Ask("/metrics");
      }
    }
  }
  const double seconds = ProcessorSeconds(clock) - before;
  state.SetItemsProcessed(static_cast<std::int64_t>(responses));
  state.counters["page_bytes"] = static_cast<double>(page_bytes);
  state.counters["us_per_request"] = seconds * 1e6 / static_cast<double>(responses);
  state.counters["requests_per_core_second"] = static_cast<double>(responses) / seconds;
}
BENCHMARK(BM_MetricsOver64Connections)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
