#include "supervisor/config/modules_page.h"

#include <yaml-cpp/yaml.h>

#include <optional>

#include "common/go_duration.h"
#include "common/iperf3/option_text.h"

namespace iperf3_exporter {
namespace {

// The text of a parameter that a module does not set; empty: it has no default of ours.
std::string DefaultText(const TestOption& option) {
  if (std::holds_alternative<FlagOption>(option.kind) ||
      std::holds_alternative<ModeOption<Protocol>>(option.kind) ||
      std::holds_alternative<ModeOption<Direction>>(option.kind)) {
    return "false";
  }
  const auto* number = std::get_if<NumberOption>(&option.kind);
  const auto value = number == nullptr ? std::nullopt : GetNumber(*number, TestOptions{});
  if (!value) return {};
  return std::to_string(*value) + (number->form == NumberForm::kSeconds ? "s" : "");
}

// `max` as it was read.
std::string LimitText(std::string_view parameter, std::uint64_t max) {
  const TestOption& option = *FindTestOption(parameter);
  if (std::holds_alternative<BitrateOption>(option.kind)) return FormatBitrate(max);
  const auto* number = std::get_if<NumberOption>(&option.kind);
  return std::to_string(max) + (number->form == NumberForm::kSeconds ? "s" : "");
}

void WriteText(YAML::Emitter& out, const std::string& text) {
  if (text.empty()) {
    out << YAML::Null;
  } else {
    out << text;
  }
}

void WriteModule(YAML::Emitter& out, const Module& module) {
  out << YAML::BeginMap;
  for (const TestOption& option : kTestOptions) {
    if (!IsModuleParameter(option)) continue;
    const ModuleParameter* parameter = module.Find(option.name);
    out << YAML::Key << std::string(option.name) << YAML::Value;
    WriteText(out, parameter == nullptr ? DefaultText(option) : parameter->value);
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
  out << YAML::Key << "retries" << module.retries << YAML::Key << "timeout" << YAML::Value;
  WriteText(out, module.times.limit ? FormatGoDuration(*module.times.limit) : "");
  if (const auto& auth = module.auth) {
    out << YAML::Key << "auth" << YAML::BeginMap << YAML::Key << "username"
        << auth->credentials.username << YAML::Key << "password_file" << auth->password_file
        << YAML::Key << "rsa_public_key_file" << auth->public_key_file << YAML::EndMap;
  }
  out << YAML::EndMap;
}

}  // namespace

std::string FormatModules(const Modules& modules) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "modules" << YAML::BeginMap;
  const auto write = [&out](std::string_view name, const Module& module) {
    out << YAML::Key << std::string(name);
    WriteModule(out, module);
  };
  write(kDefaultModule, *modules.without_name);
  for (const auto& [name, module] : modules.by_name) {
    if (name != kDefaultModule) write(name, *module);
  }
  out << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace iperf3_exporter
