#include "worker/iperf3/iperf3_inspect.h"

#include <sys/wait.h>

#include <algorithm>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

// The supervisor waits 5 s for the ready message; two runs must fit.
constexpr std::chrono::seconds kInspectionTime{2};

std::string DescribeEnd(const RunResult& run) {
  if (run.end == RunEnd::kNotStarted) return "can't be started: " + run.start_error;
  if (run.end == RunEnd::kDeadline) return "did not end in time";
  if (run.end == RunEnd::kOutputTooLarge) return "prints without end";
  if (WIFSIGNALED(run.wait_status)) {
    return "was ended by signal " + std::to_string(WTERMSIG(run.wait_status));
  }
  return "exited with status " + std::to_string(WEXITSTATUS(run.wait_status));
}

// The text that `iperf3 OPTION` prints, wherever it prints it.
Result<std::string> RunWith(Iperf3Process& process, const char* option) {
  const std::vector<std::string> argv = {"iperf3", option};
  const RunResult run = process.Run({.argv = &argv, .deadline = Clock::now() + kInspectionTime});
  if (run.end != RunEnd::kExited || !WIFEXITED(run.wait_status)) {
    return MakeError("iperf3 " + std::string(option) + " " + DescribeEnd(run));
  }
  return std::string(process.output()) + std::string(process.errors());
}

}  // namespace

Result<std::string> ParseIperf3Version(std::string_view text) {
  constexpr std::string_view kPrefix = "iperf ";
  if (text.substr(0, kPrefix.size()) != kPrefix) return MakeError("this program is not iperf3");
  text.remove_prefix(kPrefix.size());
  const auto end = std::find_if(text.begin(), text.end(), [](char c) {
    return !IsAlnum(c) && c != '.' && c != '-' && c != '+';
  });
  const auto length = static_cast<std::size_t>(end - text.begin());
  if (length == 0 || text[0] != '3' || length > kMaxVersionTextBytes) {
    return MakeError("this program is not iperf3: unknown version");
  }
  return std::string(text.substr(0, length));
}

Result<Iperf3Description> RunInspection(Iperf3Process& process) {
  const auto version_text = RunWith(process, "--version");
  if (!version_text) return tl::unexpected(version_text.error());
  auto version = ParseIperf3Version(*version_text);
  if (!version) return tl::unexpected(version.error());
  const auto help = RunWith(process, "--help");
  if (!help) return tl::unexpected(help.error());
  return Iperf3Description{std::move(*version), ParseIperf3Help(*help)};
}

}  // namespace iperf3_exporter
