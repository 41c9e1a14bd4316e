// Reads the parameters of a probe, wherever they come from, with those of its module. Looks up
// nothing but the interface that the zone of an address names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "common/iperf3/iperf3_description.h"
#include "supervisor/config/module.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {

// What is wrong with a parameter.
struct ParameterError {
  std::string name;
  std::string expected;
  std::string value;
  std::string target;      // of the request, as far as it was read; empty: unknown
  std::uint16_t port = 0;  // 0: unknown
};

// The request of these parameters and, for what they leave out, of the module. Refuses what the
// installed iperf3 lacks or has a known defect for, and what the module does not let a URL change.
[[nodiscard]] tl::expected<ProbeRequest, ParameterError> ReadRequest(
    const std::vector<QueryParameter>& parameters, ModulePointer module,
    const Iperf3Description& iperf3);

// What is wrong with a module alone, without a target.
[[nodiscard]] std::optional<ParameterError> CheckModule(ModulePointer module,
                                                        const Iperf3Description& iperf3);

}  // namespace iperf3_exporter
