#include "supervisor/config/options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "common/iperf3/iperf3_units.h"
#include "common/lock/lock_files.h"
#include "common/program_file.h"
#include "common/text.h"
#include "supervisor/config/flags.h"
#include "supervisor/config/program_paths.h"
#include "supervisor/listen/listen_address.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// Paths that are in use by a page whose path is fixed.
constexpr std::array<std::string_view, 7> kFixedPaths = {
    "/", "/health", "/ready", "/lock-status", "/-/healthy", "/-/ready", "/-/reload",
};

void ReadListenAddresses(FlagValue& value, Options& options) {
  options.listen_addresses = value.texts();
  for (const std::string& address : value.texts()) {
    if (ParseListenAddress(address)) continue;
    value.Refuse("an address such as :9579, 127.0.0.1:9579, [::1]:9579 or unix:/path", address);
  }
}

std::string ReadPath(FlagValue& value) {
  const std::string& path = value.text();
  if (!path.starts_with('/') || !HasOnlyAlnumOr(path, "/-._~") ||
      std::find(kFixedPaths.begin(), kFixedPaths.end(), path) != kFixedPaths.end()) {
    value.Refuse("a path that begins with / and is not in use by another page");
  }
  return path;
}

void ReadProbePath(FlagValue& value, Options& options) {
  options.probe_path = ReadPath(value);
  if (options.probe_path == options.telemetry_path) {
    value.Refuse("another path than --web.telemetry-path");
  }
}

void ReadWebConfigFile(FlagValue& value, Options& options) {
  options.web_config_file = value.text();
  if (!value.text().empty() && ::access(value.text().c_str(), R_OK) != 0) {
    value.Refuse("a file that can be read");
  }
}

