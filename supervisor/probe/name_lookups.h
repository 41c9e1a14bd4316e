// Lookups of names off the event loop. A lookup that hangs delays no other name: it occupies one
// thread, however many probes need that name, until the system's resolver gives up (resolv.conf:
// 5 s, times attempts, times servers). Only when kMaxResolverThreads different names hang does a
// further one wait for a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "common/error.h"
#include "supervisor/loop/task_pool.h"
#include "supervisor/probe/resolver.h"

namespace iperf3_exporter {

// The exporter reserves a descriptor for each, and the systemd unit's task limit allows for them
// beside the threads of iperf3.
inline constexpr std::size_t kMaxResolverThreads = 256;

class NameLookups {
 public:
  using Id = std::uint64_t;
  using Lookup = std::function<Result<Resolved>(const Host& target, const std::optional<Host>& bind,
                                                IpVersion version)>;
  using Done = std::function<void(const Result<Resolved>&)>;

  // `lookup` runs on the threads, perhaps longer than this object lives. It may block.
  NameLookups(event_base* base, Lookup lookup, std::size_t max_threads = kMaxResolverThreads);

  // Calls `done` on the loop, later, unless `id` is abandoned first. Joins a pending lookup of the
  // same names. Fails, having called nothing, when too many names wait for a thread.
  [[nodiscard]] Status Start(Id id, const Host& target, const std::optional<Host>& bind,
                             IpVersion version, Done done);

  // Does nothing when `id` does not wait.
  void Abandon(Id id);

  [[nodiscard]] std::size_t ThreadCount() const { return threads_.ThreadCount(); }

 private:
  using Names = std::tuple<std::string, std::string, IpVersion>;  // target, bind
  struct Pending {
    TaskPool::Task task;
    std::map<Id, Done> waiting;
  };

  void OnDone(const Names& names, const Result<Resolved>& result);

  Lookup lookup_;
  TaskPool threads_;
  std::map<Names, Pending> pending_;
};

}  // namespace iperf3_exporter
