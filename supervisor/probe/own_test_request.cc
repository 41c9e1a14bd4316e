#include "supervisor/probe/own_test_request.h"

#include <string>
#include <utility>
#include <vector>

#include "common/go_duration.h"
#include "common/net/host.h"
#include "supervisor/budget/budget_check.h"
#include "supervisor/probe/probe_timing.h"
#include "supervisor/probe/refusal.h"

namespace iperf3_exporter {
namespace {

// What is wrong with a test; empty: nothing.
std::string FindError(const OwnTest& test, const Modules& modules,
                      const Iperf3Description& iperf3) {
  const auto request = BuildOwnTestRequest(test, modules, iperf3);
  if (!request) return request.error().text;
  if (const auto refusal = CheckPolicy(*request)) return refusal->text;
  if (test.budget) {
    const Status checked = CheckBudget(*test.budget, request->test);
    if (!checked) return "budget: " + checked.error().message;
  }
  const std::chrono::nanoseconds run = LongestRun(request->test, request->module->times);
  if (ShortestGap(test) >= run) return {};
  return "expected `every`, less the jitter, to be at least the " + FormatGoDuration(run) +
         " that the test may take, got " + FormatGoDuration(ShortestGap(test));
}

}  // namespace

ParsedRequest BuildOwnTestRequest(const OwnTest& test, const Modules& modules,
                                  const Iperf3Description& iperf3) {
  std::vector<QueryParameter> parameters = {{"target", test.target}};
  if (!test.port.empty()) parameters.push_back({"port", test.port});
  if (!test.module.empty()) parameters.push_back({"module", test.module});
  auto request = BuildProbeRequest(parameters, modules, iperf3);
  if (request) {
    request->client = kOwnTestClient;
    request->own_test = test.name;
    request->has_budget = test.budget.has_value();
  }
  return request;
}

OwnTestIdentity BuildOwnTestIdentity(const OwnTest& test, const Modules& modules) {
  const auto [host, port_of_target] = SplitHostPort(test.target);
  std::string port = port_of_target.empty() ? test.port : std::string(port_of_target.substr(1));
  if (port.empty()) {
    const Module& module =
        test.module.empty() ? *modules.default_module : *modules.by_name.at(test.module);
    const ModuleParameter* of_module = module.Find("port");
    port = of_module == nullptr ? std::to_string(ProbeRequest().ports.front()) : of_module->value;
  }
  return {.name = test.name,
          .target = std::string(host),
          .port = std::move(port),
          .module = test.module,
          .labels = test.labels};
}

std::chrono::nanoseconds ShortestGap(const OwnTest& test) {
  return test.every / 100 * (100 - test.jitter_percent);
}

Status CheckOwnTests(const Modules& modules, const Iperf3Description* iperf3) {
  const Iperf3Description any = AnyIperf3();
  for (const OwnTestPointer& test : modules.own_tests) {
    const std::string error = FindError(*test, modules, iperf3 == nullptr ? any : *iperf3);
    if (error.empty()) continue;
    return MakeError(modules.file + ":" + std::to_string(test->line) + ": tests." + test->name +
                     ": " + error);
  }
  return {};
}

}  // namespace iperf3_exporter
