// What the host lock costs: taken and given back when nobody else wants it, and handed from one
// live process to another. The answer (no overlap, no loss) is verified before it is timed.
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

#include "common/lock/lock_objects.h"
#include "common/lock/lock_table.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Deadline Soon() { return Clock::now() + seconds(10); }
std::int64_t Now() { return Clock::now().time_since_epoch().count(); }

// A lock of this benchmark's own, gone with it.
class Objects {
 public:
  explicit Objects(std::uint32_t slots) : slots_(slots) {
    if (!CreateLockObjects(name_, slots_)) std::abort();
  }
  ~Objects() {
    for (std::uint32_t i = 0; i < slots_; ++i) ::unlink(LockMutexPath(name_, slots_, i).c_str());
    ::unlink(LockBoardPath(name_, slots_).c_str());
  }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;

  LockTable Open() const {
    auto table = LockTable::Open(name_, slots_);
    if (!table) std::abort();
    return std::move(*table);
  }

 private:
  std::string name_ = "lock_bench." + std::to_string(::getpid());
  std::uint32_t slots_;
};

void BM_UncontendedAcquireRelease(benchmark::State& state) {
  const Objects objects(1);
  LockTable table = objects.Open();
  LockTable other = objects.Open();
  const LockUse use{.target = "server.example", .port = 5201};
  {
    const AcquireResult held = table.Acquire(0, use, Soon(), -1);
    if (!held.lock || other.Acquire(0, use, Clock::now(), -1).lock) {
      state.SkipWithError("the lock does not exclude");
      return;
    }
  }
  for ([[maybe_unused]] auto _ : state) {
    AcquireResult held = table.Acquire(0, use, Soon(), -1);
    if (!held.lock) state.SkipWithError("not had");
    held.lock.Release();
  }
}
BENCHMARK(BM_UncontendedAcquireRelease);

void BM_OpenTable(benchmark::State& state) {
  const Objects objects(kKeyedLockSlots);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(objects.Open());
}
BENCHMARK(BM_OpenTable)->Unit(benchmark::kMicrosecond);

struct Relay {
  std::atomic<int> inside;
  std::atomic<bool> overlap;
  std::atomic<int> last_holder;
  std::atomic<std::int64_t> released_ns;
  std::atomic<std::size_t> handovers;
  std::atomic<std::int64_t> taken_ns[4096];
};

// Takes the lock, "tests" for long enough that the other waits at the bell, and releases. A
// sample is the time from the start of the other's release to having the lock.
void Run(Relay& relay, int self, const Objects& objects, std::size_t wanted) {
  LockTable table = objects.Open();
  const LockUse use{.target = "server.example", .port = 5201};
  while (relay.handovers < wanted) {
    AcquireResult held = table.Acquire(0, use, Soon(), -1);
    const std::int64_t now = Now();
    if (!held.lock || relay.inside.fetch_add(1) != 0) relay.overlap = true;
    if (relay.last_holder.exchange(self) == 3 - self && held.waited > milliseconds(2)) {
      relay.taken_ns[relay.handovers++] = now - relay.released_ns;
    }
    std::this_thread::sleep_for(milliseconds(6));
    relay.inside.fetch_sub(1);
    relay.released_ns = Now();
    held.lock.Release();
  }
}

void BM_HandOver(benchmark::State& state) {
  constexpr std::size_t kHandOvers = 300;
  const Objects objects(1);
  void* memory =
      ::mmap(nullptr, sizeof(Relay), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  std::vector<std::int64_t> samples;
  for ([[maybe_unused]] auto _ : state) {
    auto* relay = new (memory) Relay{};
    const pid_t other = ::fork();
    if (other == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Run(*relay, 2, objects, kHandOvers);
      ::_exit(0);
    }
    Run(*relay, 1, objects, kHandOvers);
    ::waitpid(other, nullptr, 0);
    if (relay->overlap) state.SkipWithError("two holders at once");
    samples.assign(relay->taken_ns, relay->taken_ns + kHandOvers);
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
