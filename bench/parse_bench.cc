// The parse path, beside what bounds it and what it replaces, in one run over the same bytes:
//   parse    ReportParser, the full extraction
//   varied   the same over reports of one shape in turn whose numbers have other lengths
//   walk     the same by the plain walk alone
//   stage1   simdjson's structural scan, the ceiling of any parser that looks at every byte
//   nlohmann nlohmann::json into a tree, the numbers taken from it
//   memcpy
// and reading the report from a pipe, without and with parsing it. Every answer is checked before
// anything is timed.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/worker/iperf3/padded_report.h"
#include "worker/iperf3/report_parser.h"

namespace iperf3_exporter {
namespace {

struct Sample {
  std::string name;
  PaddedReport report;
  Protocol protocol = Protocol::kTcp;
  Direction direction = Direction::kUpload;

  [[nodiscard]] std::string_view text() const { return report.text(); }
  [[nodiscard]] std::size_t size() const { return text().size(); }
};

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

// All reports of the corpus that are a measurement, by the command that made them.
std::vector<Sample> ReadCorpus(const std::string& version) {
  std::vector<Sample> samples;
  const std::string folder = std::string(BENCH_DATA_DIR) + "/corpus/" + version + "/";
  const auto cases = nlohmann::json::parse(ReadFile(folder + "cases.json"));
  ReportParser parser;
  for (const auto& [name, about] : cases.items()) {
    const std::string command = about["command"].get<std::string>() + " ";
    const auto has = [&](const char* word) { return command.find(word) != command.npos; };
    Sample sample{std::string(version).append("/").append(name),
                  PaddedReport::Read(std::string(folder).append(name).append(".json")),
                  has(" -u ") ? Protocol::kUdp : Protocol::kTcp,
                  has(" --bidir ") ? Direction::kBidirectional
                  : has(" -R ")    ? Direction::kDownload
                                   : Direction::kUpload};
    const Report report = parser.Parse(sample.text(), sample.protocol, sample.direction);
    if (about["status"] == 0 && report.outcome == ReportOutcome::kMeasured) {
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

// What the parser must say, by another library: the received bytes of the first direction.
double ReceivedBytes(const nlohmann::json& report) {
  const auto& end = report["end"];
  return end[end.contains("sum_received") ? "sum_received" : "sum"]["bytes"].get<double>();
}

void CheckOrDie(const Sample& sample) {
  ReportParser parser;
  const Report quick = parser.Parse(sample.text(), sample.protocol, sample.direction);
  const Report plain = parser.ParsePlainly(sample.text(), sample.protocol, sample.direction);
  const auto& direction =
      quick.measurement.upload ? quick.measurement.upload : quick.measurement.download;
  const auto report = nlohmann::json::parse(sample.text());
  const bool same_library =
      !report["end"].contains("sum_received") || sample.direction == Direction::kBidirectional ||
      !direction->received_bytes || *direction->received_bytes == ReceivedBytes(report);
  if (quick.outcome == ReportOutcome::kMeasured && plain.outcome == quick.outcome &&
      quick.measurement == plain.measurement && same_library) {
    return;
  }
  std::fprintf(stderr, "%s: wrong answer\n", sample.name.c_str());
  std::exit(1);
}

void SetBytes(benchmark::State& state, const Sample& sample) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(sample.size()));
}

void BenchParse(benchmark::State& state, const Sample& sample) {
  ReportParser parser;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parser.Parse(sample.text(), sample.protocol, sample.direction));
  }
  SetBytes(state, sample);
}

// The report with digits taken from the end of some numbers: every eighth, on average.
Sample Vary(const Sample& sample, std::minstd_rand& random) {
  std::string text;
  bool in_string = false;
  for (const char c : sample.text()) {
    const bool ends_number = !in_string && (c == ',' || c == '\n') && text.size() > 2 &&
                             std::isdigit(text.back()) && std::isdigit(text[text.size() - 2]);
    if (ends_number && random() % 8 == 0) text.pop_back();
    if (c == '"') in_string = !in_string;
    text.push_back(c);
  }
  return {sample.name, PaddedReport(std::move(text)), sample.protocol, sample.direction};
}

void BenchVaried(benchmark::State& state, const Sample& sample) {
  std::minstd_rand random(1);
  std::vector<Sample> samples;
  samples.reserve(16);
  for (int i = 0; i < 16; ++i) samples.push_back(Vary(sample, random));
  ReportParser parser;
  std::size_t bytes = 0;
  std::size_t i = 0;
  for (auto _ : state) {
    const Sample& of = samples[i++ % samples.size()];
    bytes += of.size();
    benchmark::DoNotOptimize(parser.Parse(of.text(), of.protocol, of.direction));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

void BenchWalk(benchmark::State& state, const Sample& sample) {
  ReportParser parser;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parser.ParsePlainly(sample.text(), sample.protocol, sample.direction));
  }
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

void BenchNlohmann(benchmark::State& state, const Sample& sample) {
  for (auto _ : state) {
    const auto report = nlohmann::json::parse(sample.text());
    benchmark::DoNotOptimize(ReceivedBytes(report));
  }
  SetBytes(state, sample);
}

void BenchMemcpy(benchmark::State& state, const Sample& sample) {
  std::string to(sample.size(), '\0');
  for (auto _ : state) {
    std::memcpy(to.data(), sample.text().data(), sample.size());
    benchmark::ClobberMemory();
  }
  SetBytes(state, sample);
}

// One report after another through a pipe, from a thread that has them ready. A report ends where
// its size is reached; the buffer is used again.
void BenchPipe(benchmark::State& state, const Sample& sample, bool parse) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::exit(1);
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  std::thread writer([&sample, out = ends[1]] {
    for (;;) {
      for (std::size_t at = 0; at < sample.size();) {
        const ssize_t bytes = write(out, sample.text().data() + at, sample.size() - at);
        if (bytes <= 0) return;  // the reader has closed
        at += static_cast<std::size_t>(bytes);
      }
    }
  });
  std::string buffer(sample.size() + kReportPaddingBytes, '\0');
  ReportParser parser;
  for (auto _ : state) {
    for (std::size_t at = 0; at < sample.size();) {
      const ssize_t bytes = read(ends[0], buffer.data() + at, sample.size() - at);
      if (bytes <= 0) std::exit(1);
      at += static_cast<std::size_t>(bytes);
    }
    if (parse) {
      benchmark::DoNotOptimize(parser.Parse(std::string_view(buffer).substr(0, sample.size()),
                                            sample.protocol, sample.direction));
    }
  }
  SetBytes(state, sample);
  close(ends[0]);
  writer.join();
  close(ends[1]);
}

using Bench = void (*)(benchmark::State&, const Sample&);

void BenchPipeAlone(benchmark::State& state, const Sample& sample) {
  BenchPipe(state, sample, false);
}
void BenchPipeAndParse(benchmark::State& state, const Sample& sample) {
  BenchPipe(state, sample, true);
}

// Every report is compared with the scan, the other library and a copy, briefly, because there are
// hundreds; those that stand for their kind with all else, and at the library's usual length.
void Register(const Sample& sample, bool stands_for_its_kind) {
  constexpr double kBriefSeconds = 0.01;
  CheckOrDie(sample);
  const auto add = [&](const char* what, Bench bench) {
    auto* registered = benchmark::RegisterBenchmark(
        (std::string(what) + "/" + sample.name).c_str(),
        [bench, &sample](benchmark::State& state) { bench(state, sample); });
    if (!stands_for_its_kind) registered->MinTime(kBriefSeconds);
  };
  add("parse", BenchParse);
  add("stage1", BenchStage1);
  add("nlohmann", BenchNlohmann);
  add("memcpy", BenchMemcpy);
  if (!stands_for_its_kind) return;
  add("varied", BenchVaried);
  add("walk", BenchWalk);
  add("pipe", BenchPipeAlone);
  add("pipe_and_parse", BenchPipeAndParse);
}

bool StandsForItsKind(const std::string& name) {
  static const std::vector<std::string> names = {
      "3.9/tcp_default",  "3.12/tcp_default", "3.12/tcp_P128",        "3.12/udp_10M",
      "3.18/tcp_default", "3.18/tcp_P128",    "3.12/tcp_t60_i0.1_P16"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace
}  // namespace iperf3_exporter

int main(int argc, char** argv) {
  using iperf3_exporter::Sample;
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<Sample> samples;
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    for (Sample& sample : iperf3_exporter::ReadCorpus(version))
      samples.push_back(std::move(sample));
  }
  for (const Sample& sample : samples) {
    iperf3_exporter::Register(sample, iperf3_exporter::StandsForItsKind(sample.name));
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
