// Wakes waiters through a boost::interprocess::named_mutex. It does not provide mutual exclusion:
// Boost implements the mutex as a counting semaphore without an owner, so a process that is killed
// can lose a post or leave one behind.
//
// All keys of a scope share it. A post wakes one waiter, perhaps of another key, and may be lost;
// so waiters must also poll the lock itself (HostLock::AcquireOwnerLock). Boost's exceptions are
// caught here. Internal to the lock.
#pragma once

#include <semaphore.h>

#include <memory>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/lock/lock_key.h"

namespace boost::interprocess {
class named_mutex;
}

namespace iperf3_exporter {

class Wakeup {
 public:
  // Opens and maps the mutex that CreateLockFiles created. Keeps no descriptor.
  [[nodiscard]] static Result<Wakeup> Open(const std::string& name, LockScope scope);

  Wakeup(Wakeup&&) noexcept;
  ~Wakeup();

  // Wakes one waiter or, if nobody waits, the next one. Posts do not accumulate.
  void Post() noexcept;

  // Waits for a post, on the monotonic clock. False if none came in time or a signal interrupted
  // it.
  [[nodiscard]] bool Wait(Deadline until) noexcept;

 private:
  struct Unmap {
    void operator()(sem_t* semaphore) const;
  };
  using Mapping = std::unique_ptr<sem_t, Unmap>;

  Wakeup(std::unique_ptr<boost::interprocess::named_mutex> mutex, Mapping semaphore);

  std::unique_ptr<boost::interprocess::named_mutex> mutex_;
  // The semaphore inside the mutex, mapped again to wait on it directly: the mutex's own timed_lock
  // uses the wall clock and throws when interrupted. A named semaphore is the content of its file
  // (sem_overview(7)).
  Mapping semaphore_;
};

}  // namespace iperf3_exporter
