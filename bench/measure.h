// What the benchmarks share: stopping at a wrong answer, a median, the time of one call.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace iperf3_exporter::bench {

// Prints `why` on stderr and exits with status 1.
[[noreturn]] void Die(const std::string& why);

// The middle of `values` once they are sorted; of an even number the upper of the two.
// `values` must not be empty.
[[nodiscard]] double Median(std::vector<double> values);

// How many seconds `call` takes.
template <typename Call>
[[nodiscard]] double SecondsOf(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace iperf3_exporter::bench