void CheckProgram(FlagValue& value, const std::string& path, const char* expected) {
  if (!path.starts_with('/') || path.size() > kMaxPathBytes) return value.Refuse(expected);
  if (std::string missing = ExpectedProgram(path); !missing.empty()) {
    value.Refuse(std::move(missing));
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
  // 0 is how the Go exporter says "no limit" here.
  const nanoseconds limit = value.Duration(nanoseconds(0));
  if (limit.count() > 0) options.probe_times.limit = limit;
}

void ReadMaxBitrate(FlagValue& value, Options& options) {
  if (value.text().empty()) return;
  const auto bitrate = ParseBitrate(value.text());
  if (!bitrate || bitrate->bits_per_second == 0 || bitrate->burst_packets) {
    return value.Refuse("bits per second as #[KMGT], above 0");
  }
  options.probe_limits.max_bitrate_bits_per_second = bitrate->bits_per_second;
}

void ReadAllowTarget(FlagValue& value, Options& options) {
  for (const std::string& rule : value.texts()) {
    if (const Status added = options.target_policy.AddTarget(rule); !added) {
      value.Refuse(added.error().message, rule);
    }
  }
}

void ReadAllowPort(FlagValue& value, Options& options) {
  for (const std::string& rule : value.texts()) {
    if (const Status added = options.target_policy.AddPort(rule); !added) {
      value.Refuse(added.error().message, rule);
    }
  }
}

void ReadLockName(FlagValue& value, Options& options) {
  options.lock_name = value.text();
  if (!IsLockName(value.text()) || !IsAlnum(value.text().front())) {
    value.Refuse("1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit");
  }
}

using enum FlagKind;

// gflags' own flags (--flagfile, --fromenv, --helpfull and so on) and glog's are not in it and so
// unknown to the user. Rows are read in this order.
constexpr FlagRow kFlags[] = {
    {"Web", "web.listen-address", kRepeated, ":9579",
     "Address to listen on: HOST:PORT, :PORT or unix:/path. Repeatable.", ReadListenAddresses},
    {"Web", "web.telemetry-path", kValue, "/metrics", "Path of the exporter's own metrics.",
     [](FlagValue& value, Options& options) { options.telemetry_path = ReadPath(value); }},
    {"Web", "web.probe-path", kValue, "/probe", "Path of the probes.", ReadProbePath},
    {"Web", "web.config.file", kValue, "",
     "File with TLS, client certificates, basic auth, headers and rate limit, in the format of the "
     "Prometheus exporter-toolkit.",
     ReadWebConfigFile},
    {"Web", "web.systemd-socket", kSwitch, "false",
     "Take the listening sockets from systemd instead of opening them.",
     [](FlagValue& value, Options& options) { options.systemd_socket = value.IsOn(); }},
    {"Web", "web.max-connections", kValue, "512",
     "Connections held at once; a further one is closed at once and counted.",
     [](FlagValue& value, Options& options) { options.max_connections = value.Count(1, 100'000); }},
    {"iperf3", "iperf3.path", kValue, "iperf3",
     "The iperf3 program: found on PATH at start, or an absolute path.", ReadIperf3Path},
    {"iperf3", "iperf3.timeout", kValue, "",
     "Upper limit of one probe. Unset: no limit beyond the scrape's own.", ReadIperf3Timeout},
    {"Probe", "probe.timeout-offset", kValue, "500ms",
     "Subtracted from the scrape timeout so that the answer arrives in time.",
     [](FlagValue& value, Options& options) {
       options.probe_times.offset = value.Duration(nanoseconds(0));
     }},
    {"Probe", "probe.default-timeout", kValue, "30s",
     "Used when the scraper sends no timeout header.",
     [](FlagValue& value, Options& options) {
       options.probe_times.default_timeout = value.Duration(nanoseconds(1));
     }},
    {"Probe", "probe.max-period", kValue, "1h", "Longest test that a URL may ask for.",
     [](FlagValue& value, Options& options) {
       options.probe_limits.max_period = std::chrono::floor<seconds>(value.Duration(seconds(1)));
     }},
    {"Probe", "probe.max-parallel", kValue, "128",
     "Maximum number of streams that a URL may ask for.",
     [](FlagValue& value, Options& options) {
       options.probe_limits.max_parallel = value.Count(1, 128);
     }},
    {"Probe", "probe.max-bitrate", kValue, "",
     "Highest bitrate, over all streams, that a URL may ask for; a probe that names none is held "
     "to it too. Unset: no limit.",
     ReadMaxBitrate},
    {"Probe", "probe.allow-target", kRepeated, "",
     "Only these targets, judged by the address that a name resolves to. Repeatable. Unset: all.",
     ReadAllowTarget},
    {"Probe", "probe.allow-port", kRepeated, "", "Only these ports. Repeatable. Unset: all.",
     ReadAllowPort},
    {"Probe", "probe.retries", kValue, "0",
     "How often a probe that found the server busy or refusing is tried again, inside its "
     "deadline.",
     [](FlagValue& value, Options& options) { options.probe_retries = value.Count(0, 100); }},
    {"Probe", "probe.failure-values", kValue, "zero",
     "zero: a failed probe answers the Go exporter's names with 0; absent: only iperf3_up 0 and "
     "the reason.",
     [](FlagValue& value, Options& options) {
       options.failure_values = value.Choice<FailureValues>(kFailureValuesNames);
     }},
    {"Probe", "probe.max-queued", kValue, "256", "Waiting probes; beyond it the answer is 503.",
     [](FlagValue& value, Options& options) { options.max_queued = value.Count(0, 100'000); }},
    {"Lock", "lock.scope", kValue, "host",
     "host: one test at a time; bind: one per source address or device; target: one per target and "
     "port; none: no lock.",
     [](FlagValue& value, Options& options) {
       options.lock_scope = value.Choice<LockScope>(kLockScopeNames);
     }},
    {"Lock", "lock.name", kValue, "iperf3_exporter",
     "Exporters on one host that share the name share the lock.", ReadLockName},
    {"Lock", "lock.timeout", kValue, "80s",
     "Longest wait for the lock; the scrape's own deadline may end it sooner.",
     [](FlagValue& value, Options& options) {
       options.lock_timeout = value.Duration(nanoseconds(0));
     }},
    {"Worker", "worker.count", kValue, "4", "Worker processes.",
     [](FlagValue& value, Options& options) { options.worker_count = value.Count(1, 128); }},
    {"Worker", "worker.path", kValue, "",
     "The worker program. Unset: beside the exporter, then in the libexec directory.",
     ReadWorkerPath},
    {"Worker", "sandbox", kValue, "require",
     "require: do not start unless every layer that this kernel can give is enabled; best-effort: "
     "log and export what is missing; diagnose: for porters, report refused system calls by name "
     "instead of killing (not a protection).",
     [](FlagValue& value, Options& options) {
       options.sandbox = value.Choice<SandboxMode>(kSandboxModeNames);
     }},
    {"Log", "log.level", kValue, "info", "Lowest level that is logged.",
     [](FlagValue& value, Options& options) {
       options.log_level = value.Choice<LogLevel>(kLogLevelNames);
     }},
    {"Log", "log.format", kValue, "logfmt", "Form of the log lines on stderr.",
     [](FlagValue& value, Options& options) {
       options.log_format = value.Choice<LogFormat>(kLogFormatNames);
     }},
    {"Other", "config.check", kSwitch, "false",
     "Check flags and files, say what is wrong, and exit: 0 good, 1 bad.",
     [](FlagValue& value, Options& options) { options.config_check = value.IsOn(); }},
    {"Other", "version", kSwitch, "false", "Print the version and exit.", nullptr},
};

constexpr int kExitUsage = 2;
constexpr int kExitCheckFailed = 1;

// Also when the command line could not be read to its end.
bool AsksForCheck(int argc, const char* const* argv) {
  return std::any_of(argv + std::min(argc, 1), argv + argc, [](std::string_view text) {
    return text == "--config.check" || text == "-config.check" || text == "--config.check=true" ||
           text == "-config.check=true";
  });
}

Result<Options> ReadOptions(const FlagTexts& flags) {
  Options options;
  for (const FlagRow& row : kFlags) {
    if (Status read = ReadFlag(row, flags, options); !read) return tl::unexpected(read.error());
  }
  return options;
}

}  // namespace

std::variant<Options, ExitRequest> ParseOptions(int argc, const char* const* argv) {
  const auto flags = ParseFlags(kFlags, argc, argv);
  if (flags && flags->help) return ExitRequest{0, HelpText(kFlags), false};
  if (flags && flags->version) return ExitRequest{0, VersionText(), false};
  auto options = flags ? ReadOptions(*flags) : tl::unexpected(flags.error());
  if (options) return std::move(*options);
  return ExitRequest{AsksForCheck(argc, argv) ? kExitCheckFailed : kExitUsage,
                     "iperf3_exporter: " + options.error().message + '\n', true};
}

}  // namespace iperf3_exporter
