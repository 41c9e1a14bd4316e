// A stress test of the host lock: independent sets of processes acquire and release it while they,
// and whole sets, are killed and stopped at random instructions. With --unlink the lock's files are
// deleted meanwhile. Prints what it observed, and exits with 0 only if every promise of host_lock.h
// was kept.
//
//   lock_torture [--seconds=N] [--keys=N] [--unlink] [--untimed] [--seed=N]
//
// It ends after N seconds (5), but not before it has seen enough: a slow machine needs longer. With
// --untimed, for an emulated machine, it may be late.
#include <sys/mman.h>

#include <charconv>
#include <cstdio>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/helpers/lock_torture_worker.h"

namespace iperf3_exporter::torture {
namespace {

constexpr seconds kLostLock{5};
// Ends a run that never sees enough.
constexpr seconds kMaxTime{100};
// Fewer samples prove nothing.
constexpr std::uint64_t kMinTakeovers = 20;

// The seconds of the run alternate between more kills and more stops. With --unlink half of them
// have neither, so that a process that never moves to the new files is noticed.
std::int64_t Phase() { return Now() / nanoseconds(seconds(1)).count(); }
bool IsCalm() { return options.unlink && Phase() % 4 >= 2; }

void MarkKilled(Worker& worker) {
  worker.stops_at_kill = shared->stops.load();
  worker.killed_ns = Now();
  worker.killed_generation = worker.generation.load();
}

// A set of workers with their parent, like the workers of one exporter.
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
      if (IsCalm() || !IsProgressing()) continue;
      const int victim = Victim();
      if (Random(Phase() % 2 == 0 ? 100 : 2) == 0) {
        Stop(victim);
      } else {
        MarkKilled(At(victim));
        ++shared->kills;
        ++kills_without_progress_;
        ::kill(At(victim).pid, SIGKILL);
      }
    }
  }

 private:
  // On a slow machine workers would otherwise be killed before any of them acquires the lock.
  bool IsProgressing() {
    const std::uint64_t acquisitions = shared->acquisitions;
    if (std::exchange(acquisitions_, acquisitions) != acquisitions) kills_without_progress_ = 0;
    return kills_without_progress_ < kWorkersPerSet;
  }

  struct Pause {
    int worker;
    pid_t pid;
    Deadline end;
  };

  void Start(int worker) {
    if (!CreateLockFiles(lock_name, kScope)) std::abort();
    const pid_t parent = ::getpid();
    const std::uint64_t generation = ++At(worker).generation;
    const pid_t pid = ::fork();
    if (pid == 0) RunWorker(worker, generation, parent);
    At(worker).pid = pid;
  }

  // Half of the time the holder of a random key, if that is one of ours.
  int Victim() const {
    const ino_t inode = CurrentInode();
    const auto key = static_cast<std::size_t>(Random(options.keys));
    const std::uint64_t holder = inode == 0 ? 0 : ObjectOf(inode).keys[key].holder.load();
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
      ++shared->stops;  // a worker that died meanwhile is not a sample either
      --stopped_;
      return true;
    });
  }

  int first_;
  std::atomic<int>& stopped_;
  std::vector<Pause> pauses_;
  std::uint64_t acquisitions_ = 0;  // of all sets
  int kills_without_progress_ = 0;
};

// A time during which this process was not scheduled.
struct Hiccup {
  std::int64_t from_ns;
  std::int64_t to_ns;
};

