// What the host lock costs: acquired and released without contention, and handed over from one live
// process to another. Mutual exclusion is verified too.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "bench/measure.h"
#include "common/lock/host_lock.h"
#include "common/lock/lock_files.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const LockKey kKey = MakeLockKey("host");
const HolderInfo kUser{.target = "server.example", .port = 5201};

Deadline Soon() { return Clock::now() + seconds(10); }
std::int64_t Now() { return Clock::now().time_since_epoch().count(); }

// A lock of this benchmark alone, removed at its end.
class LockFiles {
 public:
  LockFiles() {
    if (!CreateLockFiles(name_, kScope)) bench::Die("no lock files");
  }
  ~LockFiles() {
    for (const LockFile file : kLockFiles) ::unlink(LockFilePath(file, name_, kScope).c_str());
  }
  LockFiles(const LockFiles&) = delete;
  LockFiles& operator=(const LockFiles&) = delete;

  std::unique_ptr<HostLock> Open() const {
    return bench::ValueOrDie(HostLock::Open(name_, kScope));
  }

 private:
  static constexpr LockScope kScope = LockScope::kHost;

  std::string name_ = "lock_bench." + std::to_string(::getpid());
};

void BM_UncontendedAcquireRelease(benchmark::State& state) {
  const LockFiles files;
  const auto lock = files.Open();
  const auto other = files.Open();
  {
    const auto held = lock->Acquire(kKey, kUser, Soon(), -1);
    if (!held || other->Acquire(kKey, kUser, Clock::now(), -1)) {
      state.SkipWithError("the lock does not exclude");
      return;
    }
  }
  for ([[maybe_unused]] auto _ : state) {
    auto held = lock->Acquire(kKey, kUser, Soon(), -1);
    if (!held) state.SkipWithError("not acquired");
    held->Release();
  }
}
BENCHMARK(BM_UncontendedAcquireRelease);

void BM_Open(benchmark::State& state) {
  const LockFiles files;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(files.Open());
}
BENCHMARK(BM_Open)->Unit(benchmark::kMicrosecond);

struct Relay {
  std::atomic<int> inside;
  std::atomic<bool> overlap;
  std::atomic<int> last_holder;
  std::atomic<std::int64_t> released_ns;
  std::atomic<std::size_t> handovers;
  std::atomic<std::int64_t> acquired_ns[4096];
};

// Acquires the lock, holds it long enough that the other process waits for the wakeup, and releases
// it. A sample is the time from the start of the other's release until the lock is acquired.
void Run(Relay& relay, int self, const LockFiles& files, std::size_t wanted) {
  const auto lock = files.Open();
  while (relay.handovers < wanted) {
    const std::int64_t began = Now();
    auto held = lock->Acquire(kKey, kUser, Soon(), -1);
    const std::int64_t now = Now();
    if (!held || relay.inside.fetch_add(1) != 0) relay.overlap = true;
    if (relay.last_holder.exchange(self) == 3 - self &&
        now - began > nanoseconds(milliseconds(2)).count()) {
      relay.acquired_ns[relay.handovers++] = now - relay.released_ns;
    }
    std::this_thread::sleep_for(milliseconds(6));
    relay.inside.fetch_sub(1);
    relay.released_ns = Now();
    held->Release();
  }
}

void BM_HandOver(benchmark::State& state) {
  constexpr std::size_t kHandOvers = 300;
  const LockFiles files;
  void* memory =
      ::mmap(nullptr, sizeof(Relay), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  std::vector<std::int64_t> samples;
  for ([[maybe_unused]] auto _ : state) {
    auto* relay = new (memory) Relay{};
    const pid_t other = ::fork();
    if (other == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Run(*relay, 2, files, kHandOvers);
      ::_exit(0);
    }
    Run(*relay, 1, files, kHandOvers);
    ::waitpid(other, nullptr, 0);
    if (relay->overlap) state.SkipWithError("two holders at once");
    samples.assign(relay->acquired_ns, relay->acquired_ns + kHandOvers);
    std::ranges::sort(samples);
    state.SetIterationTime(static_cast<double>(samples[samples.size() / 2]) * 1e-9);
  }
  if (!samples.empty()) {
    const auto microseconds_at = [&samples](std::size_t percent) {
      return static_cast<double>(samples[(samples.size() - 1) * percent / 100]) * 1e-3;
    };
    state.counters["p50_us"] = microseconds_at(50);
    state.counters["p90_us"] = microseconds_at(90);
    state.counters["max_us"] = microseconds_at(100);
  }
  ::munmap(memory, sizeof(Relay));
}
BENCHMARK(BM_HandOver)->Iterations(1)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace iperf3_exporter

BENCHMARK_MAIN();
