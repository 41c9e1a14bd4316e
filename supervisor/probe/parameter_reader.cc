#include "supervisor/probe/parameter_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/quoted_text.h"
#include "common/text.h"
#include "common/wire/job.h"
#include "supervisor/probe/iperf3_units.h"

namespace iperf3_exporter {

std::string_view ParameterReader::Value(std::string_view name, std::string_view alias) const {
  for (const QueryParameter& parameter : parameters_) {
    if (parameter.name == name || (!alias.empty() && parameter.name == alias)) {
      return parameter.value;
    }
  }
  return {};
}

void ParameterReader::Refuse(std::string_view name, std::string_view takes,
                             std::string_view value) {
  if (!fault_) fault_ = ParameterFault(name, takes, value);
}

void ParameterReader::RefuseWith(std::string message) {
  if (!fault_) fault_ = std::move(message);
}

void ParameterReader::Need(bool capability, std::string_view name, std::string_view option) {
  if (capability) return;
  Refuse(name,
         "needs an iperf3 that knows " + std::string(option) + ", the installed one is version " +
             QuoteText(version_, kMaxVersionTextBytes),
         Value(name));
}

bool ParameterReader::Bool(std::string_view name) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 7> kFalse = {"", "0", "f", "F", "FALSE", "false", "False"};
  const std::string_view value = Value(name);
  if (std::find(kTrue.begin(), kTrue.end(), value) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), value) == kFalse.end()) {
    Refuse(name, "must be true or false (boolean): 1 t T TRUE true True 0 f F FALSE false False",
           value);
  }
  return false;
}

std::optional<std::uint64_t> ParameterReader::WideInteger(std::string_view name,
                                                          std::uint64_t least, std::uint64_t most) {
  const std::string_view value = Value(name);
  if (value.empty()) return std::nullopt;
  const auto number = ParseInteger(value, least, most);
  if (!number) {
    Refuse(name, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most),
           value);
  }
  return number;
}

std::optional<std::uint64_t> ParameterReader::ByteCount(std::string_view name, std::uint64_t least,
                                                        std::uint64_t most) {
  const std::string_view value = Value(name);
  if (value.empty()) return std::nullopt;
  const auto bytes = ParseByteCount(value);
  if (bytes && *bytes >= least && *bytes <= most) return bytes;
  Refuse(name,
         "must be a number of bytes as #[KMGT] from " + std::to_string(least) + " to " +
             std::to_string(most),
         value);
  return std::nullopt;
}

}  // namespace iperf3_exporter
