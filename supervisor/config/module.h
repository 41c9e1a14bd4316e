// What a request may ask for and how its test is run: a module of --config.file, or the flags
// alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/iperf3/option_table.h"
#include "common/iperf3/test_credentials.h"
#include "supervisor/config/options.h"
#include "supervisor/config/own_test.h"
#include "supervisor/config/probe_settings.h"
#include "supervisor/config/target_policy.h"

namespace iperf3_exporter {

// The module of requests that name none.
inline constexpr std::string_view kDefaultModule = "default";

// Whether a module may set this parameter. A URL may always give the others.
[[nodiscard]] constexpr bool IsModuleParameter(const TestOption& option) {
  return option.name != "target" && option.name != "module" && option.name != "max_age";
}

// The row with that name or alias; nullptr if it is no parameter that a module may set.
[[nodiscard]] const TestOption* FindModuleParameter(std::string_view name);

// A parameter of /probe that a module sets.
struct ModuleParameter {
  std::string name;   // of a row of kTestOptions
  std::string value;  // not empty
  int line = 0;
};

// The maximum of a numeric parameter.
struct ParameterLimit {
  std::uint64_t max = 0;
  std::string source;  // for a refusal: "--probe.max-period=1h"
};

// As in the configuration file.
struct NamedFile {
  std::string name;
  int line = 0;
};

struct ModuleAuth {
  TestCredentials credentials;
  NamedFile password;
  NamedFile public_key;
};

struct Module {
  // `parameter` is the name of an option's row, not its alias; nullptr: the module does not set it.
  [[nodiscard]] const ModuleParameter* Find(std::string_view parameter) const;
  // nullptr: without a maximum of ours.
  [[nodiscard]] const ParameterLimit* FindLimit(std::string_view parameter) const;
  // Whether a URL may give this parameter (as above). `port` always, unless the module sets it.
  [[nodiscard]] bool AllowsOverride(std::string_view parameter) const;

  std::string name;  // empty: no module, the flags alone
  int line = 0;
  std::vector<ModuleParameter> parameters;
  std::optional<std::vector<std::string>> overrides;          // nullopt: every parameter
  std::map<std::string, ParameterLimit, std::less<>> limits;  // by parameter
  std::vector<std::string> allow_targets;                     // the rules, as in the file
  TargetPolicy target_policy;                                 // these and those of the flags
  ProbeTimes times;
  std::uint32_t retries = 0;
  std::optional<ModuleAuth> auth;
};

// A probe keeps the module with which it began, also across a reload.
using ModulePointer = std::shared_ptr<const Module>;

// The modules and own tests of one load of --config.file. Never changed: a reload replaces them
// all.
struct Modules {
  std::string file;  // empty: none
  // Includes `default`, if the file defines it.
  std::map<std::string, ModulePointer, std::less<>> by_name;
  ModulePointer default_module;           // for requests without `module`
  bool requires_module = false;           // such requests are refused
  std::vector<OwnTestPointer> own_tests;  // in the order of the file
};

// Whether a request may name that module: `default`, of which a URL may override everything, not if
// a module is required.
[[nodiscard]] bool IsReachable(const Modules& modules, std::string_view name);

// Whether a request with or without a module may have any target.
[[nodiscard]] bool AllowsEveryTarget(const Modules& modules);

// The modules with credentials that a request may send to any target.
[[nodiscard]] std::vector<std::string> ModulesWithOpenAuth(const Modules& modules);

// The limits and settings of the flags.
[[nodiscard]] Module ModuleOfFlags(const Options& options);

// No modules: every request uses the flags.
[[nodiscard]] Modules ModulesOfFlags(const Options& options);

}  // namespace iperf3_exporter
