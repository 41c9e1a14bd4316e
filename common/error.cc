#include "common/error.h"

#include <cerrno>
#include <system_error>

namespace iperf3_exporter {

std::string ErrnoText(std::string_view what, int error_number) {
  std::string text(what);
  text += ": ";
  text += std::generic_category().message(error_number);
  return text;
}

tl::unexpected<Error> ErrnoError(std::string_view what) {
  const int error_number = errno;
  return MakeError(ErrnoText(what, error_number));
}

}  // namespace iperf3_exporter
