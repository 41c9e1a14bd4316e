// The probes that are not answered yet, or that are answered while their worker still has the job,
// in order of arrival.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/loop/event_loop.h"
#include "supervisor/probe/probe_progress.h"
#include "supervisor/probe/probe_queue.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

enum class ProbeState : std::uint8_t {
  kResolving,
  kQueued,
  kHandedOver,  // its worker has not started iperf3 yet
  kTesting,     // its worker has started iperf3
  kBackoff,     // between two tests
  kJoined,      // waits for the test of another probe
};
inline constexpr std::size_t kProbeStates = 6;

struct Probe {
  using Done = std::function<void(const ProbeOutcome&)>;
  // What its tests have sent and received; nullopt if it is not known of one of them.
  using Ended = std::function<void(const std::optional<Traffic>&)>;

  [[nodiscard]] bool HasWorker() const {
    return state == ProbeState::kHandedOver || state == ProbeState::kTesting;
  }

  const ProbeQueue::Ticket id;
  ProbeProgress progress;
  Done done;    // null once the probe is answered or the scraper has disconnected
  Timer timer;  // by `state`: timeout of lookup or queue, end of the back-off, deadline
  ProbeState state = ProbeState::kResolving;
  bool cancelled_by_drain = false;  // before its worker had reported a start
  Ended ended = nullptr;            // called by ProbeTable::Remove
};

struct WaitingProbe {
  std::string target;
  std::uint16_t port;
  std::chrono::nanoseconds waited;
  std::chrono::nanoseconds left;  // until it gives up waiting
};

class ProbeTable {
 public:
  using Id = ProbeQueue::Ticket;

  // In the state kResolving. `on_timer` is called when the probe's timer expires.
  Probe& Add(Id id, ProbeProgress progress, Probe::Done done, event_base* base,
             std::function<void()> on_timer);
  void Remove(Id id);
  void Enter(Probe& probe, ProbeState state);

  [[nodiscard]] Probe* Find(Id id) const;  // nullptr: none
  [[nodiscard]] Probe& At(Id id) const { return *probes_.at(id); }
  [[nodiscard]] std::vector<Id> Ids() const;
  [[nodiscard]] bool empty() const { return probes_.empty(); }
  [[nodiscard]] std::size_t Count(ProbeState state) const {
    return counts_[static_cast<std::size_t>(state)];
  }
  // The first `max` that wait in the queue or for a lock that another exporter holds.
  [[nodiscard]] std::vector<WaitingProbe> ListWaiting(std::size_t max) const;

 private:
  std::map<Id, std::unique_ptr<Probe>> probes_;
  std::array<std::size_t, kProbeStates> counts_{};
};

}  // namespace iperf3_exporter
