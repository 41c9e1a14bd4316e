// Which probes wait for the test of another one. Pure bookkeeping: no time, no processes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "supervisor/results/test_key.h"

namespace iperf3_exporter {

class SharedTests {
 public:
  using Id = std::uint64_t;  // of a probe; a smaller one came earlier

  // From now on, other probes may join the test of `owner`.
  void Open(Id owner, TestKey key);

  // Joins the test of the earliest owner with that key, and returns the owner.
  [[nodiscard]] std::optional<Id> TryJoin(Id joiner, const TestKey& key);

  // The joiner waits no more. Returns the owner of the test that it had joined, if any.
  std::optional<Id> Leave(Id joiner);

  [[nodiscard]] bool IsJoined(Id owner) const;

  // Nobody can join any more. Returns the joiners in order of arrival, which have left. Does
  // nothing if the test is not open.
  std::vector<Id> Close(Id owner);

 private:
  struct Test {
    TestKey key;
    std::set<Id> joiners;
  };

  std::map<Id, Test> tests_;    // by owner
  std::map<Id, Id> joined_to_;  // joiner to owner
};

}  // namespace iperf3_exporter
