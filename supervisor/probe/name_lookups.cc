#include "supervisor/probe/name_lookups.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace iperf3_exporter {
namespace {

constexpr std::size_t kMaxPending = 1024;
// More than a large configuration has targets. A client that makes up more names only makes others
// count as new again.
constexpr std::size_t kMaxRememberedNames = 4096;

void Remember(auto& names, const auto& name) {
  if (names.size() >= kMaxRememberedNames) names.clear();
  names.insert(name);
}

}  // namespace

NameLookups::NameLookups(event_base* base, Lookup lookup)
    : lookup_(std::move(lookup)), threads_(base, {.max_threads = kMaxResolverThreads}) {}

Status NameLookups::Start(Id id, const ProbeRequest& request, Done done) {
  const Key key{
      {request.host.text, request.bind ? request.bind->text : std::string(), request.ip_version},
      request.module};
  if (pending_.size() >= kMaxPending && !pending_.contains(key)) {
    return MakeError("too many names wait to be resolved");
  }
  Pending& pending = pending_[key];
  pending.target = request.host;
  pending.bind = request.bind;
  pending.waiting.emplace(id, Waiter{request.client, std::move(done)});
  Status begun = BeginWaiting();
  // Otherwise it begins after one that runs.
  if (!begun && running_ == Counts{}) {
    pending_.erase(key);
    return begun;
  }
  return {};
}

void NameLookups::Abandon(Id id) {
  for (auto entry = pending_.begin(); entry != pending_.end(); ++entry) {
    Pending& pending = entry->second;
    if (pending.waiting.erase(id) == 0) continue;
    // A lookup that has begun continues in any case: the next probe of that name joins it.
    if (pending.waiting.empty() && !pending.task) pending_.erase(entry);
    return;
  }
}

bool NameLookups::HasRoom(const std::string& client, bool known) const {
  if (running_[0] + running_[1] >= kMaxResolverThreads) return false;
  if (!known && running_[0] >= kMaxForNewNames) return false;
  const auto counts = running_by_client_.find(client);
  return counts == running_by_client_.end() || counts->second[known] < kMaxPerClient;
}

Status NameLookups::BeginWaiting() {
  for (;;) {
    const auto next = FindNext();
    if (next == pending_.end()) return {};
    if (Status begun = Begin(next->first, next->second); !begun) return begun;
  }
}

NameLookups::Lookups::iterator NameLookups::FindNext() {
  auto best = pending_.end();
  const auto rank = [this](const auto& entry) {
    return std::tuple(!entry->second.known, failed_.contains(entry->first.names),
                      entry->second.waiting.begin()->first);
  };
  for (auto entry = pending_.begin(); entry != pending_.end(); ++entry) {
    Pending& pending = entry->second;
    if (pending.task) continue;
    pending.known = known_.contains(entry->first.names);
    const auto waiter = std::ranges::find_if(pending.waiting, [&](const auto& waiting) {
      return HasRoom(waiting.second.client, pending.known);
    });
    if (waiter == pending.waiting.end()) continue;
    pending.client = waiter->second.client;
    if (best == pending_.end() || rank(entry) < rank(best)) best = entry;
  }
  return best;
}

Status NameLookups::Begin(const Key& key, Pending& pending) {
  const auto result = std::make_shared<Result<Resolved>>();
  auto task =
      threads_.Submit([lookup = lookup_, target = pending.target, bind = pending.bind,
                       module = key.module, version = std::get<IpVersion>(key.names),
                       result] { *result = lookup(target, bind, version, module->target_policy); },
                      [this, key, result] { OnDone(key, *result); });
  if (!task) return tl::unexpected(task.error());
  pending.task = std::move(*task);
  ++running_[pending.known];
  ++running_by_client_[pending.client][pending.known];
  return {};
}

void NameLookups::OnDone(const Key& key, const Result<Resolved>& result) {
  const auto entry = pending_.find(key);
  ReleaseThread(entry->second);
  (result ? failed_ : known_).erase(key.names);
  Remember(result ? known_ : failed_, key.names);
  // One by one: each may abandon others, or start a lookup of the same names.
  while (!entry->second.waiting.empty()) {
    const auto next = entry->second.waiting.extract(entry->second.waiting.begin());
    next.mapped().done(result);
  }
  pending_.erase(entry);
  static_cast<void>(BeginWaiting());
}

void NameLookups::ReleaseThread(const Pending& pending) {
  --running_[pending.known];
  const auto counts = running_by_client_.find(pending.client);
  --counts->second[pending.known];
  if (counts->second == Counts{}) running_by_client_.erase(counts);
}

}  // namespace iperf3_exporter
