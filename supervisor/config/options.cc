#include "supervisor/config/options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "common/build_info.h"
#include "common/iperf3/option_text.h"
#include "common/lock/lock_files.h"
#include "common/program_file.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "common/user_name.h"
#include "supervisor/config/flags.h"
#include "supervisor/config/program_paths.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// The pages whose paths are not configurable.
constexpr std::array<std::string_view, 8> kFixedPaths = {
    "/", "/config", "/health", "/ready", "/lock-status", "/-/healthy", "/-/ready", "/-/reload",
};

constexpr std::size_t kMaxQuotedAddressBytes = 120;  // the longest path of a socket has 107

void ReadListenAddresses(FlagValue& value, Options& options) {
  for (const std::string& text : value.texts()) {
    auto address = ParseListenAddress(text);
    if (!address) return value.Refuse(address.error().message, text);
    for (const ListenAddress& other : options.listen_addresses) {
      if (!Overlap(other, *address)) continue;
      return value.Refuse("an address that does not overlap with the other one, " +
                              QuoteText(other.text, kMaxQuotedAddressBytes),
                          text);
    }
    options.listen_addresses.push_back(std::move(*address));
  }
}

std::string ReadPath(FlagValue& value) {
  const std::string& path = value.text();
  if (!path.starts_with('/') || !HasOnlyAlnumOr(path, "/-._~") ||
      std::ranges::find(kFixedPaths, path) != kFixedPaths.end()) {
    value.Refuse("a path that begins with / and is not that of another page");
  }
  return path;
}

void ReadProbePath(FlagValue& value, Options& options) {
  options.probe_path = ReadPath(value);
  if (options.probe_path == options.telemetry_path) {
    value.Refuse("a path that differs from --web.telemetry-path");
  }
}

void ReadResultsPath(FlagValue& value, Options& options) {
  options.results_path = ReadPath(value);
  if (options.results_path == options.telemetry_path ||
      options.results_path == options.probe_path) {
    value.Refuse("a path that differs from --web.telemetry-path and --web.probe-path");
  }
}

// "a file that user iperf3-exporter (998) can read"
std::string FileThatThisUserCan(const std::string& verb) {
  return "a file that " + UserText(::geteuid()) + " can " + verb;
}

template <std::string Options::*kMember>
void ReadConfigPath(FlagValue& value, Options& options) {
  options.*kMember = value.text();
  if (value.text().empty() || ::access(value.text().c_str(), R_OK) == 0) return;
  const int error_number = errno;
  value.Refuse(ErrnoText(FileThatThisUserCan("read"), error_number));
}

void ReadStateDirectory(FlagValue& value, Options& options) {
  options.state_directory = value.text();
  if (!value.text().empty() && !value.text().starts_with('/')) {
    value.Refuse("the absolute path of a directory");
  }
}

void ReadRequireModule(FlagValue& value, Options& options) {
  options.requires_module = value.IsOn();
  if (value.IsOn() && options.config_file.empty()) {
    value.Refuse("--config.file, which has the modules, to be set as well");
  }
}

void CheckProgram(FlagValue& value, const std::string& path, const char* expected) {
  if (!path.starts_with('/') || path.size() > kMaxPathBytes) return value.Refuse(expected);
  const auto program = OpenProgram(path);
  const int error_number = errno;
  if (program) return;
  switch (program.error()) {
    case ProgramError::kNotReadable:
      return value.Refuse(ErrnoText(FileThatThisUserCan("read"), error_number));
    case ProgramError::kNotExecutable:
      return value.Refuse(FileThatThisUserCan("execute"));
    case ProgramError::kNotElf:
      return value.Refuse("an ELF program, not a script");
  }
}

void ReadIperf3Path(FlagValue& value, Options& options) {
  const std::string& text = value.text();
  options.iperf3_path = text.find('/') == std::string::npos ? FindOnPath(text) : text;
  CheckProgram(value, options.iperf3_path,
               "the name of a program on PATH, or the absolute path of an executable ELF file: "
               "install iperf3 or set this flag");
}

void ReadWorkerPath(FlagValue& value, Options& options) {
  options.worker_path = value.text().empty() ? FindWorker() : value.text();
  CheckProgram(value, options.worker_path, "the absolute path of an executable ELF file");
}

void ReadIperf3Timeout(FlagValue& value, Options& options) {
  if (value.text().empty()) return;
  // 0 means "no limit", as in the Go exporter.
  const nanoseconds limit = value.Duration(nanoseconds(0));
  if (limit.count() > 0) options.probe_times.limit = limit;
}

void ReadMaxPeriod(FlagValue& value, Options& options) {
  options.probe_limits.max_period = std::chrono::floor<seconds>(value.Duration(seconds(1)));
}

void ReadMaxBitrate(FlagValue& value, Options& options) {
  if (value.text().empty()) return;
  const auto bitrate = ParseBitrate(value.text());
  if (!bitrate || bitrate->bits_per_second == 0 || bitrate->burst_packets) {
    return value.Refuse("bits per second as #[KMGT], above 0");
  }
  options.probe_limits.max_bitrate_bits_per_second = bitrate->bits_per_second;
}

