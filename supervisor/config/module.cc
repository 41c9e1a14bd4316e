#include "supervisor/config/module.h"

#include <algorithm>

#include "common/go_duration.h"
#include "common/iperf3/option_text.h"

namespace iperf3_exporter {

bool IsReachable(const Modules& modules, std::string_view name) {
  return !modules.requires_module || name != kDefaultModule;
}

const TestOption* FindModuleParameter(std::string_view name) {
  const TestOption* option = FindTestOption(name);
  return option != nullptr && IsModuleParameter(*option) ? option : nullptr;
}

const ModuleParameter* Module::Find(std::string_view parameter) const {
  const auto found = std::ranges::find(parameters, parameter, &ModuleParameter::name);
  return found == parameters.end() ? nullptr : &*found;
}

const ParameterLimit* Module::FindLimit(std::string_view parameter) const {
  const auto found = limits.find(parameter);
  return found == limits.end() ? nullptr : &found->second;
}

bool Module::AllowsOverride(std::string_view parameter) const {
  return !overrides || std::ranges::find(*overrides, parameter) != overrides->end() ||
         (parameter == "port" && Find("port") == nullptr);
}

bool AllowsEveryTarget(const Modules& modules) {
  if (!modules.requires_module && modules.default_module->target_policy.IsOpen()) return true;
  return std::ranges::any_of(modules.by_name, [&modules](const auto& entry) {
    return IsReachable(modules, entry.first) && entry.second->target_policy.IsOpen();
  });
}

std::vector<std::string> ModulesWithOpenAuth(const Modules& modules) {
  std::vector<std::string> names;
  for (const auto& [name, module] : modules.by_name) {
    if (!IsReachable(modules, name)) continue;
    if (module->auth && module->target_policy.IsOpen()) names.push_back(name);
  }
  return names;
}

Module ModuleOfFlags(const Options& options) {
  const ProbeLimits& limits = options.probe_limits;
  Module module;
  module.limits["period"] = {static_cast<std::uint64_t>(limits.max_period.count()),
                             "--probe.max-period=" + FormatGoDuration(limits.max_period)};
  module.limits["parallel"] = {limits.max_parallel,
                               "--probe.max-parallel=" + std::to_string(limits.max_parallel)};
  if (const auto& bitrate = limits.max_bitrate_bits_per_second) {
    module.limits["bitrate"] = {*bitrate, "--probe.max-bitrate=" + FormatBitrate(*bitrate)};
  }
  module.target_policy = options.target_policy;
  module.times = options.probe_times;
  module.retries = options.probe_retries;
  return module;
}

Modules ModulesOfFlags(const Options& options) {
  return {.file = {},
          .by_name = {},
          .default_module = std::make_shared<const Module>(ModuleOfFlags(options)),
          .requires_module = options.requires_module,
          .own_tests = {}};
}

}  // namespace iperf3_exporter
