// How much of a test's budget was used, and when: the content of its file in --state.directory.
//
// The period of a budget is rolling: bytes that were used count for at least `per`, and for at most
// `per` / kMaxEntries longer. So in no time span of length `per` are more than `bytes` used.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"
#include "supervisor/budget/boot_clock.h"

namespace iperf3_exporter {

class BudgetState {
 public:
  // Bytes that were used within `per` / kMaxEntries are kept as one entry.
  static constexpr std::size_t kMaxEntries = 64;
  static constexpr std::size_t kMaxTextBytes = 16 << 10;

  // Nothing was used yet. Pure, as all functions are.
  explicit BudgetState(const ClockReading& now) : now_(now) {}

  // `text` is from Format, perhaps of an earlier process or from before a reboot. The error says
  // what is wrong with it.
  [[nodiscard]] static Result<BudgetState> Parse(std::string_view text, std::string_view test,
                                                 const ClockReading& now);
  [[nodiscard]] std::string Format(std::string_view test) const;

  // Advances the time to `now`, which must be of this boot of the machine, and drops what was used
  // more than `per` ago.
  void Advance(const ClockReading& now, std::chrono::nanoseconds per);

  // Adds bytes that are used now.
  void Add(std::uint64_t bytes, std::chrono::nanoseconds per);
  // Takes back bytes that were added, by Add, at the time `added`. No effect on bytes dropped
  // since.
  void Remove(std::uint64_t bytes, const ClockReading& added);

  [[nodiscard]] std::uint64_t used_bytes() const;
  [[nodiscard]] const ClockReading& now() const { return now_; }

 private:
  struct Entry {
    // The first and the last addition, on the clock of now_.boot. Negative: before its start.
    std::chrono::nanoseconds begin{0};
    std::chrono::nanoseconds end{0};
    std::uint64_t bytes = 0;
  };

  ClockReading now_;
  std::vector<Entry> entries_;  // in order
};

}  // namespace iperf3_exporter
