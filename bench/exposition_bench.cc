// What a page costs: that of a probe, /metrics in both formats, and /lock-status. Every page is
// verified before it is timed.
#include <benchmark/benchmark.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/web/pages.h"
#include "tests/supervisor/exposition/exposition_samples.h"

namespace iperf3_exporter {
namespace {

void Require(bool condition, const char* what) {
  if (!condition) bench::Die(std::string("wrong page: ") + what);
}

bool Has(const std::string& page, const char* line) {
  return page.find(std::string("\n") + line + '\n') != std::string::npos;
}

void CountBytes(benchmark::State& state, std::size_t page_bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(page_bytes));
  state.counters["page_bytes"] = static_cast<double>(page_bytes);
}

void ProbePage(benchmark::State& state, Protocol protocol, Direction direction,
               ExpositionFormat format) {
  const ProbeReport report = SampleReport(protocol, direction);
  const std::string page = BuildProbePage(report, {}, format);
  Require(Has(page, "iperf3_up{target=\"[2001:db8::1]\",port=\"5201\"} 1"), "iperf3_up");
  Require(Has(page, "iperf3_probe_duration_seconds{target=\"[2001:db8::1]\",port=\"5201\"} 5.034"),
          "iperf3_probe_duration_seconds");
  for (auto _ : state) {
    benchmark::DoNotOptimize(BuildProbePage(report, {}, format));
  }
  CountBytes(state, page.size());
}
BENCHMARK_CAPTURE(ProbePage, tcp, Protocol::kTcp, Direction::kUpload, ExpositionFormat::kText);
BENCHMARK_CAPTURE(ProbePage, udp, Protocol::kUdp, Direction::kUpload, ExpositionFormat::kText);
BENCHMARK_CAPTURE(ProbePage, tcp_bidirectional, Protocol::kTcp, Direction::kBidirectional,
                  ExpositionFormat::kText);
BENCHMARK_CAPTURE(ProbePage, tcp_openmetrics, Protocol::kTcp, Direction::kUpload,
                  ExpositionFormat::kOpenMetrics);

// As a server sees it: each page counts one request more, and nothing else has changed.
void MetricsPage(benchmark::State& state, ExpositionFormat format) {
  ExporterMetrics metrics;
  metrics.SetIperf3Version("3.12");
  metrics.OnReport(SampleReport(Protocol::kTcp, Direction::kUpload));
  const LiveState live = SampleState();
  HttpStatistics http = SampleHttp();
  Require(Has(**metrics.Page(format, live, http),
              "iperf3_exporter_http_requests_total{path=\"/metrics\",code=\"200\"} 10"),
          "http_requests_total");
  std::size_t page_bytes = 0;
  for (auto _ : state) {
    ++http.requests[{"/metrics", 200}];
    page_bytes = metrics.Page(format, live, http).value()->size();
  }
  CountBytes(state, page_bytes);
}
BENCHMARK_CAPTURE(MetricsPage, text, ExpositionFormat::kText);
BENCHMARK_CAPTURE(MetricsPage, openmetrics, ExpositionFormat::kOpenMetrics);

// The same with an event between two pages, so that nearly everything is formatted again.
void MetricsPageAfterEvent(benchmark::State& state) {
  ExporterMetrics metrics;
  const LiveState live = SampleState();
  const HttpStatistics http = SampleHttp();
  Require(Has(**metrics.Page(ExpositionFormat::kText, live, http),
              "iperf3_exporter_lock_timeouts_total 0"),
          "lock_timeouts_total");
  std::size_t page_bytes = 0;
  for (auto _ : state) {
    metrics.OnLockTimeout();
    page_bytes = metrics.Page(ExpositionFormat::kText, live, http).value()->size();
  }
  CountBytes(state, page_bytes);
}
BENCHMARK(MetricsPageAfterEvent);

// /lock-status while that many probes wait.
void LockStatusPage(benchmark::State& state) {
  LockStatus status;
  status.name = "iperf3_exporter";
  status.queue_size = static_cast<std::size_t>(state.range(0));
  for (std::size_t i = 0; i < std::min(status.queue_size, kMaxListedWaiting); ++i) {
    status.waiting.push_back({"iperf3-" + std::to_string(i) + ".example.org", 5201,
                              std::chrono::milliseconds(i), std::chrono::seconds(60)});
  }
  const auto now = std::chrono::system_clock::now();
  const std::string page = BuildLockStatus(status, now);
  const auto parsed = nlohmann::json::parse(page);
  Require(parsed["queue_size"] == status.queue_size, "queue_size");
  Require(parsed["waiting"].size() == status.waiting.size(), "waiting");
  Require(parsed["waiting_omitted"] == status.queue_size - status.waiting.size(),
          "waiting_omitted");
  for (auto _ : state) benchmark::DoNotOptimize(BuildLockStatus(status, now));
  CountBytes(state, page.size());
}
BENCHMARK(LockStatusPage)->Arg(0)->Arg(500)->Arg(5000);

// For comparison: prometheus-cpp with a registry per probe, 20 gauges, and its serializer.
void PrometheusCppRegistryPerProbe(benchmark::State& state) {
  const auto build = [] {
    prometheus::Registry registry;
    for (int i = 0; i < 20; ++i) {
      prometheus::BuildGauge()
          .Name("iperf3_gauge_" + std::to_string(i))
          .Help("Bytes that the sender sent, over all streams.")
          .Register(registry)
          .Add({{"target", "[2001:db8::1]"}, {"port", "5201"}})
          .Set(3145728000.0 + i);
    }
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, registry.Collect());
    return text.str();
  };
  const std::string page = build();
  Require(Has(page, "# TYPE iperf3_gauge_19 gauge"), "prometheus-cpp");
  for (auto _ : state) benchmark::DoNotOptimize(build());
  CountBytes(state, page.size());
}
BENCHMARK(PrometheusCppRegistryPerProbe);

}  // namespace
}  // namespace iperf3_exporter

BENCHMARK_MAIN();
