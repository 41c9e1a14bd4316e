#include "worker/iperf3/iperf3_inspect.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "common/quoted_text.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

// An iperf3 that needs longer hangs. On a slow machine the supervisor, which waits for the ready
// message, decides before.
constexpr std::chrono::seconds kInspectionTime{60};

// The part of unexpected output that is quoted: enough for the loader's error message.
constexpr std::size_t kMaxQuotedBytes = 200;

std::string DescribeEnd(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
    return "made a system call that its sandbox denies; is this program iperf3?";
  }
  if (WIFSIGNALED(status)) return "was terminated by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

tl::unexpected<Error> Fail(const char* option, const std::string& how) {
  return MakeError("iperf3 " + std::string(option) + ' ' + how);
}

Status Start(Iperf3Process& process, const char* option) {
  const Deadline end = Clock::now() + kInspectionTime;
  Status started =
      process.Start({.argv = {"iperf3", option}, .terminate_at = end, .kill_at = end + kTermGrace});
  if (!started) {
    started.error().message.insert(0, "iperf3 " + std::string(option) + " can't be started: ");
  }
  return started;
}

// Returns the text that was printed, on whichever output.
Result<std::string> Wait(Iperf3Process& process, const char* option) {
  const auto status = process.Wait().status;
  if (!status) return Fail(option, "failed: " + status.error().detail);
  if (!WIFEXITED(*status)) return Fail(option, DescribeEnd(*status));
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

Result<Iperf3Description> RunInspection(Iperf3Process& for_version, Iperf3Process& for_help,
                                        const FileIdentity& program) {
  if (Status started = Start(for_version, "--version"); !started) {
    return tl::unexpected(started.error());
  }
  if (Status started = Start(for_help, "--help"); !started) return tl::unexpected(started.error());
  const auto version_text = Wait(for_version, "--version");
  if (!version_text) return tl::unexpected(version_text.error());
  auto version = ParseIperf3Version(*version_text);
  if (!version) {
    return MakeError("iperf3 --version printed no version of iperf3 3 but " +
                     QuoteText(*version_text, kMaxQuotedBytes));
  }
  const auto help = Wait(for_help, "--help");
  if (!help) return tl::unexpected(help.error());
  return Iperf3Description{std::move(*version), ParseIperf3Help(*help), program};
}

}  // namespace iperf3_exporter