template <Status (TargetPolicy::*kAdd)(const std::string&)>
void ReadRules(FlagValue& value, Options& options) {
  for (const std::string& rule : value.texts()) {
    if (const Status added = (options.target_policy.*kAdd)(rule); !added) {
      value.Refuse(added.error().message, rule);
    }
  }
}

void ReadLockName(FlagValue& value, Options& options) {
  options.lock_name = value.text();
  if (!IsValidLockName(value.text()) || !IsAlnum(value.text().front())) {
    value.Refuse(
        "1 to 64 characters of A-Z a-z 0-9 . _ -, the first one a letter or digit, "
        "not starting with \"sem.\"");
  }
}

// The member of Options that a path of member pointers leads to.
template <auto... kPath>
auto& Member(Options& options) {
  return (options.*....*kPath);
}

template <auto... kPath>
void ReadSwitch(FlagValue& value, Options& options) {
  Member<kPath...>(options) = value.IsOn();
}

template <std::uint32_t kMin, std::uint32_t kMax, auto... kPath>
void ReadCount(FlagValue& value, Options& options) {
  Member<kPath...>(options) = value.Count(kMin, kMax);
}

template <std::int64_t kMinNanoseconds, auto... kPath>
void ReadDuration(FlagValue& value, Options& options) {
  Member<kPath...>(options) = value.Duration(nanoseconds(kMinNanoseconds));
}

// `kNames` are those of the enumerators, in their order.
template <const auto& kNames, auto... kPath>
void ReadChoice(FlagValue& value, Options& options) {
  auto& member = Member<kPath...>(options);
  member = static_cast<std::remove_reference_t<decltype(member)>>(value.Choice(kNames));
}

using enum FlagKind;

