#include "supervisor/config/options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/build_info.h"
#include "common/go_duration.h"
#include "common/unique_fd.h"
#include "supervisor/config/options_flags.h"
#include "supervisor/listen/listen_address.h"
#include "supervisor/probe/iperf3_units.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr nanoseconds kDay = std::chrono::hours(24);

// Pages whose paths are not the user's to choose.
constexpr std::array<std::string_view, 7> kFixedPaths = {
    "/", "/health", "/ready", "/lock-status", "/-/healthy", "/-/ready", "/-/reload",
};

template <typename E>
struct NamedValue {
  std::string_view name;
  E value;
};

constexpr std::array<NamedValue<LockScope>, 4> kLockScopes = {{{"host", LockScope::kHost},
                                                               {"bind", LockScope::kBind},
                                                               {"target", LockScope::kTarget},
                                                               {"none", LockScope::kNone}}};
constexpr std::array<NamedValue<SandboxMode>, 3> kSandboxModes = {
    {{"require", SandboxMode::kRequire},
     {"best-effort", SandboxMode::kBestEffort},
     {"diagnose", SandboxMode::kDiagnose}}};
constexpr std::array<NamedValue<FailureValues>, 2> kFailureValues = {
    {{"zero", FailureValues::kZero}, {"absent", FailureValues::kAbsent}}};

enum class ProgramFault { kNone, kNotFound, kNotExecutable, kNotElf };

// Whether `path` can be executed by its descriptor: only ELF files can, a script's interpreter
// would find the descriptor closed.
ProgramFault CheckProgram(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return ProgramFault::kNotFound;
  if (!S_ISREG(status.st_mode) || ::access(path.c_str(), X_OK) != 0) {
    return ProgramFault::kNotExecutable;
  }
  std::array<char, 4> magic{};
  constexpr std::array<char, 4> kElf = {'\x7f', 'E', 'L', 'F'};
  const bool elf = ::read(file.get(), magic.data(), magic.size()) == 4 && magic == kElf;
  return elf ? ProgramFault::kNone : ProgramFault::kNotElf;
}

// First executable of that name in the absolute folders of PATH; empty when there is none.
std::string FindOnPath(const std::string& name) {
  const char* const variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    if (!folder.starts_with('/')) continue;
    std::string path = std::string(folder) + '/' + name;
    if (CheckProgram(path) == ProgramFault::kNone) return path;
  }
  return {};
}

std::string FolderOfThisProgram() {
  std::array<char, kMaxPathBytes> link{};
  const ssize_t length = ::readlink("/proc/self/exe", link.data(), link.size());
  if (length <= 0) return {};
  const std::string_view path(link.data(), static_cast<std::size_t>(length));
  return std::string(path.substr(0, path.rfind('/')));
}

// Turns flag values into options. The first fault is kept.
class OptionsReader {
 public:
  explicit OptionsReader(const FlagValues& flags) : flags_(flags) {}

  tl::expected<Options, FlagFault> Read() {
    ReadWeb();
    ReadProbe();
    ReadPolicy();
    ReadLock();
    ReadWorker();
    ReadLog();
    ReadPrograms();
    if (fault_) return tl::unexpected(std::move(*fault_));
    return std::move(options_);
  }

 private:
  const std::string& Text(std::string_view name) const { return flags_.texts.at(name); }

  void Refuse(std::string_view name, std::string_view value, std::string_view takes = {}) {
    if (!fault_) fault_ = BadFlagValue(name, value, takes);
  }

  std::uint32_t Count(std::string_view name, std::uint32_t least, std::uint32_t most) {
    const std::uint32_t count = flags_.counts.at(name);
    if (count < least || count > most) Refuse(name, std::to_string(count));
    return count;
  }

  nanoseconds Duration(std::string_view name, nanoseconds least) {
    const auto duration = ParseGoDuration(Text(name));
    if (duration && *duration >= least && *duration <= kDay) return *duration;
    Refuse(name, Text(name));
    return least;
  }

  template <typename E, std::size_t N>
  E Choice(std::string_view name, const std::array<NamedValue<E>, N>& values) {
    for (const NamedValue<E>& row : values) {
      if (row.name == Text(name)) return row.value;
    }
    Refuse(name, Text(name));
    return values[0].value;
  }

  void ReadWeb() {
    options_.listen_addresses = flags_.repeated.at("web.listen-address");
    for (const std::string& address : options_.listen_addresses) {
      if (!ParseListenAddress(address)) Refuse("web.listen-address", address);
    }
    options_.telemetry_path = Path("web.telemetry-path");
    options_.probe_path = Path("web.probe-path");
    if (options_.telemetry_path == options_.probe_path) {
      Refuse("web.probe-path", options_.probe_path, "another path than --web.telemetry-path");
    }
    options_.web_config_file = Text("web.config.file");
    if (!options_.web_config_file.empty() &&
        ::access(options_.web_config_file.c_str(), R_OK) != 0) {
      Refuse("web.config.file", options_.web_config_file, "a file that can be read");
    }
    options_.systemd_socket = flags_.switches.at("web.systemd-socket");
    options_.max_connections = Count("web.max-connections", 1, 100'000);
    options_.config_check = flags_.switches.at("config.check");
  }

  std::string Path(std::string_view name) {
    const std::string& path = Text(name);
    const bool plain = std::all_of(path.begin(), path.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || (c != 0 && std::strchr("/-._~", c) != nullptr);
    });
    const bool fixed = std::find(kFixedPaths.begin(), kFixedPaths.end(), path) != kFixedPaths.end();
    if (!path.starts_with('/') || !plain || fixed) Refuse(name, path);
    return path;
  }

