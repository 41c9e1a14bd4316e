#include "worker/iperf3/iperf3_inspect.h"

#include <sys/wait.h>

#include <algorithm>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

// The supervisor waits 5 s for the ready message; two runs must fit.
constexpr std::chrono::seconds kInspectionTime{2};

std::string DescribeEnd(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

// The text that `iperf3 OPTION` prints, wherever it prints it.
Result<std::string> RunWith(Iperf3Process& process, const char* option) {
  const std::vector<std::string> argv = {"iperf3", option};
  const Deadline end = Clock::now() + kInspectionTime;
  const auto fail = [option](const std::string& how) {
    return MakeError("iperf3 " + std::string(option) + " " + how);
  };
  const auto started =
      process.Start({.argv = &argv, .terminate_at = end, .kill_at = end + kTermGrace});
  if (!started) return fail("can't be started: " + started.error().detail);
  const auto status = process.Wait().status;
  if (!status) return fail("failed: " + status.error().detail);
  if (!WIFEXITED(*status)) return fail(DescribeEnd(*status));
  std::string text(process.output());
  text += process.errors();
  return text;
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
