// Tortures the host lock: sets of processes, started apart, take and release it while they
// are killed and stopped at random instructions, whole sets at once too, and with --unlink
// the lock's files deleted under them. Exits 0 only if nothing that lock_table.h promises
// was seen broken, and prints what was seen.
//
//   lock_torture [--seconds=N] [--unlink] [--bound-ms=N] [--seed=N]
//
// Where too little is seen in that time to judge, it goes on for up to three times as long.
//
// Two observers, both apart from the lock. (1) A "test" is a process that a holder starts, which
// keeps only the tenant descriptor, is itself never killed, and counts itself in and out
// of shared memory: two at once is an overlap, whoever has died meanwhile. (2) A holder
// signs its object's holder word: who finds the name of one that nobody has killed, or
// loses its own, has seen an overlap.
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "common/lock/lock_board.h"
#include "common/lock/lock_objects.h"
#include "common/lock/lock_table.h"

namespace iperf3_exporter {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr int kSets = 2;
constexpr int kWorkersPerSet = 4;
constexpr int kWorkers = kSets * kWorkersPerSet;
constexpr int kMaxObjects = 4096;
constexpr int kExitReopen = 3;  // a worker's: its objects are gone, or not all there yet
constexpr seconds kLostLock{5};
constexpr seconds kMoveTime{1};  // to the new objects after a deletion
// Fewer samples prove nothing.
constexpr std::uint64_t kLeastNextHolders = 20;

struct Options {
  int run_seconds = 5;
  bool unlink = false;
  int bound_ms = 250;
  unsigned seed = std::random_device{}();
};

// One mutex file that there has been.
struct Object {
  std::atomic<ino_t> inode;
  std::atomic<std::int64_t> deleted_ns;  // 0: not deleted
  std::atomic<std::uint64_t> holder;     // Signature of who holds; 0: nobody
  std::atomic<int> tests;                // running
};

struct Worker {
  std::atomic<std::uint64_t> generation;
  std::atomic<std::uint64_t> killed_generation;  // the last one that somebody killed
  std::atomic<std::int64_t> killed_ns;
  std::atomic<std::uint64_t> stops_at_kill;
  std::atomic<pid_t> pid;
};

struct Late {
  std::atomic<std::int64_t> from_ns;
  std::atomic<std::int64_t> to_ns;
};

struct Shared {
  std::array<Object, kMaxObjects> objects;
  std::array<Worker, kWorkers> workers;
  std::atomic<std::uint64_t> stops;             // begun or ended; with `stopped` tells a quiet time
  std::array<std::atomic<int>, kSets> stopped;  // workers, at the moment
  std::atomic<std::int64_t> last_acquired_ns;
  std::atomic<std::uint64_t> acquisitions, tests, recoveries, timeouts, cancels, gone;
  std::atomic<std::uint64_t> kills, set_kills, deletions, next_holder_samples;
  std::atomic<std::uint64_t> overlaps, overlaps_with_deleted, stray_posts, late_movers;
  std::atomic<std::int64_t> worst_next_ns;
  std::array<Late, 256> late;
  std::atomic<std::size_t> late_count;
};

Shared* shared = nullptr;
Options options;
std::string lock_name;
std::mt19937 random_source;

int Random(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_source); }
std::int64_t Now() { return nanoseconds(Clock::now().time_since_epoch()).count(); }
std::uint64_t Signature(int worker, std::uint64_t generation) {
  return generation * 256 + static_cast<std::uint64_t>(worker) + 1;
}
int WorkerOf(std::uint64_t signature) { return static_cast<int>(signature % 256) - 1; }
std::uint64_t GenerationOf(std::uint64_t signature) { return signature / 256; }

Object& ObjectOf(ino_t inode) {
  for (Object& object : shared->objects) {
    ino_t expected = 0;
    if (object.inode.compare_exchange_strong(expected, inode) || expected == inode) return object;
  }
  std::abort();
}

// The run's seconds differ: more kills or more stops, and with --unlink half of the time neither,
// so that it shows who would never move to the new objects.
std::int64_t Phase() { return Now() / nanoseconds(seconds(1)).count(); }
bool IsCalm() { return options.unlink && Phase() % 4 >= 2; }

std::string MutexPath() { return LockMutexPath(lock_name, 1, 0); }
ino_t CurrentInode() {
  struct stat info = {};
  return ::stat(MutexPath().c_str(), &info) == 0 ? info.st_ino : 0;
}

// ---- the worker ----