class Conductor {
 public:
  int Run() {
    const Deadline end = Clock::now() + seconds(options.seconds);
    const Deadline last_end = std::max(end, Clock::now() + kMaxTime);
    shared->last_acquired_ns = Now();
    for (int set = 0; set < kSets; ++set) {
      Rest(milliseconds(set * 100));
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
    return Report();
  }

 private:
  void Rest(nanoseconds time) {
    const std::int64_t from = Now();
    std::this_thread::sleep_for(time);
    const std::int64_t due = from + time.count();
    const std::int64_t to = Now();
    if (to - due > nanoseconds(milliseconds(25)).count()) hiccups_.push_back({due, to});
  }

  // However many processes have died, another acquires the lock within the bound. Only milliseconds
  // count in which we were scheduled and no worker was stopped. Called after each rest.
  void CheckQuietTime() {
    const std::int64_t acquired = shared->last_acquired_ns;
    if (acquired != std::exchange(last_seen_ns_, acquired)) {
      quiet_ms_ = 0;
      return;
    }
    if (std::ranges::any_of(shared->stopped, [](int count) { return count != 0; })) return;
    worst_quiet_ms_ = std::max(worst_quiet_ms_, ++quiet_ms_);
    if (milliseconds(quiet_ms_) == kBound + milliseconds(1)) ++late_quiet_;
  }

  // One set, or all at once if `which` is kSets.
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

  // Kills the whole set like a control group. Its workers become our children.
  void KillSet(int set) {
    ++shared->set_kills;
    const pid_t leader = sets_[static_cast<std::size_t>(set)];
    ::kill(leader, SIGSTOP);  // starts no more workers
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

  // A worker that was stopped before it set its parent-death signal would survive. A PID that is
  // not, or no longer, our child's is left alone.
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
    ++shared->stops;  // a worker that moves to new files is not a sample
    for (const LockFile file : kLockFiles) {
      if (file != LockFile::kLock && Random(2) == 0) continue;
      ::unlink(LockFilePath(file, lock_name, kScope).c_str());
    }
  }

  // The time in which this process was scheduled.
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
        std::count_if(shared->late.begin(), end,
                      [this](const Late& late) { return OwnTime(late) > kBound.count(); }));
  }

  [[nodiscard]] static bool HasSeenEnough() {
    if (options.unlink && (shared->deletions == 0 || shared->gone == 0)) return false;
    return shared->takeovers >= kMinTakeovers && shared->recoveries > 0;
  }

  [[nodiscard]] bool IsGood(std::size_t late) const {
    const bool is_in_time = late == 0 && late_quiet_ == 0 && shared->late_movers == 0;
    return (is_in_time || options.untimed) && shared->overlaps == 0 && !lost_ &&
           (options.unlink || shared->overlaps_with_deleted == 0);
  }

  int Report() const {
    const std::size_t late = CountLate();
    const auto microseconds_of = [](std::int64_t ns) {
      return static_cast<std::uint64_t>(ns / 1000);
    };
    const std::pair<const char*, std::uint64_t> counts[] = {
        {"seed", options.seed},
        {"acquisitions", shared->acquisitions},
        {"tests", shared->tests},
        {"recoveries", shared->recoveries},
        {"kills", shared->kills},
        {"set kills", shared->set_kills},
        {"stops", shared->stops},
        {"timeouts", shared->timeouts},
        {"cancels", shared->cancels},
        {"deletions", shared->deletions},
        {"lock gone", shared->gone},
        {"overlaps with deleted", shared->overlaps_with_deleted},
        {"handovers", shared->handovers},
        {"worst handover us", microseconds_of(shared->worst_handover_ns)},
        {"takeovers from the dead", shared->takeovers},
        {"worst takeover us", microseconds_of(shared->worst_takeover_ns)},
        {"machine hiccups", hiccups_.size()},
        {"worst quiet time ms", static_cast<std::uint64_t>(worst_quiet_ms_)},
        {"LATE handovers", late},
        {"LATE in quiet times", late_quiet_},
        {"LATE movers", shared->late_movers},
        {"OVERLAPS", shared->overlaps},
        {"LOST LOCK", lost_ ? 1 : 0},
    };
    for (const auto& [what, value] : counts) {
      std::printf("%-24s %llu\n", what, static_cast<unsigned long long>(value));
    }
    const bool is_good = IsGood(late);
    std::puts(!is_good ? "BROKEN" : HasSeenEnough() ? "good" : "too little was seen");
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

bool ParseOptions(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--unlink") {
      options.unlink = true;
    } else if (argument == "--untimed") {
      options.untimed = true;
    } else if (!ParseNumber(argument, "--seconds=", options.seconds) &&
               !ParseNumber(argument, "--keys=", options.keys) &&
               !ParseNumber(argument, "--seed=", options.seed)) {
      std::fprintf(stderr, "unknown argument %s\n", argv[i]);
      return false;
    }
  }
  return options.keys >= 1 && options.keys <= kMaxKeys;
}

}  // namespace
}  // namespace iperf3_exporter::torture

int main(int argc, char** argv) {
  using namespace iperf3_exporter;
  using namespace iperf3_exporter::torture;
  if (!ParseOptions(argc, argv)) return 2;
  lock_name = "lock_torture." + std::to_string(::getpid());
  random_source.seed(options.seed);
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  shared = new (memory) Shared{};
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (!CreateLockFiles(lock_name, kScope)) return 2;
  const int result = Conductor().Run();
  for (const LockFile file : kLockFiles) {
    ::unlink(LockFilePath(file, lock_name, kScope).c_str());
  }
  return result;
}
