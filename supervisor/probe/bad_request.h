// A request that can't be used.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace iperf3_exporter {

// Answered with 400 and this text, one line without the line feed.
struct BadRequest {
  std::string message;
};

template <typename T>
using RequestResult = tl::expected<T, BadRequest>;

}  // namespace iperf3_exporter
