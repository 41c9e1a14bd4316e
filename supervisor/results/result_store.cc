#include "supervisor/results/result_store.h"

#include <algorithm>
#include <utility>

namespace iperf3_exporter {
namespace {

// Memory, at least.
std::size_t SizeOf(const StoredResult& result) {
  const ProbeReport& report = result.report;
  std::size_t bytes = sizeof(StoredResult) + result.key.target.text.capacity() +
                      result.key.ports.capacity() * sizeof(std::uint16_t) +
                      result.key.addresses.capacity() * sizeof(AddressPair) +
                      report.target.capacity();
  if (result.key.bind) bytes += result.key.bind->text.capacity();
  if (!report.result) bytes += report.result.error().detail.capacity();
  return bytes;
}

}  // namespace

void ResultStore::Add(StoredResult result) {
  const auto same = std::ranges::find(results_, result.key, &StoredResult::key);
  if (same != results_.end()) Drop(same);
  results_.push_back(std::move(result));
  bytes_ += SizeOf(results_.back());
  while (results_.size() > kMaxResults || bytes_ > kMaxBytes) Drop(results_.begin());
}

void ResultStore::Drop(std::list<StoredResult>::const_iterator result) {
  bytes_ -= SizeOf(*result);
  results_.erase(result);
}

const StoredResult* ResultStore::Find(const TestKey& key) const {
  const auto found = std::ranges::find(results_, key, &StoredResult::key);
  return found == results_.end() ? nullptr : &*found;
}

}  // namespace iperf3_exporter