void RecordNextHolder(const Worker& dead) {
  const std::int64_t killed = dead.killed_ns;
  const bool is_quiet = std::ranges::all_of(shared->stopped, [](int count) { return count == 0; });
  if (!is_quiet || dead.stops_at_kill != shared->stops) return;  // somebody was held up
  const std::int64_t now = Now();
  ++shared->next_holder_samples;
  std::int64_t worst = shared->worst_next_ns;
  while (now - killed > worst &&
         !shared->worst_next_ns.compare_exchange_weak(worst, now - killed)) {
  }
  if (now - killed <= options.bound_ms * std::int64_t{1'000'000}) return;
  const std::size_t index = shared->late_count++;
  if (index >= shared->late.size()) return;
  shared->late[index].from_ns = killed;
  shared->late[index].to_ns = now;
}

void CheckPredecessor(Object& object, std::uint64_t own) {
  const std::uint64_t before = object.holder.exchange(own);
  if (before == 0) return;
  const Worker& predecessor = shared->workers[static_cast<std::size_t>(WorkerOf(before))];
  if (predecessor.killed_generation < GenerationOf(before)) {
    ++shared->overlaps;
  } else if (predecessor.killed_generation == GenerationOf(before)) {
    RecordNextHolder(predecessor);
  }
}

void CheckOtherObjects(const Object& own) {
  for (const Object& other : shared->objects) {
    if (other.inode == 0) return;
    if (&other == &own || other.tests == 0) continue;
    if (other.deleted_ns != 0 || own.deleted_ns != 0) {
      ++shared->overlaps_with_deleted;
    } else {
      ++shared->overlaps;
    }
  }
}

// What iperf3 is to a worker. Everything but the tenant descriptor is closed, as exec does.
[[noreturn]] void RunTest(Object& object, int tenant_fd, int microseconds_long) {
  ::close_range(3, static_cast<unsigned>(tenant_fd) - 1, 0);
  ::close_range(static_cast<unsigned>(tenant_fd) + 1, ~0U, 0);
  if (object.tests.fetch_add(1) != 0) ++shared->overlaps;
  CheckOtherObjects(object);
  ++shared->tests;
  ::usleep(static_cast<useconds_t>(microseconds_long));
  object.tests.fetch_sub(1);
  ::_exit(0);
}

// What a worker does all its short life.
enum class Style : std::uint8_t {
  kTester,  // runs tests, as the exporter's workers do
  kBusy,    // takes and releases without a pause, so that signals strike inside the lock
};

