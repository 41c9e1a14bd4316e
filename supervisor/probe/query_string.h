// The query part of a URL as names and values. Pure.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace iperf3_exporter {

struct QueryParameter {
  std::string name;
  std::string value;
};

// Why a query can't be read: which parameter, what it got (escaped, cut), what is expected.
struct QueryFault {
  std::string message;
};

// A longer query is refused.
inline constexpr std::size_t kMaxQueryBytes = 8192;
// Of a value that a message quotes, before escaping.
inline constexpr std::size_t kMaxQuotedValueBytes = 100;

// In the order of the query, repetitions included; `+` is a space; a name without `=` has an
// empty value. Refuses wrong percent-encoding, and control characters and bytes that are not
// UTF-8 anywhere, in names and in parameters that mean nothing here too.
[[nodiscard]] tl::expected<std::vector<QueryParameter>, QueryFault> ParseQuery(
    std::string_view query);

// "'NAME' parameter EXPECTED, got "VALUE"", the value escaped and cut. The Go exporter has other
// words for one of them, and ours begin with these: "bitrate must provided as …".
[[nodiscard]] std::string ParameterFault(std::string_view name, std::string_view expected,
                                         std::string_view value);

}  // namespace iperf3_exporter
