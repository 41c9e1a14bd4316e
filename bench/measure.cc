#include "bench/measure.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace iperf3_exporter::bench {

void Die(const std::string& message) {
  std::fprintf(stderr, "benchmark: %s\n", message.c_str());
  std::exit(1);
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace iperf3_exporter::bench
