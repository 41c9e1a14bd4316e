// Families of prometheus-cpp, built by value for one page.
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

inline void AddGauge(prometheus::MetricFamily& family,
                     std::vector<prometheus::ClientMetric::Label> labels, double value) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.gauge.value = value;
}

inline void AddCounter(prometheus::MetricFamily& family,
                       std::vector<prometheus::ClientMetric::Label> labels, double value) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.counter.value = value;
}

}  // namespace iperf3_exporter