// In the order of reading. The flags that gflags and glog define themselves (--flagfile, --fromenv,
// --helpfull and so on) are unknown flags to the user.
constexpr FlagRow kFlags[] = {
    {"Web", "web.listen-address", kRepeated, ":9579",
     "Address to listen on: ADDRESS:PORT, [IPV6]:PORT, :PORT or unix:/path. Repeatable.",
     ReadListenAddresses},
    {"Web", "web.telemetry-path", kValue, "/metrics", "Path of the exporter's own metrics.",
     [](FlagValue& value, Options& options) { options.telemetry_path = ReadPath(value); }},
    {"Web", "web.probe-path", kValue, "/probe", "Path of the probes.", ReadProbePath},
    {"Web", "web.results-path", kValue, "/results",
     "Path of the results of the exporter's own tests.", ReadResultsPath},
    {"Web", "web.config.file", kValue, "",
     "File with TLS, client certificates, basic auth, headers and rate limit, in the format of the "
     "Prometheus exporter-toolkit.",
     ReadConfigPath<&Options::web_config_file>},
    {"Web", "web.systemd-socket", kSwitch, "false",
     "Use the listening sockets that systemd passes; --web.listen-address is then ignored.",
     ReadSwitch<&Options::systemd_socket>},
    {"Web", "web.max-connections", kValue, "512",
     "Maximum number of open connections; a further one replaces an idle one or is closed.",
     ReadCount<1, 100'000, &Options::max_connections>},
    {"Modules", "config.file", kValue, "",
     "File with modules (named tests that a URL can ask for) and the exporter's own tests.",
     ReadConfigPath<&Options::config_file>},
    {"Modules", "state.directory", kValue, "",
     "Directory that keeps what was used of the budgets of the exporter's own tests over a "
     "restart. "
     "Required if a test has a budget. It must exist, belong to the exporter's user, and be "
     "writable for nobody else; exporters do not share one.",
     ReadStateDirectory},
    {"iperf3", "iperf3.path", kValue, "iperf3",
     "The iperf3 program: found on PATH at start, or an absolute path.", ReadIperf3Path},
    {"iperf3", "iperf3.timeout", kValue, "",
     "Upper limit of one probe. Unset or 0: no limit beyond the scrape's own.", ReadIperf3Timeout},
    {"Probe", "probe.timeout-offset", kValue, "500ms",
     "Subtracted from the scrape timeout so that the response arrives in time.",
     ReadDuration<0, &Options::probe_times, &ProbeTimes::offset>},
    {"Probe", "probe.default-timeout", kValue, "30s",
     "Used if the scraper sends no timeout header.",
     ReadDuration<1, &Options::probe_times, &ProbeTimes::default_timeout>},
    {"Probe", "probe.max-period", kValue, "1h", "Maximum period of a test.", ReadMaxPeriod},
    {"Probe", "probe.max-parallel", kValue, "128", "Maximum number of streams of a test.",
     ReadCount<1, 128, &Options::probe_limits, &ProbeLimits::max_parallel>},
    {"Probe", "probe.max-bitrate", kValue, "",
     "Maximum bitrate of a test, over all streams. A probe without a bitrate is "
     "limited to it as well. Unset: no limit.",
     ReadMaxBitrate},
    {"Probe", "probe.allow-target", kRepeated, "",
     "Allow only these targets: CIDR (checked on the resolved address), host name or *.suffix "
     "(checked on the requested name, which may resolve to any address). Repeatable. Unset: all.",
     ReadRules<&TargetPolicy::AddTarget>},
    {"Probe", "probe.deny-target", kRepeated, "",
     "Never test these targets: CIDR, checked on the resolved address. Takes precedence over "
     "--probe.allow-target. Repeatable. Unset: none.",
     ReadRules<&TargetPolicy::AddDeniedTarget>},
    {"Probe", "probe.allow-port", kRepeated, "",
     "Allow only these ports or ranges. Repeatable. Unset: all.",
     ReadRules<&TargetPolicy::AddPort>},
    {"Probe", "probe.retries", kValue, "0",
     "How often a refused connection is retried, 0 to 100, within the deadline. Unless 0, a busy "
     "server is also retried until the deadline leaves no time for a test.",
     ReadCount<0, kMaxProbeRetries, &Options::probe_retries>},
    {"Probe", "probe.require-module", kSwitch, "false", "Refuse a probe that names no module.",
     ReadRequireModule},
    {"Probe", "probe.failure-values", kValue, "zero",
     "zero: a failed probe exports the Go exporter's names with 0; absent: only iperf3_up 0 and "
     "the reason.",
     ReadChoice<kFailureValuesNames, &Options::probe_page, &ProbePageStyle::failure_values>},
    {"Probe", "probe.labels", kValue, "plain",
     "Labels of a probe's metrics. plain: target and port, as in the Go exporter; fork: also "
     "direction, on every sample, as in its fork with a lock.",
     ReadChoice<kProbeLabelsNames, &Options::probe_page, &ProbePageStyle::labels>},
    {"Probe", "probe.max-queued", kValue, "256",
     "Maximum number of waiting probes; beyond it the response is 503.",
     ReadCount<0, 100'000, &Options::max_queued>},
    {"Lock", "lock.scope", kValue, "host",
     "host: one test at a time; bind: one per source address; target: one per target and "
     "port; none: no lock.",
     ReadChoice<kLockScopeNames, &Options::lock_scope>},
    {"Lock", "lock.name", kValue, "iperf3_exporter",
     "Exporters on one host with the same name share the lock.", ReadLockName},
    {"Lock", "lock.timeout", kValue, "80s",
     "Longest wait for the lock; the scrape's own deadline may end it sooner.",
     ReadDuration<0, &Options::lock_timeout>},
    {"Worker", "worker.count", kValue, "4", "Number of worker processes.",
     ReadCount<1, 128, &Options::worker_count>},
    {"Worker", "worker.path", kValue, "",
     "The worker program. Unset: beside the exporter, then in the libexec directory.",
     ReadWorkerPath},
    {"Worker", "sandbox", kValue, "require",
     "require: do not start unless every layer that this kernel offers is enabled; best-effort: "
     "log and export what is missing; diagnose: for porters, report refused system calls by name "
     "instead of killing (not a protection).",
     ReadChoice<kSandboxModeNames, &Options::sandbox>},
    {"Log", "log.level", kValue, "info", "Lowest level that is logged: debug, info, warn or error.",
     ReadChoice<kLogLevelNames, &Options::log_level>},
    {"Log", "log.format", kValue, "logfmt", "Format of the log lines on stderr: logfmt or json.",
     ReadChoice<kLogFormatNames, &Options::log_format>},
    {"Other", "config.check", kSwitch, "false",
     "Check what a start needs (flags, limits, files, the lock, iperf3 in its sandbox), report the "
     "first error, and exit: 0 valid, 1 invalid. Opens no port.",
     ReadSwitch<&Options::config_check>},
};

// Works for an invalid command line, too.
bool AsksForCheck(int argc, const char* const* argv) {
  return std::any_of(argv + std::min(argc, 1), argv + argc, [](std::string_view text) {
    return text == "--config.check" || text == "-config.check" || text == "--config.check=true" ||
           text == "-config.check=true";
  });
}

}  // namespace

std::variant<Options, ExitRequest> ParseOptions(int argc, const char* const* argv) {
  Options options;
  const auto request = ReadFlags(kFlags, argc, argv, options);
  if (request == CommandLineRequest::kRun) return options;
  if (request == CommandLineRequest::kPrintHelp) return ExitRequest{0, HelpText(kFlags)};
  if (request == CommandLineRequest::kPrintVersion) {
    return ExitRequest{0, std::string("iperf3_exporter, version ") + kVersion + " (revision " +
                              kRevision + ", build type " + kBuildType + ")\n"};
  }
  const bool is_check = AsksForCheck(argc, argv);
  return ExitRequest{is_check ? kExitCheckFailed : kExitNeedsOperator,
                     "iperf3_exporter: " + request.error().message + '\n', is_check};
}

}  // namespace iperf3_exporter
