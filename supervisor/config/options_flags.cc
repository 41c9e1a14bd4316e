#include "supervisor/config/options_flags.h"

#include <gflags/gflags.h>

#include <array>
#include <cstddef>
#include <optional>

#include "common/build_info.h"
#include "common/quoted_text.h"

namespace iperf3_exporter {
namespace {

constexpr std::size_t kMaxQuotedFlagBytes = 200;

using enum FlagKind;

// gflags' own flags (--flagfile, --fromenv, --helpfull and so on) and glog's are not in it and
// so unknown to the user.
constexpr std::array<FlagRow, 28> kFlags = {{
    {"Web", "web.listen-address", kRepeated, ":9579",
     "an address such as :9579, 127.0.0.1:9579, [::1]:9579 or unix:/path",
     "Address to listen on: HOST:PORT, :PORT or unix:/path. Repeatable."},
    {"Web", "web.telemetry-path", kText, "/metrics",
     "a path that begins with / and is not in use by another page",
     "Path of the exporter's own metrics."},
    {"Web", "web.probe-path", kText, "/probe",
     "a path that begins with / and is not in use by another page", "Path of the probes."},
    {"Web", "web.config.file", kText, "", "a file",
     "File with TLS, client certificates, basic auth, headers and rate limit, in the format of the "
     "Prometheus exporter-toolkit."},
    {"Web", "web.systemd-socket", kSwitch, "false", "true or false",
     "Take the listening sockets from systemd instead of opening them."},
    {"Web", "web.max-connections", kCount, "512", "an integer from 1 to 100000",
     "Connections held at once; a further one is closed at once and counted."},
    {"iperf3", "iperf3.path", kText, "iperf3",
     "the name of a program on PATH, or the absolute path of an executable ELF file",
     "The iperf3 program: found on PATH at start, or an absolute path."},
    {"iperf3", "iperf3.timeout", kText, "", "a duration such as 30s, at most 24h",
     "Upper limit of one probe. Unset: no limit beyond the scrape's own."},
    {"Probe", "probe.timeout-offset", kText, "500ms", "a duration from 0 to 24h",
     "Taken off the scrape time-out so that the answer arrives in time."},
    {"Probe", "probe.default-timeout", kText, "30s", "a duration above 0, at most 24h",
     "Used when the scraper sends no time-out header."},
    {"Probe", "probe.max-period", kText, "1h", "a duration from 1s to 24h",
     "Longest test that a URL may ask for."},
    {"Probe", "probe.max-parallel", kCount, "128", "an integer from 1 to 128",
     "Most streams that a URL may ask for."},
    {"Probe", "probe.max-bitrate", kText, "", "bits per second as #[KMGT], above 0",
     "Highest bitrate, over all streams, that a URL may ask for; a probe that names none is held "
     "to "
     "it too. Unset: no limit."},
    {"Probe", "probe.allow-target", kRepeated, "", "a CIDR, a host name or *.suffix",
     "Only these targets, judged by the address that a name resolves to. Repeatable. Unset: all."},
    {"Probe", "probe.allow-port", kRepeated, "", "a port or a range such as 5201-5210",
     "Only these ports. Repeatable. Unset: all."},
    {"Probe", "probe.retries", kCount, "0", "an integer from 0 to 100",
     "How often a probe that found the server busy or refusing is tried again, inside its "
     "deadline."},
    {"Probe", "probe.failure-values", kText, "zero", "zero or absent",
     "zero: a failed probe answers the Go exporter's names with 0; absent: only iperf3_up 0 and "
     "the "
     "reason."},
    {"Probe", "probe.max-queued", kCount, "256", "an integer from 0 to 100000",
     "Waiting probes; beyond it the answer is 503."},
    {"Lock", "lock.scope", kText, "host", "host, bind, target or none",
     "host: one test at a time; bind: one per source address or device; target: one per target and "
     "port; none: no lock."},
    {"Lock", "lock.name", kText, "iperf3_exporter",
     "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
     "Exporters on one host that share the name share the lock."},
    {"Lock", "lock.timeout", kText, "80s", "a duration from 0 to 24h",
     "Longest wait for the lock; the scrape's own deadline may end it sooner."},
    {"Worker", "worker.count", kCount, "4", "an integer from 1 to 128", "Worker processes."},
    {"Worker", "worker.path", kText, "", "the absolute path of an executable ELF file",
     "The worker program. Unset: beside the exporter, then in the libexec folder."},
    {"Worker", "sandbox", kText, "require", "require, best-effort or diagnose",
     "require: do not start unless every layer that this kernel can give is in force; best-effort: "
     "log and export what is missing; diagnose: for porters, report refused system calls by name "
     "instead of killing (not a protection)."},
    {"Log", "log.level", kText, "info", "debug, info, warn or error",
     "Least level that is logged."},
    {"Log", "log.format", kText, "logfmt", "logfmt or json", "Form of the log lines on stderr."},
    {"Other", "config.check", kSwitch, "false", "true or false",
     "Check flags and files, say what is wrong, and exit: 0 good, 1 bad."},
    {"Other", "version", kSwitch, "false", "true or false", "Print the version and exit."},
}};

// Where gflags keeps a flag's present value and its default.
struct Storage {
  std::array<bool, 2> truth{};
  std::array<gflags::uint32, 2> count{};
  std::array<std::string, 2> text;
};

// gflags calls the built-in of this name its own, so ours is read here alone.
bool IsOursAlone(const FlagRow& row) {
  return row.kind == kRepeated || std::string_view(row.name) == "version";
}

void Register(const FlagRow& row, Storage& storage) {
  switch (row.kind) {
    case kSwitch:
      gflags::FlagRegisterer(row.name, row.help, __FILE__, &storage.truth[0], &storage.truth[1]);
      break;
    case kCount:
      storage.count.fill(static_cast<gflags::uint32>(std::stoul(row.standard)));
      gflags::FlagRegisterer(row.name, row.help, __FILE__, &storage.count[0], &storage.count[1]);
      break;
    case kText:
      storage.text.fill(row.standard);
      gflags::FlagRegisterer(row.name, row.help, __FILE__, &storage.text[0], &storage.text[1]);
      break;
    case kRepeated:
      break;
  }
}

// Registered on first use and never freed: gflags keeps the addresses until the process ends.
const std::array<Storage, kFlags.size()>& FlagStorage() {
  static const auto* const storage = [] {
    auto* made = new std::array<Storage, kFlags.size()>;
    for (std::size_t i = 0; i < kFlags.size(); ++i) {
      if (!IsOursAlone(kFlags[i])) Register(kFlags[i], (*made)[i]);
    }
    return made;
  }();
  return *storage;
}

const FlagRow* FindFlag(std::string_view name) {
  for (const FlagRow& row : kFlags) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

// One argument such as --name=value, taken apart.
struct Argument {
  const FlagRow* row = nullptr;
  std::optional<std::string> value;
};

tl::unexpected<FlagFault> Fault(std::string message) {
  return tl::unexpected(FlagFault{std::move(message)});
}

tl::expected<Argument, FlagFault> ParseArgument(std::string_view text) {
  const std::string quoted = QuoteText(text, kMaxQuotedFlagBytes);
  if (text.size() < 2 || text[0] != '-' || text == "--") {
    return Fault("unexpected argument " + quoted + ", expected flags alone (see --help)");
  }
  std::string_view name = text.substr(text[1] == '-' ? 2 : 1);
  Argument argument;
  if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
    argument.value = std::string(name.substr(equals + 1));
    name = name.substr(0, equals);
  }
  argument.row = FindFlag(name);
  if (argument.row == nullptr && name.starts_with("no-")) {
    const FlagRow* row = FindFlag(name.substr(3));
    if (row != nullptr && row->kind == kSwitch) {
      if (argument.value) return Fault("unexpected value in " + quoted + ", expected none");
      argument.row = row;
      argument.value = "false";
    }
  }
  if (argument.row == nullptr) {
    return Fault("unknown flag " + quoted + ", expected one of those that --help lists");
  }
  return argument;
}

// Puts the value where it belongs; false when gflags can't read it.
bool Store(const FlagRow& row, const std::string& value, FlagValues& values) {
  if (row.kind == kRepeated) {
    values.repeated[row.name].push_back(value);
    return true;
  }
  if (std::string_view(row.name) == "version") {
    values.version = value == "true";
    return values.version || value == "false";
  }
  // gflags reads a number with strtoul: blanks and hexadecimal are not what we promise.
  if (row.kind == kCount && value.find_first_not_of("0123456789") != std::string::npos)
    return false;
  return !gflags::SetCommandLineOption(row.name, value.c_str()).empty();
}

void Collect(FlagValues& values) {
  for (std::size_t i = 0; i < kFlags.size(); ++i) {
    const FlagRow& row = kFlags[i];
    const Storage& storage = FlagStorage()[i];
    if (row.kind == kSwitch) values.switches[row.name] = storage.truth[0];
    if (row.kind == kCount) values.counts[row.name] = storage.count[0];
    if (row.kind == kText) values.texts[row.name] = storage.text[0];
    if (row.kind != kRepeated) continue;
    std::vector<std::string>& list = values.repeated[row.name];
    if (list.empty() && *row.standard != '\0') list.emplace_back(row.standard);
  }
}

bool IsHelp(std::string_view text) { return text == "--help" || text == "-help" || text == "-h"; }

// "--name=VALUE", a switch as "--[no-]name".
std::string Synopsis(const FlagRow& row) {
  if (row.kind == kSwitch) return std::string("--[no-]") + row.name;
  std::string text = std::string("--") + row.name + '=';
  return *row.standard != '\0' ? text + row.standard : text + "…";
}

void AppendWrapped(std::string_view words, std::size_t indent, std::size_t width,
                   std::string& out) {
  const std::string margin(indent, ' ');
  while (!words.empty()) {
    std::size_t length = words.size();
    if (length > width - indent) length = words.rfind(' ', width - indent);
    out.append(margin).append(words.substr(0, length)) += '\n';
    words.remove_prefix(length);
    if (!words.empty()) words.remove_prefix(1);
  }
}

}  // namespace

tl::expected<FlagValues, FlagFault> ParseFlags(int argc, const char* const* argv) {
  FlagStorage();
  const gflags::FlagSaver restore_defaults;
  FlagValues values;
  for (int i = 1; i < argc; ++i) {
    if (IsHelp(argv[i])) {
      values.help = true;
      return values;
    }
    auto argument = ParseArgument(argv[i]);
    if (!argument) return tl::unexpected(std::move(argument.error()));
    const FlagRow& row = *argument->row;
    if (!argument->value && row.kind == kSwitch) argument->value = "true";
    if (!argument->value && i + 1 < argc) argument->value = argv[++i];
    if (!argument->value) {
      return Fault(std::string("--") + row.name + ": got no value, expected " + row.takes);
    }
    if (!Store(row, *argument->value, values)) {
      return tl::unexpected(BadFlagValue(row.name, *argument->value));
    }
    if (values.version) return values;
  }
  Collect(values);
  return values;
}

FlagFault BadFlagValue(std::string_view name, std::string_view value, std::string_view takes) {
  if (takes.empty()) takes = FindFlag(name)->takes;
  return FlagFault{std::string("--")
                       .append(name)
                       .append(": got ")
                       .append(QuoteText(value, kMaxQuotedFlagBytes))
                       .append(", expected ")
                       .append(takes)};
}

std::string HelpText() {
  constexpr std::size_t kIndent = 8;
  constexpr std::size_t kWidth = 100;
  std::string text =
      "Usage: iperf3_exporter [flags]\n\nPrometheus exporter for iperf3. Flags with their "
      "defaults; durations are such as 300ms, 1.5s, 1m30s.\n";
  std::string_view group;
  for (const FlagRow& row : kFlags) {
    if (row.group != group) {
      group = row.group;
      text.append("\n").append(group).append(":\n");
    }
    text.append("  ").append(Synopsis(row)) += '\n';
    std::string help = row.help;
    if (row.kind == kSwitch) help.append(" Default: ").append(row.standard) += '.';
    AppendWrapped(help, kIndent, kWidth, text);
  }
  return text + "  --help\n        Print this text and exit.\n";
}

std::string VersionText() {
  return std::string("iperf3_exporter, version ") + kVersion + " (revision " + kRevision +
         ", build type " + kBuildType + ")\n";
}

}  // namespace iperf3_exporter
