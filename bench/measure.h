// What the benchmarks share: ending the run on an error, a median, the duration of one call.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter::bench {

// Prints `message` on stderr and exits with status 1.
[[noreturn]] void Die(const std::string& message);

// The value of `result`, which must not be an error.
template <typename T>
[[nodiscard]] T ValueOrDie(Result<T> result) {
  if (!result) Die(result.error().message);
  return std::move(*result);
}

// The median; for an even count, the larger of the two middle values. `values` must not be empty.
[[nodiscard]] double Median(std::vector<double> values);

// The duration of `call` in seconds.
template <typename Call>
[[nodiscard]] double SecondsOf(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace iperf3_exporter::bench
