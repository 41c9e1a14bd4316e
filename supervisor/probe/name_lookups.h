// Lookups of names off the event loop. A name that hangs costs nobody else anything: it holds one
// thread, however many probes ask for it and however often, until the system's resolver gives it
// up (resolv.conf: 5 s, times attempts, times servers). Only when kMaxResolverThreads different
// names hang at once does a further one wait for a thread.
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

// With a socket each, which the supervisor's own descriptors allow for, and a thread each, which
// the task limit of our systemd unit allows for beside the tests (iperf3 has a thread per stream).
inline constexpr std::size_t kMaxResolverThreads = 256;

class NameLookups {
 public:
  using Id = std::uint64_t;
  using Lookup = std::function<Result<Resolved>(const Host& target, const std::optional<Host>& bind,
                                                IpVersion version)>;
  using Done = std::function<void(const Result<Resolved>&)>;

  // `lookup` runs on the threads, which it may outlive this object in; it may block.
  NameLookups(event_base* base, Lookup lookup, std::size_t max_threads = kMaxResolverThreads);

  // `done` is called on the loop, later, unless `id` is abandoned first. Joins a lookup of the
  // same names that is under way. Fails, having called nothing, when too many names wait for a
  // thread.
  [[nodiscard]] Status Start(Id id, const Host& target, const std::optional<Host>& bind,
                             IpVersion version, Done done);

  // Nothing when `id` does not wait.
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
