// The requests of the exporter's own tests. They obey the rules of a URL.
#pragma once

#include "common/error.h"
#include "common/iperf3/iperf3_description.h"
#include "supervisor/config/module.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/results/own_test_result.h"

namespace iperf3_exporter {

// Stands for the address of the client, which own tests do not have.
inline constexpr char kOwnTestClient[] = "own tests";

[[nodiscard]] ParsedRequest BuildOwnTestRequest(const OwnTest& test, const Modules& modules,
                                                const Iperf3Description& iperf3);

// The labels of a test that CheckOwnTests has accepted. Faster than building its request.
[[nodiscard]] OwnTestIdentity BuildOwnTestIdentity(const OwnTest& test, const Modules& modules);

// The shortest time between two starts.
[[nodiscard]] std::chrono::nanoseconds ShortestGap(const OwnTest& test);

// Checks the requests of all tests. `iperf3` is nullptr if it is not known yet; then its version
// and features are not checked. An Error names file and line.
[[nodiscard]] Status CheckOwnTests(const Modules& modules, const Iperf3Description* iperf3);

}  // namespace iperf3_exporter