void Hold(Object& object, const HeldLock& lock, std::uint64_t own, sem_t* count, Style style) {
  CheckPredecessor(object, own);
  if (object.tests != 0) ++shared->overlaps;
  ++shared->acquisitions;
  shared->last_acquired_ns = Now();
  if (style == Style::kTester) {
    // Some long enough to be there when the next holder would come, did it not wait.
    const int length = Random(8) == 0 ? Random(50'000) : Random(1000);
    const pid_t test = ::fork();
    if (test == 0) RunTest(object, lock.tenant_fd(), length);
    while (::waitpid(test, nullptr, 0) < 0 && errno == EINTR) {
    }
  } else if (Random(100) == 0) {
    ::usleep(static_cast<useconds_t>(Random(300)));
  }
  int posts = 0;
  ::sem_getvalue(count, &posts);
  if (posts != 0) ++shared->stray_posts;
  std::uint64_t expected = own;
  if (!object.holder.compare_exchange_strong(expected, 0)) ++shared->overlaps;
}

// Whoever did not find out is late, whether it got the lock or waited for it in vain.
void CheckMoved(const Object& object) {
  const std::int64_t deleted = object.deleted_ns;
  if (deleted != 0 && Now() - deleted > nanoseconds(kMoveTime).count()) ++shared->late_movers;
}

nanoseconds RandomPatience() {
  switch (Random(4)) {
    case 0:
      return microseconds(Random(3000));
    case 1:
      return milliseconds(Random(60));
    default:
      return seconds(2);
  }
}

[[noreturn]] void RunWorker(int worker, std::uint64_t generation, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  random_source.seed(options.seed + static_cast<unsigned>(Signature(worker, generation)));
  const ino_t inode = CurrentInode();
  Result<LockTable> table = LockTable::Open(lock_name, 1);
  sem_t* count = ::sem_open(("/" + LockMutexName(lock_name, 1, 0)).c_str(), 0);
  if (!table || count == SEM_FAILED || inode == 0 || CurrentInode() != inode) ::_exit(kExitReopen);
  Object& object = ObjectOf(inode);
  int always_readable[2];
  if (::pipe2(always_readable, O_CLOEXEC) != 0) std::abort();
  ::close(always_readable[1]);
  const Style style = Random(3) == 0 ? Style::kTester : Style::kBusy;
  for (;;) {
    const int cancel_fd = Random(20) == 0 ? always_readable[0] : -1;
    AcquireResult result = table->Acquire(0, {.target = "torture", .port = 1},
                                          Clock::now() + RandomPatience(), cancel_fd);
    if (result.outcome != AcquireOutcome::kObjectGone) CheckMoved(object);
    switch (result.outcome) {
      case AcquireOutcome::kAcquired:
        if (result.recovered) ++shared->recoveries;
        Hold(object, result.lock, Signature(worker, generation), count, style);
        break;
      case AcquireOutcome::kTimeout:
        ++shared->timeouts;
        break;
      case AcquireOutcome::kCancelled:
        ++shared->cancels;
        break;
      case AcquireOutcome::kObjectGone:
        ++shared->gone;
        ::_exit(kExitReopen);
    }
    result.lock.Release();
    if (Random(50) == 0) ::usleep(static_cast<useconds_t>(Random(500)));
  }
}

// ---- a set: what an exporter's supervisor is to its workers ----

void MarkKilled(Worker& worker) {
  worker.stops_at_kill = shared->stops.load();
  worker.killed_ns = Now();
  worker.killed_generation = worker.generation.load();
}

class Set {
 public:
  explicit Set(int number)
      : first_(number * kWorkersPerSet),
        stopped_(shared->stopped[static_cast<std::size_t>(number)]) {}

  [[noreturn]] void Run() {
    random_source.seed(options.seed + 1000U * static_cast<unsigned>(::getpid()));
    for (int i = 0; i < kWorkersPerSet; ++i) Start(first_ + i);
    for (;;) {
      ::usleep(static_cast<useconds_t>(Random(5000)));
      Reap();
      Continue();
      if (IsCalm()) continue;
      const int victim = Victim();
      if (Random(Phase() % 2 == 0 ? 100 : 2) == 0) {
        Stop(victim);
      } else {
        MarkKilled(At(victim));
        ++shared->kills;
        ::kill(At(victim).pid, SIGKILL);
      }
    }
  }

 private:
  struct Pause {
    int worker;
    pid_t pid;
    Deadline end;
  };

  static Worker& At(int worker) { return shared->workers[static_cast<std::size_t>(worker)]; }

  void Start(int worker) {
    if (!CreateLockObjects(lock_name, 1)) std::abort();
    const pid_t parent = ::getpid();
    const std::uint64_t generation = ++At(worker).generation;
    const pid_t pid = ::fork();
    if (pid == 0) RunWorker(worker, generation, parent);
    At(worker).pid = pid;
  }

  // The holder half of the time, if it is one of ours.
  int Victim() const {
    const std::uint64_t holder = ObjectOf(CurrentInode()).holder;
    const int worker = WorkerOf(holder);
    const bool is_ours = holder != 0 && worker >= first_ && worker < first_ + kWorkersPerSet;
    return is_ours && Random(2) == 0 ? worker : first_ + Random(kWorkersPerSet);
  }

  void Reap() {
    for (int i = first_; i < first_ + kWorkersPerSet; ++i) {
      int status = 0;
      if (::waitpid(At(i).pid, &status, WNOHANG) != At(i).pid) continue;
      const bool expected =
          WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == kExitReopen;
      if (!expected) std::abort();
      Start(i);
    }
  }

  void Stop(int worker) {
    ++stopped_;
    ++shared->stops;
    ::kill(At(worker).pid, SIGSTOP);
    pauses_.push_back({worker, At(worker).pid, Clock::now() + microseconds(Random(6000))});
  }

  void Continue() {
    std::erase_if(pauses_, [this](const Pause& pause) {
      if (Clock::now() < pause.end) return false;
      if (At(pause.worker).pid == pause.pid) ::kill(pause.pid, SIGCONT);
      ++shared->stops;  // whoever died meanwhile is no sample either
      --stopped_;
      return true;
    });
  }

  int first_;
  std::atomic<int>& stopped_;
  std::vector<Pause> pauses_;
};

// ---- the conductor ----

// Times at which this process was not run: the machine was not ours then.
struct Hiccup {
  std::int64_t from_ns;
  std::int64_t to_ns;
};

class Conductor {
 public:
  int Run() {
    const Deadline end = Clock::now() + seconds(options.run_seconds);
    const Deadline last_end = end + 2 * seconds(options.run_seconds);
    shared->last_acquired_ns = Now();
    for (int set = 0; set < kSets; ++set) {
      Rest(milliseconds(set * 100));  // apart
      StartSet(set);
    }
    Deadline next_set_kill = Clock::now() + milliseconds(500);
    Deadline next_unlink = Clock::now() + milliseconds(300);
    while (Clock::now() < (HasSeenEnough() ? end : last_end) && !lost_) {
      Rest(milliseconds(1));
      CheckQuietTime();
      ReapOrphans();
      if (Clock::now() >= next_set_kill && !IsCalm()) {
        RestartSets(Random(kSets + 1));
        next_set_kill = Clock::now() + milliseconds(200 + Random(600));
      }
      if (options.unlink && Clock::now() >= next_unlink) {
        Unlink();
        next_unlink = Clock::now() + milliseconds(20 + Random(400));
      }
      lost_ = Now() - shared->last_acquired_ns > nanoseconds(kLostLock).count();
    }
    for (int set = 0; set < kSets; ++set) KillSet(set);
    return Judge();
  }

 private:
  void Rest(nanoseconds time) {
    const std::int64_t from = Now();
    std::this_thread::sleep_for(time);
    const std::int64_t due = from + time.count();
    const std::int64_t to = Now();
    if (to - due > nanoseconds(milliseconds(25)).count()) hiccups_.push_back({due, to});
  }

  // However many have died, waiters and whole sets too: somebody gets the lock within the bound.
  // Only milliseconds count that were ours and in which nobody was stopped. Called after each rest.
  void CheckQuietTime() {
    const std::int64_t acquired = shared->last_acquired_ns;
    if (acquired != std::exchange(last_seen_ns_, acquired)) {
      quiet_ms_ = 0;
      return;
    }
    if (std::ranges::any_of(shared->stopped, [](int count) { return count != 0; })) return;
    worst_quiet_ms_ = std::max(worst_quiet_ms_, ++quiet_ms_);
    if (quiet_ms_ == options.bound_ms + 1) ++late_quiet_;
  }

  // One, or with `which` = kSets everything at once.
  void RestartSets(int which) {
    for (int set = 0; set < kSets; ++set) {
      if (which == set || which == kSets) KillSet(set);
    }
    for (int set = 0; set < kSets; ++set) {
      if (which == set || which == kSets) StartSet(set);
    }
  }

  void StartSet(int set) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Set(set).Run();
    }
    sets_[static_cast<std::size_t>(set)] = pid;
  }

  // The whole set, as with its exporter's control group; its workers become our children.
  void KillSet(int set) {
    ++shared->set_kills;
    const pid_t leader = sets_[static_cast<std::size_t>(set)];
    ::kill(leader, SIGSTOP);  // starts nobody any more
    int status = 0;
    ::waitpid(leader, &status, WUNTRACED);
    if (!WIFSTOPPED(status)) std::abort();
    ++shared->stops;
    for (int i = set * kWorkersPerSet; i < (set + 1) * kWorkersPerSet; ++i) {
      MarkKilled(shared->workers[static_cast<std::size_t>(i)]);
    }
    ::kill(leader, SIGKILL);
    ::waitpid(leader, nullptr, 0);
    for (int i = set * kWorkersPerSet; i < (set + 1) * kWorkersPerSet; ++i) {
      KillOwn(shared->workers[static_cast<std::size_t>(i)].pid);
    }
    shared->stopped[static_cast<std::size_t>(set)] = 0;
    ++shared->stops;
  }

  // One that was stopped before it could ask for its parent-death signal would stay. A pid
  // that is not our child's, or no more, is left alone.
  static void KillOwn(pid_t pid) {
    siginfo_t info = {};
    if (pid <= 0 || ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT)) {
      return;
    }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  // Tests and workers whose parent was killed.
  void ReapOrphans() {
    for (pid_t pid = 0; (pid = ::waitpid(-1, nullptr, WNOHANG)) > 0;) {
      if (std::ranges::find(sets_, pid) != sets_.end()) std::abort();
    }
  }

  void Unlink() {
    const ino_t inode = CurrentInode();
    if (inode == 0) return;
    ObjectOf(inode).deleted_ns = Now();
    ++shared->deletions;
    ++shared->stops;  // those who move are no sample of the next holder
    ::unlink(MutexPath().c_str());
    if (Random(2) == 0) ::unlink(LockBoardPath(lock_name, 1).c_str());
  }

  // Without the time that was not ours.
  [[nodiscard]] std::int64_t OwnTime(const Late& late) const {
    std::int64_t own = late.to_ns - late.from_ns;
    for (const Hiccup& hiccup : hiccups_) {
      const std::int64_t from = std::max(hiccup.from_ns, late.from_ns.load());
      const std::int64_t to = std::min(hiccup.to_ns, late.to_ns.load());
      own -= std::max(to - from, std::int64_t{0});
    }
    return own;
  }

  [[nodiscard]] std::size_t CountLate() const {
    const std::size_t slow = std::min(shared->late_count.load(), shared->late.size());
    const auto end = shared->late.begin() + static_cast<std::ptrdiff_t>(slow);
    return static_cast<std::size_t>(
        std::count_if(shared->late.begin(), end, [this](const Late& late) {
          return OwnTime(late) > options.bound_ms * std::int64_t{1'000'000};
        }));
  }

  [[nodiscard]] static bool HasSeenEnough() {
    if (options.unlink && (shared->deletions == 0 || shared->gone == 0)) return false;
    return shared->next_holder_samples >= kLeastNextHolders && shared->recoveries > 0;
  }

  int Judge() const {
    const std::size_t late = CountLate();
    const auto count = [](const char* what, std::uint64_t value) {
      std::printf("%-24s %llu\n", what, static_cast<unsigned long long>(value));
    };
    count("seed", options.seed);
    count("acquisitions", shared->acquisitions);
    count("tests", shared->tests);
    count("recoveries", shared->recoveries);
    count("kills", shared->kills);
    count("set kills", shared->set_kills);
    count("stops", shared->stops);
    count("timeouts", shared->timeouts);
    count("cancels", shared->cancels);
    count("deletions", shared->deletions);
    count("object gone", shared->gone);
    count("overlaps with deleted", shared->overlaps_with_deleted);
    count("next holder samples", shared->next_holder_samples);
    count("worst next holder us", static_cast<std::uint64_t>(shared->worst_next_ns / 1000));
    count("machine hiccups", hiccups_.size());
    count("worst quiet time ms", static_cast<std::uint64_t>(worst_quiet_ms_));
    count("LATE next holders", late);
    count("LATE in quiet times", late_quiet_);
    count("LATE movers", shared->late_movers);
    count("STRAY posts", shared->stray_posts);
    count("OVERLAPS", shared->overlaps);
    count("LOST LOCK", lost_ ? 1 : 0);
    const bool is_good = late == 0 && late_quiet_ == 0 && shared->late_movers == 0 &&
                         shared->stray_posts == 0 && shared->overlaps == 0 && !lost_ &&
                         (options.unlink || shared->overlaps_with_deleted == 0);
    if (!HasSeenEnough()) std::puts("too little was seen to judge");
    std::puts(is_good ? "good" : "BROKEN");
    return is_good && HasSeenEnough() ? EXIT_SUCCESS : EXIT_FAILURE;
  }

  std::array<pid_t, kSets> sets_{};
  std::vector<Hiccup> hiccups_;
  std::int64_t last_seen_ns_ = 0;
  int quiet_ms_ = 0;  // since the last acquisition
  int worst_quiet_ms_ = 0;
  std::uint64_t late_quiet_ = 0;
  bool lost_ = false;
};

bool ParseNumber(std::string_view argument, std::string_view flag, auto& value) {
  if (!argument.starts_with(flag)) return false;
  argument.remove_prefix(flag.size());
  const char* end = argument.data() + argument.size();
  return std::from_chars(argument.data(), end, value).ptr == end;
}

}  // namespace
}  // namespace iperf3_exporter

int main(int argc, char** argv) {
  using namespace iperf3_exporter;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--unlink") {
      options.unlink = true;
    } else if (!ParseNumber(argument, "--seconds=", options.run_seconds) &&
               !ParseNumber(argument, "--bound-ms=", options.bound_ms) &&
               !ParseNumber(argument, "--seed=", options.seed)) {
      std::fprintf(stderr, "unknown argument %s\n", argv[i]);
      return 2;
    }
  }
  lock_name = "lock_torture." + std::to_string(::getpid());
  random_source.seed(options.seed);
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  shared = new (memory) Shared{};
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (!CreateLockObjects(lock_name, 1)) return 2;
  const int result = Conductor().Run();
  ::unlink(MutexPath().c_str());
  ::unlink(LockBoardPath(lock_name, 1).c_str());
  return result;
}
