// A result from a worker to the supervisor: encoded into a frame, then decoded with a check of
// every field. The decoded result is verified before it is timed.
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

void BenchEncodeResult(benchmark::State& state) {
  const wire::Finished result = SampleResult();
  for (auto _ : state) benchmark::DoNotOptimize(wire::Encode(result));
}

void BenchDecodeResult(benchmark::State& state) {
  const wire::Frame frame = wire::Encode(SampleResult());
  if (std::get<wire::Finished>(ValueOrDie(wire::DecodeEvent(frame))) != SampleResult()) {
    Die("a result changes in transit");
  }
  for (auto _ : state) benchmark::DoNotOptimize(wire::DecodeEvent(frame));
}

BENCHMARK(BenchEncodeResult)->Name("wire/encode_result");
BENCHMARK(BenchDecodeResult)->Name("wire/decode_result");

}  // namespace
}  // namespace iperf3_exporter::bench

BENCHMARK_MAIN();
