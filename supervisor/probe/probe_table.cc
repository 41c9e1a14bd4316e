#include "supervisor/probe/probe_table.h"

#include <utility>

namespace iperf3_exporter {

Probe& ProbeTable::Add(Id id, ProbeProgress progress, Probe::Done done, event_base* base,
                       std::function<void()> on_timer) {
  std::unique_ptr<Probe> probe(new Probe{.id = id,
                                         .progress = std::move(progress),
                                         .done = std::move(done),
                                         .timer{base, std::move(on_timer)}});
  ++counts_[static_cast<std::size_t>(probe->state)];
  return *probes_.emplace(id, std::move(probe)).first->second;
}

void ProbeTable::Remove(Id id) {
  const auto node = probes_.extract(id);
  const Probe& probe = *node.mapped();
  --counts_[static_cast<std::size_t>(probe.state)];
  if (probe.ended) probe.ended(probe.progress.traffic());
}

void ProbeTable::Enter(Probe& probe, ProbeState state) {
  --counts_[static_cast<std::size_t>(std::exchange(probe.state, state))];
  ++counts_[static_cast<std::size_t>(state)];
}

Probe* ProbeTable::Find(Id id) const {
  const auto found = probes_.find(id);
  return found == probes_.end() ? nullptr : found->second.get();
}

std::vector<ProbeTable::Id> ProbeTable::Ids() const {
  std::vector<Id> ids;
  for (const auto& entry : probes_) ids.push_back(entry.first);
  return ids;
}

std::vector<WaitingProbe> ProbeTable::ListWaiting(std::size_t max) const {
  std::vector<WaitingProbe> list;
  const TimePoint now = Clock::now();
  for (const auto& [id, probe] : probes_) {
    if (list.size() == max) break;
    if (probe->state != ProbeState::kQueued && probe->state != ProbeState::kHandedOver) continue;
    const ProbeProgress& progress = probe->progress;
    list.push_back({progress.request().target, progress.port(), now - progress.queued(),
                    TimeLeft(progress.queue_deadline())});
  }
  return list;
}

}  // namespace iperf3_exporter
