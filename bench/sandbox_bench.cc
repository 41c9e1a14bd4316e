// What the sandbox costs per probe: a stand-in for iperf3 that answers at once, started by the
// worker program, with every layer, and started bare. The two take turns, so that a load on the
// machine hits both.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bench/measure.h"
#include "common/wire/seqpacket.h"
#include "common/wire/wire.h"

namespace iperf3_exporter::bench {
namespace {

constexpr const char* kProgram = BENCH_BINARY_DIR "/instant_iperf3";
constexpr const char* kWorker = BENCH_BINARY_DIR "/iperf3_exporter_worker";

class Worker {
 public:
  Worker() {
    auto pair = CreateSeqpacketPair();
    if (!pair) Die(pair.error().message);
    link_ = std::move(pair->first);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pair->second.get(), 3);
    std::string name = kWorker;
    char* argv[] = {name.data(), nullptr};
    if (::posix_spawn(&pid_, kWorker, &actions, nullptr, argv, environ) != 0) Die("no worker");
    ::posix_spawn_file_actions_destroy(&actions);
    WorkerConfig config;
    config.iperf3_path = kProgram;
    config.sandbox = SandboxMode::kRequire;
    Send(wire::Encode(config));
    const auto event = Receive();
    if (const auto* failed = std::get_if<wire::SetUpFailed>(&event)) Die(failed->why);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    link_.Reset();
    ::waitpid(pid_, nullptr, 0);
  }

  TestResult Run() {
    Job job;
    job.id = ++last_id_;
    job.address = ParseIpAddress("127.0.0.1").value();
    job.test.period_seconds = 1;
    const Deadline end = Clock::now() + std::chrono::minutes(1);
    job.times = {end, end, end, end, end, end};
    Send(wire::Encode(job));
    static_cast<void>(std::get<wire::Started>(Receive()));
    return std::get<wire::Finished>(Receive()).result;
  }

 private:
  void Send(const wire::Frame& frame) {
    if (!SendFrame(link_.get(), frame)) Die("the worker is gone");
  }

  wire::Event Receive() {
    pollfd readable = {link_.get(), POLLIN, 0};
    ::poll(&readable, 1, -1);
    wire::Frame frame;
    if (ReceiveFrame(link_.get(), frame, true) != ReceiveOutcome::kFrame) Die("the worker is gone");
    auto event = wire::DecodeEvent(frame);
    if (!event) Die(event.error().message);
    return std::move(*event);
  }

  pid_t pid_ = -1;
  UniqueFd link_;
  std::uint64_t last_id_ = 0;
};

void RunBare() {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::string name = kProgram;
  char* argv[] = {name.data(), nullptr};
  pid_t pid = -1;
  if (::posix_spawn(&pid, kProgram, &actions, nullptr, argv, environ) != 0) Die("can't spawn");
  ::waitpid(pid, nullptr, 0);
  ::posix_spawn_file_actions_destroy(&actions);
}

double Microseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// The time per iteration is that of the job; the counters are medians.
void BM_ProbeInSandbox(benchmark::State& state) {
  Worker worker;
  if (!worker.Run()) Die("the probe does not succeed");
  std::vector<double> sandboxed;
  std::vector<double> bare;
  for (auto _ : state) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(worker.Run());
    const auto between = Clock::now();
    RunBare();
    sandboxed.push_back(Microseconds(between - start));
    bare.push_back(Microseconds(Clock::now() - between));
    state.SetIterationTime(Microseconds(between - start) / 1e6);
  }
  state.counters["job_us"] = Median(sandboxed);
  state.counters["bare_us"] = Median(bare);
  state.counters["overhead_us"] = Median(sandboxed) - Median(bare);
}
BENCHMARK(BM_ProbeInSandbox)->UseManualTime()->Iterations(500);

// Once per worker: start, all set-up, and two runs of iperf3 at the same time.
void BM_WorkerStart(benchmark::State& state) {
  for (auto _ : state) {
    Worker worker;
    benchmark::DoNotOptimize(worker);
  }
}
BENCHMARK(BM_WorkerStart)->UseRealTime()->Iterations(50)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
