// Errors of the exporter itself: a call failed or a value is invalid. Why a measurement failed is
// another type: see failure_reason.h.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace iperf3_exporter {

struct Error {
  std::string message;
  // The cause may go away without anybody acting, such as a port that is still in use: try again.
  bool is_transient = false;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

[[nodiscard]] inline tl::unexpected<Error> MakeError(std::string message) {
  return tl::unexpected<Error>(Error{.message = std::move(message)});
}

// "what: No such file or directory" for `error_number`, an errno value. The only place where errno
// becomes text.
[[nodiscard]] std::string ErrnoText(std::string_view what, int error_number);

// An Error made from the calling thread's errno.
[[nodiscard]] tl::unexpected<Error> ErrnoError(std::string_view what);

}  // namespace iperf3_exporter
