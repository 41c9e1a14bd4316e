// What the worker and its sandbox add to a probe. A stand-in for iperf3 that answers at once runs
// through the worker, with every layer that this kernel offers, and directly. The two alternate, so
// that load on the machine affects both.
#include <benchmark/benchmark.h>
#include <poll.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "bench/exporter_process.h"
#include "bench/measure.h"
#include "common/wire/seqpacket.h"
#include "common/wire/wire.h"
#include "supervisor/workers/worker_process.h"

namespace iperf3_exporter::bench {
namespace {

constexpr const char* kProgram = BENCH_BINARY_DIR "/instant_iperf3";
constexpr const char* kWorker = BENCH_BINARY_DIR "/iperf3_exporter_worker";

class Worker {
 public:
  Worker() : process_(ValueOrDie(WorkerProcess::Spawn(kWorker))) {
    Send(WorkerConfig{.iperf3_path = kProgram, .sandbox = SandboxMode::kRequire});
    const auto event = Receive();
    if (const auto* failed = std::get_if<wire::SetUpFailed>(&event)) Die(failed->message);
  }

  TestResult Run() {
    Job job;
    job.id = ++last_id_;
    job.address = ParseIpAddress("127.0.0.1").value();
    job.test.period_seconds = 1;
    const Deadline end = Clock::now() + std::chrono::minutes(1);
    job.times = {
        .lock_by = end, .start_by = end, .end_by = end, .terminate_at = end, .kill_at = end};
    Send(job);
    static_cast<void>(std::get<wire::Started>(Receive()));
    return std::get<wire::Finished>(Receive()).result;
  }

 private:
  template <typename Message>
  void Send(const Message& message) {
    if (!SendFrame(process_->socket(), wire::Encode(message))) Die("the worker has exited");
  }

  wire::Event Receive() {
    pollfd readable = {process_->socket(), POLLIN, 0};
    ::poll(&readable, 1, -1);
    wire::Frame frame;
    if (ReceiveFrame(process_->socket(), frame, true) != ReceiveOutcome::kFrame) {
      Die("the worker has exited");
    }
    return ValueOrDie(wire::DecodeEvent(frame));
  }

  std::unique_ptr<WorkerProcess> process_;
  std::uint64_t last_id_ = 0;
};

// The time of an iteration is that of the sandboxed run. The counters are medians.
void BM_ProbeInSandbox(benchmark::State& state) {
  Worker worker;
  if (!worker.Run()) Die("the probe failed");
  std::vector<double> sandboxed;
  std::vector<double> bare;
  std::vector<double> differences;
  for (auto _ : state) {
    sandboxed.push_back(SecondsOf([&] { benchmark::DoNotOptimize(worker.Run()); }));
    bare.push_back(SecondsOf([] { benchmark::DoNotOptimize(RunProgram({kProgram})); }));
    differences.push_back(sandboxed.back() - bare.back());
    state.SetIterationTime(sandboxed.back());
  }
  state.counters["job_us"] = 1e6 * Median(sandboxed);
  state.counters["bare_us"] = 1e6 * Median(bare);
  state.counters["overhead_us"] = 1e6 * Median(differences);
}
BENCHMARK(BM_ProbeInSandbox)->UseManualTime()->Iterations(500);

// The start of the first worker: its set-up, and iperf3's --version and --help at the same time.
// Later workers reuse what these two say.
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