  void ReadProbe() {
    // 0 is how the Go exporter says "no limit" here.
    if (!Text("iperf3.timeout").empty()) {
      const nanoseconds limit = Duration("iperf3.timeout", nanoseconds(0));
      if (limit.count() > 0) options_.probe_times.limit = limit;
    }
    options_.probe_times.offset = Duration("probe.timeout-offset", nanoseconds(0));
    options_.probe_times.default_timeout = Duration("probe.default-timeout", nanoseconds(1));
    options_.probe_limits.max_period =
        std::chrono::floor<seconds>(Duration("probe.max-period", seconds(1)));
    options_.probe_limits.max_parallel = Count("probe.max-parallel", 1, 128);
    if (const std::string& text = Text("probe.max-bitrate"); !text.empty()) {
      const auto bitrate = ParseBitrate(text);
      if (!bitrate || bitrate->bits_per_second == 0 || bitrate->burst_packets) {
        Refuse("probe.max-bitrate", text);
      } else {
        options_.probe_limits.max_bitrate_bits_per_second = bitrate->bits_per_second;
      }
    }
    options_.probe_retries = Count("probe.retries", 0, 100);
    options_.failure_values = Choice("probe.failure-values", kFailureValues);
    options_.max_queued = Count("probe.max-queued", 0, 100'000);
  }

  void ReadPolicy() {
    const auto& targets = flags_.repeated.at("probe.allow-target");
    const auto& ports = flags_.repeated.at("probe.allow-port");
    // One rule at a time first, so that the fault names the one that is wrong.
    for (const std::string& rule : targets) {
      if (const auto alone = TargetPolicy::Parse({rule}, {}); !alone) {
        Refuse("probe.allow-target", rule, alone.error().message);
      }
    }
    for (const std::string& rule : ports) {
      if (const auto alone = TargetPolicy::Parse({}, {rule}); !alone) {
        Refuse("probe.allow-port", rule, alone.error().message);
      }
    }
    if (auto policy = TargetPolicy::Parse(targets, ports))
      options_.target_policy = std::move(*policy);
  }

  void ReadLock() {
    options_.lock_scope = Choice("lock.scope", kLockScopes);
    options_.lock_timeout = Duration("lock.timeout", nanoseconds(0));
    options_.lock_name = Text("lock.name");
    const std::string& name = options_.lock_name;
    const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || (c != 0 && std::strchr("._-", c) != nullptr);
    });
    if (name.empty() || name.size() > kMaxLockNameBytes || !plain ||
        std::isalnum(static_cast<unsigned char>(name.front())) == 0) {
      Refuse("lock.name", name);
    }
  }

  void ReadWorker() {
    options_.worker_count = Count("worker.count", 1, 128);
    options_.sandbox = Choice("sandbox", kSandboxModes);
  }

  void ReadLog() {
    const auto level = ParseLogLevel(Text("log.level"));
    if (!level) Refuse("log.level", Text("log.level"));
    options_.log_level = level.value_or(LogLevel::kInfo);
    const auto format = ParseLogFormat(Text("log.format"));
    if (!format) Refuse("log.format", Text("log.format"));
    options_.log_format = format.value_or(LogFormat::kLogfmt);
  }

  void ReadPrograms() {
    const std::string& iperf3 = Text("iperf3.path");
    options_.iperf3_path = iperf3.find('/') == std::string::npos ? FindOnPath(iperf3) : iperf3;
    RequireProgram("iperf3.path", iperf3, options_.iperf3_path);
    const std::string& worker = Text("worker.path");
    options_.worker_path = worker.empty() ? FindWorker() : worker;
    RequireProgram("worker.path", worker, options_.worker_path);
  }

  void RequireProgram(std::string_view flag, std::string_view given, const std::string& path) {
    if (path.starts_with('/') && path.size() <= kMaxPathBytes) {
      switch (CheckProgram(path)) {
        case ProgramFault::kNone:
          return;
        case ProgramFault::kNotFound:
          return Refuse(flag, given, "a file that exists and can be read");
        case ProgramFault::kNotExecutable:
          return Refuse(flag, given, "an executable file");
        case ProgramFault::kNotElf:
          return Refuse(flag, given, "an ELF program, not a script");
      }
    }
    Refuse(flag, given);
  }

  static std::string FindWorker() {
    constexpr std::string_view kName = "/iperf3_exporter_worker";
    for (const std::string& folder : {FolderOfThisProgram(), std::string(kLibexecDir)}) {
      std::string path = folder + std::string(kName);
      if (CheckProgram(path) == ProgramFault::kNone) return path;
    }
    return {};
  }

  const FlagValues& flags_;
  Options options_;
  std::optional<FlagFault> fault_;
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

}  // namespace

std::variant<Options, ExitRequest> ParseOptions(int argc, const char* const* argv) {
  const auto flags = ParseFlags(argc, argv);
  if (flags && flags->help) return ExitRequest{0, HelpText(), false};
  if (flags && flags->version) return ExitRequest{0, VersionText(), false};
  auto options = flags ? OptionsReader(*flags).Read() : tl::unexpected(flags.error());
  if (options) return std::move(*options);
  return ExitRequest{AsksForCheck(argc, argv) ? kExitCheckFailed : kExitUsage,
                     "iperf3_exporter: " + options.error().message + '\n', true};
}

}  // namespace iperf3_exporter
