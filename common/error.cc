#include "common/error.h"

#include <cerrno>
#include <system_error>

namespace iperf3_exporter {
namespace {

bool IsTransient(int error_number) {
  switch (error_number) {
    case EADDRINUSE:
    case EADDRNOTAVAIL:  // the network may still be coming up
    case EAGAIN:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string ErrnoText(std::string_view what, int error_number) {
  std::string text(what);
  text += ": ";
  text += std::generic_category().message(error_number);
  return text;
}

tl::unexpected<Error> ErrnoError(std::string_view what) {
  const int error_number = errno;
  return tl::unexpected<Error>(
      Error{.message = ErrnoText(what, error_number), .is_transient = IsTransient(error_number)});
}

}  // namespace iperf3_exporter
