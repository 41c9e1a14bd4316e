#include "worker/iperf3/iperf3_inspect.h"

#include <sys/wait.h>

#include <algorithm>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

// The supervisor waits 5 s for the ready message.
constexpr std::chrono::seconds kInspectionTime{2};

// Of what iperf3 wrote instead of an answer: enough for the loader's error message.
constexpr std::size_t kMaxQuotedBytes = 200;

std::string DescribeEnd(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

// One run of `iperf3 OPTION`.
class Run {
 public:
  Run(Iperf3Process& process, const char* option)
      : process_(process), argv_({"iperf3", option}), end_(Clock::now() + kInspectionTime) {}

  [[nodiscard]] Status Start() {
    const auto started =
        process_.Start({.argv = &argv_, .terminate_at = end_, .kill_at = end_ + kTermGrace});
    if (started) return {};
    return Fail("can't be started: " + started.error().detail);
  }

  // The text that it prints, on whichever output.
  [[nodiscard]] Result<std::string> Wait() {
    const auto status = process_.Wait().status;
    if (!status) return Fail("failed: " + status.error().detail);
    if (!WIFEXITED(*status)) return Fail(DescribeEnd(*status));
    std::string text(process_.output());
    text += process_.errors();
    return text;
  }

 private:
  [[nodiscard]] tl::unexpected<Error> Fail(const std::string& how) const {
    return MakeError("iperf3 " + argv_[1] + ' ' + how);
  }

  Iperf3Process& process_;
  std::vector<std::string> argv_;
  Deadline end_;
};

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
  Run version_run(for_version, "--version");
  Run help_run(for_help, "--help");
  for (Run* run : {&version_run, &help_run}) {
    if (const Status started = run->Start(); !started) return tl::unexpected(started.error());
  }
  const auto version_text = version_run.Wait();
  if (!version_text) return tl::unexpected(version_text.error());
  auto version = ParseIperf3Version(*version_text);
  if (!version) {
    return MakeError(version.error().message + ", it writes \"" +
                     version_text->substr(0, kMaxQuotedBytes) + '"');
  }
  const auto help = help_run.Wait();
  if (!help) return tl::unexpected(help.error());
  return Iperf3Description{std::move(*version), ParseIperf3Help(*help), program};
}

}  // namespace iperf3_exporter
