#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <variant>

#include "common/logging.h"
#include "common/run_main.h"
#include "common/stderr_output.h"
#include "supervisor/app/exporter.h"
#include "supervisor/app/self_protection.h"
#include "supervisor/auth/web_security.h"
#include "supervisor/config/options.h"
#include "supervisor/config/web_config.h"

namespace iperf3_exporter {
namespace {

// Why it cannot start: the service manager should try again, or the operator must act.
constexpr int kExitMayPass = 1;
constexpr int kExitNeedsOperator = 2;

int Exit(const ExitRequest& request) {
  if (request.code != 0) {
    WriteToStderr(request.text);
  } else {
    std::fputs(request.text.c_str(), stdout);
  }
  return request.code;
}

int CannotStart(const Error& error) {
  Log(LogLevel::kError, "cannot start", {{"detail", error.message}});
  return error.may_pass ? kExitMayPass : kExitNeedsOperator;
}

int CheckConfig(const Options& options) {
  if (!options.web_config_file.empty()) {
    WatchedFiles files;
    const auto config = LoadWebConfig(options.web_config_file, files);
    const Status status = config ? WebSecurity::Check(*config) : tl::unexpected(config.error());
    if (!status) return Exit({.code = 1, .text = status.error().message + "\n"});
    const std::string warning = WarningAbout(*config);
    if (!warning.empty()) std::fprintf(stderr, "%s\n", warning.c_str());
  }
  if (const Status status = Exporter::CheckLock(options); !status) {
    return Exit({.code = 1, .text = status.error().message + "\n"});
  }
  return Exit({.code = 0, .text = "the configuration is good\n"});
}

// A descriptor that we open must never become descriptor 0, 1 or 2.
void OpenStandardDescriptors() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

int Main(int argc, const char* const* argv) {
  // Until the exporter has read its files it has nothing to reload; SIGHUP must not end it.
  std::signal(SIGHUP, SIG_IGN);
  OpenStandardDescriptors();
  auto parsed = ParseOptions(argc, argv);
  const auto* request = std::get_if<ExitRequest>(&parsed);
  if (request != nullptr && request->code == 0) return Exit(*request);
  // Before an error that only follows from this one.
  if (const Status status = CheckSystem(); !status) {
    return Exit({.code = kExitNeedsOperator, .text = status.error().message + "\n"});
  }
  if (request != nullptr) return Exit(*request);
  auto& options = std::get<Options>(parsed);
  if (options.config_check) return CheckConfig(options);
  InitLogging("iperf3_exporter", options.log_level, options.log_format);
  if (const Status status = PrepareLimits(options); !status) return CannotStart(status.error());
  Exporter exporter(std::move(options));
  if (const Status status = exporter.Start(); !status) return CannotStart(status.error());
  exporter.Run();
  return 0;
}

}  // namespace
}  // namespace iperf3_exporter

int main(int argc, char** argv) {
  return iperf3_exporter::RunMain("iperf3_exporter",
                                  [&] { return iperf3_exporter::Main(argc, argv); });
}
