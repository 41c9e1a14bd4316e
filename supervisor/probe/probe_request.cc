#include "supervisor/probe/probe_request.h"

#include <algorithm>
#include <utility>

#include "supervisor/config/config_file.h"
#include "supervisor/probe/query_string.h"
#include "supervisor/probe/request_reader.h"

namespace iperf3_exporter {
namespace {

Refusal BadRequest(std::string text, std::string target = {}) {
  return {RefusalReason::kBadRequest, std::move(text), std::move(target)};
}

// For the log of a request that is refused before its target is read.
std::string TargetText(const std::vector<QueryParameter>& parameters) {
  const auto found = std::ranges::find(parameters, "target", &QueryParameter::name);
  return found == parameters.end() ? "" : found->value.substr(0, kMaxQuotedValueBytes);
}

// The module that the request names, or the one for requests that name none.
tl::expected<ModulePointer, Refusal> ChooseModule(const std::vector<QueryParameter>& parameters,
                                                  const Modules& modules) {
  const auto found = std::ranges::find(parameters, "module", &QueryParameter::name);
  if (found == parameters.end() || found->value.empty()) {
    if (!modules.requires_module) return modules.default_module;
    return tl::unexpected(BadRequest(
        "'module' parameter must be specified (--probe.require-module)", TargetText(parameters)));
  }
  const bool is_reachable = IsReachable(modules, found->value);
  const auto module = modules.by_name.find(found->value);
  if (module != modules.by_name.end() && is_reachable) return module->second;
  std::string expected = "must be the name of a module in --config.file";
  if (modules.file.empty()) expected += ", which is not set";
  if (!is_reachable) expected += " other than default (--probe.require-module)";
  return tl::unexpected(
      BadRequest(ParameterErrorText("module", expected, found->value), TargetText(parameters)));
}

}  // namespace

Iperf3Description AnyIperf3() {
  Iperf3Description iperf3;
  iperf3.capabilities.options.set();
  iperf3.capabilities.authentication = true;
  return iperf3;
}

ParsedRequest ParseProbeRequest(std::string_view query, const Modules& modules,
                                const Iperf3Description& iperf3) {
  const auto parameters = ParseQuery(query);
  if (!parameters) return tl::unexpected(BadRequest(parameters.error().message));
  return BuildProbeRequest(*parameters, modules, iperf3);
}

ParsedRequest BuildProbeRequest(const std::vector<QueryParameter>& parameters,
                                const Modules& modules, const Iperf3Description& iperf3) {
  auto module = ChooseModule(parameters, modules);
  if (!module) return tl::unexpected(std::move(module.error()));
  return ReadRequest(parameters, std::move(*module), iperf3).map_error([](ParameterError error) {
    return Refusal{RefusalReason::kBadRequest,
                   ParameterErrorText(error.name, error.expected, error.value),
                   std::move(error.target), error.port};
  });
}

Status CheckModules(const Modules& modules, const Iperf3Description* iperf3) {
  const Iperf3Description any = AnyIperf3();
  for (const auto& [name, module] : modules.by_name) {
    const auto error = CheckModule(module, iperf3 == nullptr ? any : *iperf3);
    if (!error) continue;
    const ModuleParameter* parameter = module->Find(error->name);
    const bool is_auth = error->name == "module";
    return ModuleError(modules.file, parameter == nullptr ? module->line : parameter->line, name,
                       is_auth ? "auth" : error->name, error->expected + GotText(error->value));
  }
  return {};
}

}  // namespace iperf3_exporter
