// The shared memory of lock_torture and its workers, the processes that use the lock and are
// killed. A worker checks the promises of host_lock.h each time it acquires the lock.
//
// Two checks are independent of the lock. (1) A holder starts a "test", a process that has only the
// child lease and is never killed. It increments a counter in shared memory while it runs: two
// tests of one key at once are an overlap, whoever has died meanwhile. (2) A holder writes its
// signature into the holder word of its key. Finding the signature of a worker that was not killed,
// or losing its own, is an overlap.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <random>
#include <string>

#include "common/lock/host_lock.h"
#include "common/lock/lock_files.h"

namespace iperf3_exporter::torture {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr int kSets = 2;
constexpr int kWorkersPerSet = 4;
constexpr int kWorkers = kSets * kWorkersPerSet;
constexpr int kMaxObjects = 4096;
constexpr int kMaxKeys = 16;
constexpr int kExitReopen = 3;  // of a worker: the lock's files are deleted or incomplete
constexpr nanoseconds kBound = milliseconds(250);
constexpr seconds kMoveTime{1};  // to the new files after a deletion
constexpr LockScope kScope = LockScope::kTarget;

struct Options {
  int seconds = 5;
  int keys = 1;
  bool unlink = false;
  bool untimed = false;  // lateness is shown, but allowed
  unsigned seed = std::random_device{}();
};

struct Key {
  std::atomic<std::uint64_t> holder;  // signature of the holder; 0: none
  std::atomic<std::int64_t> released_ns;
  std::atomic<std::uint64_t> stops_at_release;
  std::atomic<int> tests;  // running
};

// A lock file that exists or has existed.
struct Object {
  std::atomic<ino_t> inode;
  std::atomic<std::int64_t> deleted_ns;  // 0: not deleted
  std::array<Key, kMaxKeys> keys;
};

struct Worker {
  std::atomic<std::uint64_t> generation;
  std::atomic<std::uint64_t> killed_generation;  // the last one that was killed
  std::atomic<std::int64_t> killed_ns;
  std::atomic<std::uint64_t> stops_at_kill;
  std::atomic<pid_t> pid;
};

struct Late {
  std::atomic<std::int64_t> from_ns, to_ns;
};

struct Shared {
  std::array<Object, kMaxObjects> objects;
  std::array<Worker, kWorkers> workers;
  std::atomic<std::uint64_t> stops;             // begun or ended
  std::array<std::atomic<int>, kSets> stopped;  // currently stopped workers
  std::atomic<std::int64_t> last_acquired_ns;
  std::atomic<std::uint64_t> acquisitions, tests, recoveries, timeouts, cancels, gone;
  std::atomic<std::uint64_t> kills, set_kills, deletions, handovers, takeovers;
  std::atomic<std::uint64_t> overlaps, overlaps_with_deleted, late_movers;
  std::atomic<std::int64_t> worst_handover_ns, worst_takeover_ns;
  std::array<Late, 256> late;
  std::atomic<std::size_t> late_count;
};

inline Shared* shared = nullptr;
inline Options options;
inline std::string lock_name;
inline std::mt19937 random_source;

inline int Random(int below) {
  return std::uniform_int_distribution<int>(0, below - 1)(random_source);
}
inline std::int64_t Now() { return nanoseconds(Clock::now().time_since_epoch()).count(); }
inline std::uint64_t Signature(int worker, std::uint64_t generation) {
  return generation * 256 + static_cast<std::uint64_t>(worker) + 1;
}
inline int WorkerOf(std::uint64_t signature) { return static_cast<int>(signature % 256) - 1; }
inline std::uint64_t GenerationOf(std::uint64_t signature) { return signature / 256; }
inline Worker& At(int worker) { return shared->workers[static_cast<std::size_t>(worker)]; }

inline Object& ObjectOf(ino_t inode) {
  for (Object& object : shared->objects) {
    ino_t expected = 0;
    if (object.inode.compare_exchange_strong(expected, inode) || expected == inode) return object;
  }
  std::abort();
}

inline ino_t CurrentInode() {
  struct stat info = {};
  const std::string path = LockFilePath(LockFile::kLock, lock_name, kScope);
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// A waiter has acquired a key that was free, or whose holder was dead, since `free_ns`.
inline void RecordHandover(std::int64_t free_ns, std::uint64_t stops,
                           std::atomic<std::uint64_t>& count, std::atomic<std::int64_t>& worst_ns) {
  const bool is_quiet =
      std::ranges::all_of(shared->stopped, [](int number) { return number == 0; });
  if (!is_quiet || stops != shared->stops) return;  // a worker was stopped meanwhile
  const std::int64_t now = Now();
  ++count;
  std::int64_t worst = worst_ns;
  while (now - free_ns > worst && !worst_ns.compare_exchange_weak(worst, now - free_ns)) {
  }
  if (now - free_ns <= kBound.count()) return;
  const std::size_t index = shared->late_count++;
  if (index >= shared->late.size()) return;
  shared->late[index].from_ns = free_ns;
  shared->late[index].to_ns = now;
}

inline void CheckPredecessor(Key& key, std::uint64_t own, std::int64_t began_ns) {
  const std::uint64_t before = key.holder.exchange(own);
  if (before == 0) {
    const std::int64_t free_ns = std::max(key.released_ns.load(), began_ns);
    RecordHandover(free_ns, key.stops_at_release, shared->handovers, shared->worst_handover_ns);
    return;
  }
  const Worker& predecessor = At(WorkerOf(before));
  if (predecessor.killed_generation < GenerationOf(before)) {
    ++shared->overlaps;
  } else if (predecessor.killed_generation == GenerationOf(before)) {
    const std::int64_t free_ns = std::max(predecessor.killed_ns.load(), began_ns);
    RecordHandover(free_ns, predecessor.stops_at_kill, shared->takeovers,
                   shared->worst_takeover_ns);
  }
}

inline void CheckOtherObjects(const Object& own, std::size_t key) {
  for (const Object& other : shared->objects) {
    if (other.inode == 0) return;
    if (&other == &own || other.keys[key].tests == 0) continue;
    const bool is_deleted = other.deleted_ns != 0 || own.deleted_ns != 0;
    ++(is_deleted ? shared->overlaps_with_deleted : shared->overlaps);
  }
}

// Stands for iperf3. Closes everything except the lease, as exec does.
[[noreturn]] inline void RunTest(Object& object, std::size_t key, int lease_fd, int length_us) {
  if (::dup2(lease_fd, STDIN_FILENO) != STDIN_FILENO) std::abort();
  ::close_range(3, ~0U, 0);
  if (object.keys[key].tests.fetch_add(1) != 0) ++shared->overlaps;
  CheckOtherObjects(object, key);
  ++shared->tests;
  ::usleep(static_cast<useconds_t>(length_us));
  object.keys[key].tests.fetch_sub(1);
  ::_exit(0);
}

// What a worker does until it is killed.
enum class Style : std::uint8_t {
  kTester,  // runs tests, as the exporter's workers do
  kBusy,    // acquires and releases without a pause, so that signals strike inside the lock
};

inline void Hold(Object& object, std::size_t number, HeldLock& lock, std::uint64_t own, Style style,
                 std::int64_t began_ns) {
  Key& key = object.keys[number];
  CheckPredecessor(key, own, began_ns);
  if (key.tests != 0) ++shared->overlaps;
  ++shared->acquisitions;
  if (lock.recovered()) ++shared->recoveries;
  shared->last_acquired_ns = Now();
  if (style == Style::kTester) {
    // Some are long enough to overlap with the next holder if that did not wait for them.
    const int length_us = Random(8) == 0 ? Random(50'000) : Random(1000);
    const pid_t test = ::fork();
    if (test == 0) RunTest(object, number, lock.lease_fd(), length_us);
    while (::waitpid(test, nullptr, 0) < 0 && errno == EINTR) {
    }
  } else if (Random(100) == 0) {
    ::usleep(static_cast<useconds_t>(Random(300)));
  }
  key.stops_at_release = shared->stops.load();
  key.released_ns = Now();
  std::uint64_t expected = own;
  if (!key.holder.compare_exchange_strong(expected, 0)) ++shared->overlaps;
  lock.Release();
}

inline nanoseconds RandomWaitLimit() {
  switch (Random(4)) {
    case 0:
      return microseconds(Random(3000));
    case 1:
      return milliseconds(Random(60));
    default:
      return seconds(2);
  }
}

inline void CountFailure(AcquireError error, const Object& object) {
  if (error == AcquireError::kLockGone) {
    ++shared->gone;
    ::_exit(kExitReopen);
  }
  ++(error == AcquireError::kTimeout ? shared->timeouts : shared->cancels);
  // A worker that has not noticed the deletion is late.
  const std::int64_t deleted = object.deleted_ns;
  if (deleted != 0 && Now() - deleted > nanoseconds(kMoveTime).count()) ++shared->late_movers;
}

[[noreturn]] inline void RunWorker(int worker, std::uint64_t generation, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  random_source.seed(options.seed + static_cast<unsigned>(Signature(worker, generation)));
  const ino_t inode = CurrentInode();
  auto host_lock = HostLock::Open(lock_name, kScope);
  if (!host_lock || inode == 0 || CurrentInode() != inode) ::_exit(kExitReopen);
  Object& object = ObjectOf(inode);
  int always_readable[2];
  if (::pipe2(always_readable, O_CLOEXEC) != 0) std::abort();
  ::close(always_readable[1]);
  const Style style = Random(3) == 0 ? Style::kTester : Style::kBusy;
  for (;;) {
    const int cancel_fd = Random(20) == 0 ? always_readable[0] : -1;
    const auto number = static_cast<std::size_t>(Random(options.keys));
    const LockKey key = MakeLockKey("torture " + std::to_string(number));
    const std::int64_t began_ns = Now();
    auto lock = (*host_lock)
                    ->Acquire(key, {.target = "torture", .port = 1},
                              Clock::now() + RandomWaitLimit(), cancel_fd);
    if (lock) {
      Hold(object, number, *lock, Signature(worker, generation), style, began_ns);
    } else {
      CountFailure(lock.error(), object);
    }
    if (Random(50) == 0) ::usleep(static_cast<useconds_t>(Random(500)));
  }
}

}  // namespace iperf3_exporter::torture
