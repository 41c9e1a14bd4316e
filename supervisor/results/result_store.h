// The results of tests that have ended, the latest of each key. In memory only, and bounded: the
// oldest ones are dropped first. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>

#include "common/deadline.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/results/test_key.h"

namespace iperf3_exporter {

// The result of a test that was tried, successful or not.
struct StoredResult {
  TestKey key;
  ProbeReport report;  // for the request whose test it was
  TimePoint began;     // the last attempt
  // The longest period that the time from `began` to the deadline of that request allowed.
  std::uint32_t longest_period_seconds = 0;
};

class ResultStore {
 public:
  // More than a large configuration has targets. Most results have 2 KB; only a name with very many
  // addresses makes the second limit matter.
  static constexpr std::size_t kMaxResults = 1000;
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;

  // Replaces the result with the same key.
  void Add(StoredResult result);

  // nullptr: none. Valid until the next Add.
  [[nodiscard]] const StoredResult* Find(const TestKey& key) const;

  [[nodiscard]] std::size_t size() const { return results_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void Drop(std::list<StoredResult>::const_iterator result);

  std::list<StoredResult> results_;  // in the order of Add
  std::size_t bytes_ = 0;
};

}  // namespace iperf3_exporter
