// The query part of a URL as names and values. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

struct QueryParameter {
  std::string name;
  std::string value;
};

// A longer query is refused.
inline constexpr std::size_t kMaxQueryBytes = 8192;
// Of a value that a message quotes, before escaping.
inline constexpr std::size_t kMaxQuotedValueBytes = 100;

// In the order of the query, repetitions included. `+` is a space; a name without `=` has an empty
// value. Refuses wrong percent-encoding, control characters and invalid UTF-8 anywhere, also in
// unknown parameters.
[[nodiscard]] Result<std::vector<QueryParameter>> ParseQuery(std::string_view query);

// The names that are no parameter of /probe, each once.
[[nodiscard]] std::vector<std::string> ListUnknown(const std::vector<QueryParameter>& parameters);

// ", got "VALUE"", escaped and cut; nothing if the value is empty.
[[nodiscard]] std::string GotText(std::string_view value);

// "'NAME' parameter EXPECTED, got "VALUE"". The Go exporter has other words for one of them, and
// ours begin with these: "bitrate must provided as …".
[[nodiscard]] std::string ParameterErrorText(std::string_view name, std::string_view expected,
                                             std::string_view value);

}  // namespace iperf3_exporter
