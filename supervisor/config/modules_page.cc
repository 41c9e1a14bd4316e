#include "supervisor/config/modules_page.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "common/go_duration.h"
#include "common/iperf3/option_text.h"
#include "common/text.h"
#include "supervisor/config/own_tests_page.h"

namespace iperf3_exporter {
namespace {

std::string NumberText(const NumberOption& option, std::uint64_t number) {
  if (option.form == NumberForm::kBytes) return FormatByteCount(number);
  return std::to_string(number) + (option.form == NumberForm::kSeconds ? "s" : "");
}

// The text of a parameter that the module does not set; empty: it has no default of ours.
std::string DefaultText(const TestOption& option, const Module& module) {
  if (std::holds_alternative<FlagOption>(option.kind) ||
      std::holds_alternative<ModeOption<Protocol>>(option.kind) ||
      std::holds_alternative<ModeOption<Direction>>(option.kind)) {
    return "false";
  }
  const auto* number = std::get_if<NumberOption>(&option.kind);
  const auto value = number == nullptr ? std::nullopt : GetNumber(*number, TestOptions{});
  if (!value) return {};
  const ParameterLimit* limit = module.FindLimit(option.name);
  return NumberText(*number, limit == nullptr ? *value : std::min(*value, limit->max));
}

// A maximum as it is read: of a number, or of the bitrate.
std::string LimitText(std::string_view parameter, std::uint64_t max) {
  const auto* number = std::get_if<NumberOption>(&FindTestOption(parameter)->kind);
  return number == nullptr ? FormatBitrate(max) : NumberText(*number, max);
}

// A key without a value would be refused.
void WriteUnset(YAML::Emitter& out, const std::string& module,
                const std::vector<std::string_view>& names) {
  out << YAML::Newline << YAML::Comment(module + ", not set: " + Join(names, ", "));
}

// The limits that a URL can't reach, because the module does not let it change the parameter.
void WriteOtherLimits(YAML::Emitter& out, const std::string& name, const Module& module) {
  std::vector<std::string_view> sources;
  for (const auto& [parameter, limit] : module.limits) {
    if (!module.AllowsOverride(parameter)) sources.push_back(limit.source);
  }
  if (sources.empty()) return;
  out << YAML::Newline << YAML::Comment(name + ", limited by: " + Join(sources, ", "));
}

void WriteModule(YAML::Emitter& out, const std::string& name, const Module& module) {
  out << YAML::Key << name << YAML::BeginMap;
  std::vector<std::string_view> unset;
  for (const TestOption& option : kTestOptions) {
    if (!IsModuleParameter(option)) continue;
    const ModuleParameter* parameter = module.Find(option.name);
    const std::string text = parameter == nullptr ? DefaultText(option, module) : parameter->value;
    if (text.empty()) {
      unset.push_back(option.name);
    } else {
      out << YAML::Key << std::string(option.name) << YAML::Value << text;
    }
  }
  if (module.overrides) out << YAML::Key << "override" << YAML::Flow << *module.overrides;
  out << YAML::Key << "max" << YAML::BeginMap;
  for (const auto& [parameter, limit] : module.limits) {
    if (!module.AllowsOverride(parameter)) continue;
    out << YAML::Key << parameter << YAML::Value << LimitText(parameter, limit.max);
  }
  out << YAML::EndMap;
  if (!module.allow_targets.empty()) {
    out << YAML::Key << "allow_targets" << YAML::Flow << module.allow_targets;
  }
  out << YAML::Key << "retries" << module.retries;
  if (module.times.limit) out << YAML::Key << "timeout" << FormatGoDuration(*module.times.limit);
  if (const auto& auth = module.auth) {
    out << YAML::Key << "auth" << YAML::BeginMap << YAML::Key << "username"
        << auth->credentials.username << YAML::Key << "password_file" << auth->password.name
        << YAML::Key << "rsa_public_key_file" << auth->public_key.name << YAML::Key
        << "pkcs1_padding" << auth->credentials.pkcs1_padding << YAML::EndMap;
  }
  WriteUnset(out, name, unset);
  WriteOtherLimits(out, name, module);
  out << YAML::EndMap;
}

}  // namespace

std::string FormatModules(const Modules& modules) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "modules" << YAML::BeginMap;
  if (!modules.requires_module) {
    WriteModule(out, std::string(kDefaultModule), *modules.default_module);
  }
  for (const auto& [name, module] : modules.by_name) {
    if (name != kDefaultModule) WriteModule(out, name, *module);
  }
  out << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n" + FormatOwnTests(modules.own_tests);
}

}  // namespace iperf3_exporter
