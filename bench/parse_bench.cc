// Parsing iperf3's reports, compared with its upper bound and with alternatives, over the same
// bytes in one run:
//   parse     ReportParser: the whole document checked, every number extracted
//   evaluate  EvaluateRun: the same, the check against the run, and large buffers freed
//   ondemand  simdjson On-Demand: the keys read in iperf3's order, the rest skipped unchecked
//   stage1    simdjson's structural scan, the ceiling of any parser that looks at every byte
//   nlohmann  nlohmann::json into a tree, the same numbers read from it
// Every answer is checked before anything is timed.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "tests/worker/iperf3/padded_report.h"
#include "worker/iperf3/run_evaluation.h"

namespace iperf3_exporter {
namespace {

struct Sample {
  std::string name;
  PaddedReport report;
  TestOptions test;

  [[nodiscard]] std::string_view text() const { return report.text(); }
  [[nodiscard]] std::size_t size() const { return text().size(); }
};

// The successful reports of the corpus, and the options of the commands that made them.
std::vector<Sample> ReadCorpus(const std::string& version) {
  std::vector<Sample> samples;
  const std::string directory = std::string(BENCH_DATA_DIR) + "/corpus/" + version + "/";
  const auto cases = nlohmann::json::parse(PaddedReport::Read(directory + "cases.json").text());
  ReportParser parser;
  for (const auto& [name, about] : cases.items()) {
    const std::string command = about["command"].get<std::string>() + " ";
    const auto has = [&](const char* word) { return command.find(word) != command.npos; };
    TestOptions test;
    test.protocol = has(" -u ") ? Protocol::kUdp : Protocol::kTcp;
    test.direction = has(" --bidir ") ? Direction::kBidirectional
                     : has(" -R ")    ? Direction::kDownload
                                      : Direction::kUpload;
    if (const std::size_t at = command.find(" -P "); at != command.npos) {
      test.parallel = static_cast<std::uint32_t>(std::atoi(command.c_str() + at + 4));
    }
    Sample sample{(std::filesystem::path(version) / name).string(),
                  PaddedReport::Read(directory + name + ".json"), test};
    if (about["status"] == 0 && parser.Parse(sample.text(), test)) {
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

// The received bytes of the first direction, by other readers.
double ReceivedBytes(const nlohmann::json& report) {
  const auto& end = report["end"];
  return end[end.contains("sum_received") ? "sum_received" : "sum"]["bytes"].get<double>();
}

// The numbers that the parser reads from a TCP upload, in the order in which iperf3 prints them.
double ReadOnDemand(simdjson::ondemand::parser& parser, const Sample& sample) {
  auto document =
      parser.iterate(sample.text().data(), sample.size(), sample.size() + kReportPaddingBytes);
  auto end = document.find_field("end");
  const auto read = [](auto&& object, const char* key) {
    double number = 0;
    if (object.find_field(key).get_double().get(number) != simdjson::SUCCESS) number = -1;
    benchmark::DoNotOptimize(number);
    return number;
  };
  for (auto stream : end.find_field("streams")) {
    auto sender = stream.find_field("sender").get_object();
    for (const char* key : {"max_snd_cwnd", "max_rtt", "min_rtt", "mean_rtt"}) read(sender, key);
  }
  auto sent = end.find_field("sum_sent").get_object();
  for (const char* key : {"seconds", "bytes", "bits_per_second", "retransmits"}) read(sent, key);
  auto received = end.find_field("sum_received").get_object();
  read(received, "seconds");
  const double received_bytes = read(received, "bytes");
  read(received, "bits_per_second");
  auto cpu = end.find_field("cpu_utilization_percent").get_object();
  for (const char* key :
       {"host_total", "host_user", "host_system", "remote_total", "remote_user", "remote_system"}) {
    read(cpu, key);
  }
  return received_bytes;
}

bool IsTcpUpload(const Sample& sample) {
  return sample.test.protocol == Protocol::kTcp && sample.test.direction == Direction::kUpload;
}

void CheckOrDie(const Sample& sample) {
  const Measurement measurement = ReportParser().Parse(sample.text(), sample.test).value();
  const auto& direction = measurement.upload ? measurement.upload : measurement.download;
  const auto report = nlohmann::json::parse(sample.text());
  simdjson::ondemand::parser parser;
  if (!report["end"].contains("sum_received") || !direction->received_bytes) return;
  const double bytes = *direction->received_bytes;
  if (sample.test.direction == Direction::kBidirectional ||
      (bytes == ReceivedBytes(report) &&
       (!IsTcpUpload(sample) || bytes == ReadOnDemand(parser, sample)))) {
    return;
  }
  bench::Die(sample.name + ": wrong answer");
}

void SetBytes(benchmark::State& state, const Sample& sample) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(sample.size()));
}

void BenchParse(benchmark::State& state, const Sample& sample) {
  ReportParser parser;
  for (auto _ : state) benchmark::DoNotOptimize(parser.Parse(sample.text(), sample.test));
  SetBytes(state, sample);
}

void BenchEvaluate(benchmark::State& state, const Sample& sample) {
  RunFacts expected{.test = sample.test, .run_time = std::chrono::hours(1)};
  expected.test.bytes = 1;  // the period does not matter
  ReportParser parser;
  for (auto _ : state) {
    benchmark::DoNotOptimize(EvaluateRun(0, sample.text(), "", expected, parser));
  }
  SetBytes(state, sample);
}

void BenchOnDemand(benchmark::State& state, const Sample& sample) {
  simdjson::ondemand::parser parser;
  for (auto _ : state) benchmark::DoNotOptimize(ReadOnDemand(parser, sample));
  SetBytes(state, sample);
}

void BenchStage1(benchmark::State& state, const Sample& sample) {
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        parser.iterate(sample.text().data(), sample.size(), sample.size() + kReportPaddingBytes)
            .error());
  }
  SetBytes(state, sample);
}

double SumOfNumbers(const nlohmann::json& object, std::initializer_list<const char*> keys) {
  double sum = 0;
  for (const char* key : keys) {
    const auto number = object.find(key);
    if (number != object.end() && number->is_number()) sum += number->get<double>();
  }
  return sum;
}

double ReadTree(const nlohmann::json& report) {
  const auto& end = report["end"];
  double sum = SumOfNumbers(
      end["cpu_utilization_percent"],
      {"host_total", "host_user", "host_system", "remote_total", "remote_user", "remote_system"});
  for (const auto& [key, value] : end.items()) {
    if (!key.starts_with("sum")) continue;
    sum += SumOfNumbers(value, {"seconds", "bytes", "bits_per_second", "retransmits", "jitter_ms",
                                "lost_packets", "packets"});
  }
  for (const auto& stream : end["streams"]) {
    const auto sender = stream.find("sender");
    if (sender == stream.end()) continue;
    sum += SumOfNumbers(*sender, {"max_snd_cwnd", "max_rtt", "min_rtt", "mean_rtt"});
  }
  return sum;
}

void BenchNlohmann(benchmark::State& state, const Sample& sample) {
  for (auto _ : state) {
    const auto report = nlohmann::json::parse(sample.text());
    benchmark::DoNotOptimize(ReadTree(report));
  }
  SetBytes(state, sample);
}

void Register(const Sample& sample) {
  const auto add = [&](const char* what, auto bench) {
    benchmark::RegisterBenchmark(
        (what + sample.name).c_str(),
        [bench, &sample](benchmark::State& state) { bench(state, sample); });
  };
  add("parse/", BenchParse);
  add("nlohmann/", BenchNlohmann);
  add("stage1/", BenchStage1);
  if (IsTcpUpload(sample)) add("ondemand/", BenchOnDemand);
  add("evaluate/", BenchEvaluate);
}

// The reports that are timed; all are checked.
bool IsTimed(const std::string& name) {
  constexpr std::array<std::string_view, 7> kTimed = {
      "3.9/tcp_default",  "3.12/tcp_default", "3.12/tcp_P128",        "3.12/udp_10M",
      "3.18/tcp_default", "3.18/tcp_P128",    "3.12/tcp_t60_i0.1_P16"};
  return std::ranges::find(kTimed, name) != kTimed.end();
}

}  // namespace
}  // namespace iperf3_exporter

int main(int argc, char** argv) {
  using iperf3_exporter::Sample;
  std::vector<Sample> samples;
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    std::ranges::move(iperf3_exporter::ReadCorpus(version), std::back_inserter(samples));
  }
  for (const Sample& sample : samples) {
    iperf3_exporter::CheckOrDie(sample);
    if (iperf3_exporter::IsTimed(sample.name)) iperf3_exporter::Register(sample);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
