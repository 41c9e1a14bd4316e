// Reads `tests` of --config.file. Checks everything but the parameters of the request, which
// CheckOwnTests (supervisor/probe/own_test_request.h) checks with the rules of a URL.
#pragma once

#include <string>
#include <vector>

#include "supervisor/config/own_test.h"

namespace YAML {
class Node;
}

namespace iperf3_exporter {

inline constexpr std::size_t kMaxOwnTests = 10'000;

// Throws as the functions of yaml_document.h do.
[[nodiscard]] std::vector<OwnTestPointer> ReadOwnTests(const YAML::Node& list,
                                                       const std::string& where);

}  // namespace iperf3_exporter
