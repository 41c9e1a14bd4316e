// The parameters of a request by name and type. The first fault is kept, and what follows it is of
// no account. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {

class ParameterReader {
 public:
  // Both are borrowed. `version`: of the installed iperf3, for the words of a refusal.
  ParameterReader(const std::vector<QueryParameter>& parameters, std::string_view version)
      : parameters_(parameters), version_(version) {}

  [[nodiscard]] const std::vector<QueryParameter>& parameters() const { return parameters_; }
  [[nodiscard]] const std::optional<std::string>& fault() const { return fault_; }

  // The first value of a name; empty when it was not given.
  [[nodiscard]] std::string_view Value(std::string_view name, std::string_view alias = {}) const;

  void Refuse(std::string_view name, std::string_view takes, std::string_view value);
  void RefuseWith(std::string message);

  // For an option that was asked for: refused when the installed iperf3 does not know it.
  void Need(bool capability, std::string_view name, std::string_view option);

  // Go's words for a boolean; empty means false.
  [[nodiscard]] bool Bool(std::string_view name);

  // nullopt when it was not given (or refused).
  template <typename T>
  [[nodiscard]] std::optional<T> Integer(std::string_view name, std::uint64_t least,
                                         std::uint64_t most) {
    const auto number = WideInteger(name, least, most);
    if (!number) return std::nullopt;
    return static_cast<T>(*number);
  }
  [[nodiscard]] std::optional<std::uint64_t> ByteCount(std::string_view name, std::uint64_t least,
                                                       std::uint64_t most);

 private:
  std::optional<std::uint64_t> WideInteger(std::string_view name, std::uint64_t least,
                                           std::uint64_t most);

  const std::vector<QueryParameter>& parameters_;
  const std::string_view version_;
  std::optional<std::string> fault_;
};

}  // namespace iperf3_exporter
