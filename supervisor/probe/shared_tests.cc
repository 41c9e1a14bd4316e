#include "supervisor/probe/shared_tests.h"

#include <algorithm>
#include <utility>

namespace iperf3_exporter {

void SharedTests::Open(Id owner, TestKey key) { tests_[owner] = {std::move(key), {}}; }

std::optional<SharedTests::Id> SharedTests::TryJoin(Id joiner, const TestKey& key) {
  const auto found =
      std::ranges::find_if(tests_, [&key](const auto& entry) { return entry.second.key == key; });
  if (found == tests_.end()) return std::nullopt;
  found->second.joiners.insert(joiner);
  joined_to_[joiner] = found->first;
  return found->first;
}

std::optional<SharedTests::Id> SharedTests::Leave(Id joiner) {
  const auto found = joined_to_.find(joiner);
  if (found == joined_to_.end()) return std::nullopt;
  const Id owner = found->second;
  joined_to_.erase(found);
  tests_.at(owner).joiners.erase(joiner);
  return owner;
}

bool SharedTests::IsJoined(Id owner) const {
  const auto found = tests_.find(owner);
  return found != tests_.end() && !found->second.joiners.empty();
}

std::vector<SharedTests::Id> SharedTests::Close(Id owner) {
  const auto test = tests_.extract(owner);
  if (test.empty()) return {};
  const std::set<Id>& joiners = test.mapped().joiners;
  for (const Id joiner : joiners) joined_to_.erase(joiner);
  return {joiners.begin(), joiners.end()};
}

}  // namespace iperf3_exporter
