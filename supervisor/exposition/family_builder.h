// Families of prometheus-cpp, built by value for one page. Gauges and counters.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iperf3_exporter {

[[nodiscard]] inline prometheus::MetricFamily BuildFamily(prometheus::MetricType type,
                                                          std::string_view name,
                                                          std::string_view help) {
  return {std::string(name), std::string(help), type, {}};
}

inline void AddSample(prometheus::MetricFamily& family,
                      std::vector<prometheus::ClientMetric::Label> labels, double value) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  const bool counter = family.type == prometheus::MetricType::Counter;
  (counter ? metric.counter.value : metric.gauge.value) = value;
}

// Appends a family with one sample, which has no labels.
inline void AddFamily(std::vector<prometheus::MetricFamily>& families, prometheus::MetricType type,
                      std::string_view name, std::string_view help, double value) {
  AddSample(families.emplace_back(BuildFamily(type, name, help)), {}, value);
}

}  // namespace iperf3_exporter
