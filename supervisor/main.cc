#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>
#include <variant>

#include "common/logging.h"
#include "common/quoted_text.h"
#include "common/run_main.h"
#include "common/stderr_output.h"
#include "supervisor/app/exporter.h"
#include "supervisor/app/process_setup.h"
#include "supervisor/config/options.h"

namespace iperf3_exporter {
namespace {

int Exit(const ExitRequest& request) {
  if (request.code != 0) {
    WriteToStderr(request.text);
  } else if (std::fputs(request.text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    WriteToStderr(ErrnoText("stdout", errno) + "\n");
    return kExitTransient;
  }
  return request.code;
}

int CannotStart(const Error& error) {
  Log(LogLevel::kError, "cannot start", {{"detail", error.message}});
  return error.is_transient ? kExitTransient : kExitNeedsOperator;
}

int CheckConfig(Options options) {
  Status status = PrepareLimits(options);
  if (status) status = Exporter(std::move(options)).Check();
  if (!status) {
    // As in the log, a name or a text of a file must not be able to add lines.
    const std::string& message = status.error().message;
    const std::string line = IsPlainText(message) ? message : QuoteText(message, kMaxLogValueBytes);
    return Exit({.code = kExitCheckFailed, .text = line + "\n"});
  }
  return Exit({.code = 0,
               .text = "the configuration is valid (not checked: addresses, ports, systemd's "
                       "sockets, restrictions of the unit)\n"});
}

// A descriptor that we open must never become descriptor 0, 1 or 2.
void OpenStandardDescriptors() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// A parent may have blocked them. SIGTERM must end this process.
void UnblockSignals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

int Main(int argc, const char* const* argv) {
  // Until the exporter has read its files it has nothing to reload; SIGHUP must not end it.
  std::signal(SIGHUP, SIG_IGN);
  UnblockSignals();
  OpenStandardDescriptors();
  auto parsed = ParseOptions(argc, argv);
  const auto* request = std::get_if<ExitRequest>(&parsed);
  if (request != nullptr && request->code == 0) return Exit(*request);
  const bool is_check =
      request != nullptr ? request->is_check : std::get<Options>(parsed).config_check;
  // Before an error that only follows from this one.
  if (const Status status = CheckSystem(); !status) {
    return Exit({.code = is_check ? kExitCheckFailed : kExitNeedsOperator,
                 .text = status.error().message + "\n"});
  }
  if (request != nullptr) return Exit(*request);
  auto& options = std::get<Options>(parsed);
  InitLogging("iperf3_exporter", options.log_level, options.log_format);
  if (is_check) return CheckConfig(std::move(options));
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
