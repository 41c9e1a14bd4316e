// Lookups of names off the event loop.
//
// The system's resolver does them, on threads: targets have the addresses that they have for any
// other program of this host (nsswitch.conf, hosts, mDNS), which c-ares does not ensure, and
// getaddrinfo_a uses threads as well. Such a lookup can't be cancelled: when a server does not
// answer, its thread hangs until the resolver gives up (resolv.conf: 5 s, times attempts, times
// servers), although the scraper has long hung up. So there are few threads, and
// - a name occupies one thread for each module, however many probes need it;
// - names whose last lookup succeeded come first, those whose last lookup failed come last, and the
//   last threads are for the former alone;
// - one client has at most kMaxPerClient threads for those names, and as many for all others.
// A lookup that has no thread yet waits, and is dropped when nobody needs it any more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "common/error.h"
#include "supervisor/loop/task_pool.h"
#include "supervisor/probe/resolver.h"

namespace iperf3_exporter {

// The exporter reserves a descriptor for each, and the systemd unit's task limit allows for them
// beside the threads of iperf3.
inline constexpr std::size_t kMaxResolverThreads = 32;

class NameLookups {
 public:
  using Id = std::uint64_t;
  using Lookup = std::function<Result<Resolved>(const Host& target, const std::optional<Host>& bind,
                                                IpVersion version, const TargetPolicy& policy)>;
  using Done = std::function<void(const Result<Resolved>&)>;

  // Threads for names whose last lookup did not succeed, or that are new.
  static constexpr std::size_t kMaxForNewNames = 24;
  static constexpr std::size_t kMaxPerClient = 8;

  // `lookup` runs on the threads, perhaps longer than this object lives. It may block.
  NameLookups(event_base* base, Lookup lookup);

  // Calls `done` on the loop, later, unless `id` is abandoned first. Joins a pending lookup of the
  // same names with the same module. `id` must grow from call to call. Fails, having called
  // nothing, when too many names wait for a thread, or when none can be started.
  [[nodiscard]] Status Start(Id id, const ProbeRequest& request, Done done);

  // Does nothing when `id` does not wait.
  void Abandon(Id id);

  [[nodiscard]] std::size_t ThreadCount() const { return threads_.ThreadCount(); }

 private:
  using Names = std::tuple<std::string, std::string, IpVersion>;  // target, bind
  using Counts = std::array<std::size_t, 2>;                      // of new names, of known names
  struct Waiter {
    std::string client;
    Done done;
  };
  struct Pending {
    Host target;
    std::optional<Host> bind;
    std::map<Id, Waiter> waiting;
    // Once a thread has the lookup: until its end, even if nobody waits any more.
    std::optional<TaskPool::Task> task;
    bool known = false;
    std::string client;  // whose share it uses
  };
  // The module decides which addresses are allowed.
  struct Key {
    Names names;
    ModulePointer module;
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr): see defects.h
  };
  using Lookups = std::map<Key, Pending>;

  [[nodiscard]] bool HasRoom(const std::string& client, bool known) const;
  [[nodiscard]] Status BeginWaiting();
  // The lookup to begin next, with `known` and `client` set; pending_.end() if there is none.
  [[nodiscard]] Lookups::iterator FindNext();
  [[nodiscard]] Status Begin(const Key& key, Pending& pending);
  void OnDone(const Key& key, const Result<Resolved>& result);
  void ReleaseThread(const Pending& pending);

  Lookup lookup_;
  TaskPool threads_;
  Lookups pending_;
  std::set<Names> known_;   // whose last lookup succeeded
  std::set<Names> failed_;  // whose last lookup failed
  Counts running_{};
  std::map<std::string, Counts> running_by_client_;
};

}  // namespace iperf3_exporter
