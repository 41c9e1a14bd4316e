// A result on its way from a worker to the supervisor: encoded into a frame, then decoded with a
// check of every field. The answer is verified before it is timed.
#include <benchmark/benchmark.h>

#include "bench/measure.h"
#include "common/wire/wire.h"

namespace iperf3_exporter::bench {
namespace {

wire::Finished SampleResult() {
  Measurement measurement;
  DirectionMeasurement direction;
  for (const DirectionField& field : kDirectionFields) direction.*field.member = field.max / 3;
  measurement.upload = direction;
  measurement.download = direction;
  measurement.local_cpu = {0.5, 0.25, 0.25};
  measurement.remote_cpu = measurement.local_cpu;
  return {7, measurement};
}

void VerifyOrDie() {
  const auto event = wire::DecodeEvent(wire::Encode(SampleResult()));
  const auto* result = event ? std::get_if<wire::Finished>(&*event) : nullptr;
  if (result == nullptr || *result != SampleResult()) Die("a result changes on its way");
}

void BenchEncodeResult(benchmark::State& state) {
  const wire::Finished result = SampleResult();
  for (auto _ : state) benchmark::DoNotOptimize(wire::Encode(result));
}

void BenchDecodeResult(benchmark::State& state) {
  const wire::Frame frame = wire::Encode(SampleResult());
  for (auto _ : state) benchmark::DoNotOptimize(wire::DecodeEvent(frame));
}

BENCHMARK(BenchEncodeResult)->Name("wire/encode_result");
BENCHMARK(BenchDecodeResult)->Name("wire/decode_result");

}  // namespace
}  // namespace iperf3_exporter::bench

int main(int argc, char** argv) {
  iperf3_exporter::bench::VerifyOrDie();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
