#include "common/stderr_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace iperf3_exporter {
namespace {

ssize_t WriteIfReady(std::string_view text) {
  constexpr timespec kNow{};
  ssize_t written = -1;
  do {
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    if (::ppoll(&ready, 1, &kNow, nullptr) != 1) return -1;
    written = ::write(STDERR_FILENO, text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  return written;
}

}  // namespace

// A pipe that is ready takes PIPE_BUF bytes at once and without mixing them with those of other
// processes. Almost every line is shorter.
std::size_t WriteToStderr(std::string_view text) {
  std::size_t total = 0;
  while (total < text.size()) {
    const ssize_t written = WriteIfReady(text.substr(total, PIPE_BUF));
    if (written <= 0) break;
    total += static_cast<std::size_t>(written);
  }
  return total;
}

}  // namespace iperf3_exporter
