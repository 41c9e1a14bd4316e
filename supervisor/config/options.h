// The command line as checked values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/lock/lock_key.h"
#include "common/logging.h"
#include "common/sandbox_layer.h"
#include "supervisor/config/probe_settings.h"
#include "supervisor/config/target_policy.h"
#include "supervisor/listen/listen_address.h"

namespace iperf3_exporter {

// One member per flag (docs/REFERENCE.md). The defaults are in the table of options.cc.
struct Options {
  std::vector<ListenAddress> listen_addresses;  // no two overlap
  std::string telemetry_path;
  std::string probe_path;
  std::string results_path;
  std::string web_config_file;  // empty: none
  std::string config_file;      // empty: none
  std::string state_directory;  // empty: none; otherwise absolute
  bool systemd_socket = false;
  std::size_t max_connections = 0;

  std::string iperf3_path;  // absolute

  ProbeTimes probe_times;
  ProbeLimits probe_limits;
  TargetPolicy target_policy;
  std::uint32_t probe_retries = 0;
  bool requires_module = false;
  ProbePageStyle probe_page;
  std::size_t max_queued = 0;

  LockScope lock_scope = LockScope::kHost;
  std::string lock_name;  // [A-Za-z0-9._-], starts with a letter or digit
  std::chrono::nanoseconds lock_timeout{0};

  std::uint32_t worker_count = 0;
  std::string worker_path;  // absolute
  SandboxMode sandbox = SandboxMode::kRequire;

  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kLogfmt;
  bool config_check = false;
};

// Exit instead of starting: --help, --version, or an invalid command line.
struct ExitRequest {
  int code = 0;           // 0: `text` belongs on stdout, else on stderr
  std::string text;       // complete lines
  bool is_check = false;  // --config.check was given
};

// The exit statuses (docs/REFERENCE.md). A service manager may try again after kExitTransient.
inline constexpr int kExitTransient = 1;
inline constexpr int kExitCheckFailed = 1;
inline constexpr int kExitNeedsOperator = 2;

// Reads the command line and checks all that can be checked without opening a socket, including the
// programs to start (PATH is read). No configuration file is read. With --config.check an
// error exits with 1 instead of 2. Not thread-safe (gflags).
[[nodiscard]] std::variant<Options, ExitRequest> ParseOptions(int argc, const char* const* argv);

}  // namespace iperf3_exporter
