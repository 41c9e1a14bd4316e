#include "supervisor/probe/name_lookups.h"

#include <memory>
#include <utility>

namespace iperf3_exporter {

NameLookups::NameLookups(event_base* base, Lookup lookup, std::size_t max_threads)
    : lookup_(std::move(lookup)), threads_(base, {.max_threads = max_threads}) {}

Status NameLookups::Start(Id id, const Host& target, const std::optional<Host>& bind,
                          IpVersion version, Done done) {
  const Names names(target.text, bind ? bind->text : std::string(), version);
  if (const auto found = pending_.find(names); found != pending_.end()) {
    found->second.waiting.emplace(id, std::move(done));
    return {};
  }
  const auto result = std::make_shared<Result<Resolved>>();
  auto task = threads_.Submit([lookup = lookup_, target, bind, version,
                               result] { *result = lookup(target, bind, version); },
                              [this, names, result] { OnDone(names, *result); });
  if (!task) return tl::unexpected(task.error());
  Pending& pending = pending_[names];
  pending.task = std::move(*task);
  pending.waiting.emplace(id, std::move(done));
  return {};
}

void NameLookups::Abandon(Id id) {
  for (auto entry = pending_.begin(); entry != pending_.end(); ++entry) {
    Pending& pending = entry->second;
    if (pending.waiting.erase(id) == 0) continue;
    // A lookup that has begun continues in any case: the next probe of that name joins it.
    if (pending.waiting.empty() && !pending.task.HasBegun()) pending_.erase(entry);
    return;
  }
}

void NameLookups::OnDone(const Names& names, const Result<Resolved>& result) {
  const auto entry = pending_.find(names);
  // One by one: each may abandon others, or start a lookup of the same names.
  while (!entry->second.waiting.empty()) {
    const auto next = entry->second.waiting.extract(entry->second.waiting.begin());
    next.mapped()(result);
  }
  pending_.erase(entry);
}

}  // namespace iperf3_exporter
