#include "supervisor/config/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "common/iperf3/option_text.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "supervisor/config/own_test_reader.h"
#include "supervisor/config/yaml_document.h"

namespace iperf3_exporter {
namespace {

using yaml::ConfigError;
using yaml::ForEachItem;
using yaml::ForEachPair;
using yaml::Into;
using yaml::LineOf;
using yaml::Quote;
using yaml::ReadText;

constexpr std::size_t kMaxModuleNameBytes = 64;
// A test of one second and what it needs besides.
constexpr std::chrono::milliseconds kMinTimeout{1500};
constexpr std::chrono::hours kMaxTimeout{24};
// Bounds for what a small file with aliases can become.
constexpr std::size_t kMaxModules = 256;
constexpr std::size_t kMaxTargetRules = 10'000;  // of all modules

std::string ParameterNames() {
  std::vector<std::string_view> names;
  for (const TestOption& option : kTestOptions) {
    if (IsModuleParameter(option)) names.push_back(option.name);
  }
  return Join(names, ", ");
}

const TestOption& FindParameter(const std::string& name, int line, const std::string& where) {
  if (const TestOption* option = FindModuleParameter(name)) return *option;
  throw ConfigError{line, where + ": expected a parameter of /probe (" + ParameterNames() +
                              "), got " + Quote(name)};
}

// A text that is shown in messages and on the command line of iperf3.
std::string ReadPlainText(const YAML::Node& node, const std::string& where) {
  std::string text = ReadText(node, where);
  if (text.empty()) throw ConfigError{LineOf(node), where + ": must not be empty"};
  if (IsPlainText(text)) return text;
  throw ConfigError{LineOf(node),
                    where + ": expected UTF-8 text without control characters, got " + Quote(text)};
}

// Does not quote what was read: it may be the secret itself instead of a file.
NamedFile ReadFileName(const YAML::Node& node, const std::string& where) {
  std::string text = ReadText(node, where);
  if (!text.empty() && IsPlainText(text)) return {std::move(text), LineOf(node)};
  throw ConfigError{LineOf(node), where + ": expected the name of a file"};
}

std::string ReadUsername(const YAML::Node& node, const std::string& where) {
  std::string name = ReadPlainText(node, where);
  const Status checked = CheckUsername(name);
  if (checked) return name;
  throw ConfigError{LineOf(node), where + ": " + checked.error().message + ", got " + Quote(name)};
}

void ReadOverrides(const YAML::Node& node, const std::string& where, Module& module) {
  if (!module.overrides) {
    throw ConfigError{
        LineOf(node),
        where + ": must not be set for default, of which a URL may override everything"};
  }
  ForEachItem(node, where, [&](const YAML::Node& item) {
    const std::string name = ReadText(item, where);
    const TestOption& option = FindParameter(name, LineOf(item), where);
    if (std::ranges::find(*module.overrides, option.name) != module.overrides->end()) {
      throw ConfigError{LineOf(item), where + ": " + std::string(option.name) + " is repeated"};
    }
    module.overrides->emplace_back(option.name);
  });
}

std::uint64_t ReadMaximum(const TestOption& option, const YAML::Node& node,
                          const std::string& where) {
  const auto* number = std::get_if<NumberOption>(&option.kind);
  if (number == nullptr && !std::holds_alternative<BitrateOption>(option.kind)) {
    throw ConfigError{LineOf(node), where + ": this parameter has no maximum, only numbers have"};
  }
  const std::string text = ReadText(node, where);
  TestOptions values;
  if (number != nullptr) SetNumber(*number, 0, values);  // an empty text and 0 s leave it as it is
  if (const Status parsed = ParseOption(option, text, values); !parsed) {
    throw ConfigError{LineOf(node), where + ": " + parsed.error().message + ", got " + Quote(text)};
  }
  const auto max = number != nullptr ? GetNumber(*number, values) : values.bitrate_bits_per_second;
  if (max.value_or(0) != 0 && !values.burst_packets) return *max;
  throw ConfigError{LineOf(node), where + ": expected a maximum above 0" +
                                      (number == nullptr ? " and without a burst" : "") + ", got " +
                                      Quote(text)};
}

void ReadLimits(const YAML::Node& node, const std::string& where, Module& module) {
  ForEachPair(node, where, [&](const std::string& name, int line, const YAML::Node& value) {
    const TestOption& option = FindParameter(name, line, where);
    const std::string full_name = where + "." + name;
    const std::uint64_t max = ReadMaximum(option, value, full_name);
    if (!module.AllowsOverride(option.name)) {
      throw ConfigError{line, full_name + ": has no effect, because override does not list it"};
    }
    const ParameterLimit* limit = module.FindLimit(option.name);
    if (limit != nullptr && limit->max <= max) return;
    module.limits.insert_or_assign(
        std::string(option.name),
        ParameterLimit{max, "the maximum of module " + Quote(module.name)});
  });
}

void ReadAllowTargets(const YAML::Node& node, const std::string& where, Module& module) {
  module.allow_targets = yaml::ReadTexts(node, where);
  if (module.allow_targets.empty()) {
    throw ConfigError{LineOf(node), where + ": expected at least one target"};
  }
  module.target_policy.AddAllowList("allow_targets of module " + Quote(module.name));
  for (const auto& item : node) {
    const std::string rule = item.Scalar();
    if (const Status added = module.target_policy.AddTarget(rule); !added) {
      throw ConfigError{LineOf(item),
                        where + ": expected " + added.error().message + ", got " + Quote(rule)};
    }
  }
}

void ReadRetries(const YAML::Node& node, const std::string& where, Module& module) {
  const int retries = yaml::ReadCount(node, where);
  if (retries > static_cast<int>(kMaxProbeRetries)) {
    throw ConfigError{LineOf(node), where + ": expected at most " +
                                        std::to_string(kMaxProbeRetries) + ", got " +
                                        std::to_string(retries)};
  }
  module.retries = static_cast<std::uint32_t>(retries);
}

void ReadTimeout(const YAML::Node& node, const std::string& where, Module& module) {
  const auto timeout = yaml::ReadDuration(node, where);
  if (timeout < kMinTimeout || timeout > kMaxTimeout) {
    throw ConfigError{LineOf(node), where + ": expected a duration from 1.5s to 24h, got " +
                                        Quote(ReadText(node, where))};
  }
  auto& limit = module.times.limit;
  limit = limit ? std::min(*limit, timeout) : timeout;
}

void ReadAuth(const YAML::Node& node, const std::string& where, Module& module) {
  ModuleAuth auth;
  yaml::ReadKeys(node, where,
                 {{"username", Into(auth.credentials.username, ReadUsername)},
                  {"password_file", Into(auth.password, ReadFileName)},
                  {"rsa_public_key_file", Into(auth.public_key, ReadFileName)},
                  {"pkcs1_padding", Into(auth.credentials.pkcs1_padding, yaml::ReadBool)}});
  for (const auto& [key, text] : {std::pair("username", &auth.credentials.username),
                                  std::pair("password_file", &auth.password.name),
                                  std::pair("rsa_public_key_file", &auth.public_key.name)}) {
    if (text->empty()) throw ConfigError{LineOf(node), where + ": " + key + " is missing"};
  }
  module.auth = std::move(auth);
}

void ReadParameter(const TestOption& option, const std::string& where, int line,
                   const YAML::Node& value, Module& module) {
  if (module.Find(option.name) != nullptr) {
    throw ConfigError{line, where + ": key " + Quote(option.name) + " is repeated: " +
                                std::string(option.alias) + " is the same parameter"};
  }
  std::string text = ReadPlainText(value, where + "." + std::string(option.name));
  module.parameters.push_back({std::string(option.name), std::move(text), LineOf(value)});
}

// The other keys are those of the parameters. `max` is read last: it depends on `override`.
struct ModuleKey {
  std::string_view name;
  void (*read)(const YAML::Node& node, const std::string& where, Module& module);
};
constexpr ModuleKey kModuleKeys[] = {
    {"override", ReadOverrides}, {"allow_targets", ReadAllowTargets},
    {"retries", ReadRetries},    {"timeout", ReadTimeout},
    {"auth", ReadAuth},          {"max", ReadLimits},
};

bool IsModuleName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxModuleNameBytes && HasOnlyAlnumOr(name, "._-");
}

Module ReadModule(const std::string& name, int line, const YAML::Node& node, const Module& flags) {
  if (!IsModuleName(name)) {
    throw ConfigError{line, "modules: expected a name of 1 to " +
                                std::to_string(kMaxModuleNameBytes) +
                                " letters, digits, '.', '_' and '-', got " + Quote(name)};
  }
  if (yaml::IsAbsent(node)) {
    throw ConfigError{line, "modules." + name + ": expected a map ({} for a module without keys)"};
  }
  Module module = flags;
  module.name = name;
  module.line = line;
  if (name != kDefaultModule) module.overrides.emplace();
  const std::string where = "modules." + name;
  std::vector<std::optional<YAML::Node>> values(std::size(kModuleKeys));
  ForEachPair(node, where, [&](const std::string& key, int key_line, const YAML::Node& value) {
    // "Nothing" must not mean "no limit".
    if (yaml::IsAbsent(value)) {
      throw ConfigError{key_line, where + "." + key + ": expected a value, got nothing"};
    }
    const auto* row = std::ranges::find(kModuleKeys, key, &ModuleKey::name);
    if (row != std::end(kModuleKeys)) {
      values[static_cast<std::size_t>(row - kModuleKeys)] = value;
      return;
    }
    const TestOption* option = FindModuleParameter(key);
    if (option == nullptr) {
      std::string expected;
      for (const ModuleKey& other : kModuleKeys) expected += std::string(other.name) + ", ";
      throw ConfigError{key_line, where + ": unknown key " + Quote(key) + ", expected " + expected +
                                      "or a parameter of /probe: " + ParameterNames()};
    }
    ReadParameter(*option, where, key_line, value, module);
  });
  for (std::size_t i = 0; i < std::size(kModuleKeys); ++i) {
    if (!values[i]) continue;
    kModuleKeys[i].read(*values[i], where + "." + std::string(kModuleKeys[i].name), module);
  }
  return module;
}

// Beside the configuration file, unless its path is absolute.
std::string PathOf(const NamedFile& named, const std::string& config_file) {
  return (std::filesystem::path(config_file).parent_path() / named.name).string();
}

// The content without the line ending that editors and `echo` add. An error does not show the path:
// it may be the password itself instead of a file.
Result<std::string> ReadPassword(const std::string& path, WatchedFiles& files) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  auto text = files.Read(path);
  if (!text) {
    std::string_view reason = text.error().message;
    if (reason.starts_with(path)) reason.remove_prefix(path.size());
    return MakeError("cannot read the file with this name" + std::string(reason));
  }
  if (text->starts_with(kByteOrderMark)) return MakeError("the file begins with a byte order mark");
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (const Status checked = CheckPassword(*text); !checked) {
    return MakeError(checked.error().message + "; the file may end with one line ending");
  }
  return text;
}

Result<std::string> ReadPublicKey(const std::string& path, WatchedFiles& files) {
  auto text = files.Read(path);
  if (!text) return text;
  if (const Status checked = CheckPublicKeyText(*text); !checked) {
    return MakeError(path + ": " + checked.error().message);
  }
  return text;
}

Status ReadCredentials(const std::string& file, const std::string& module, ModuleAuth& auth,
                       WatchedFiles& files) {
  auto password = ReadPassword(PathOf(auth.password, file), files);
  if (!password) {
    return ModuleError(file, auth.password.line, module, "auth.password_file",
                       password.error().message);
  }
  auto public_key = ReadPublicKey(PathOf(auth.public_key, file), files);
  if (!public_key) {
    return ModuleError(file, auth.public_key.line, module, "auth.rsa_public_key_file",
                       public_key.error().message);
  }
  auth.credentials.password = std::move(*password);
  auth.credentials.public_key = std::move(*public_key);
  return {};
}

struct ParsedFile {
  std::map<std::string, Module> modules;
  std::vector<OwnTestPointer> own_tests;
};

Result<ParsedFile> ParseFile(std::string_view text, const std::string& file,
                             const Options& options) {
  ParsedFile parsed;
  auto& modules = parsed.modules;
  const Module flags = ModuleOfFlags(options);
  std::size_t target_rules = 0;
  bool is_empty = true;
  const auto read_modules = [&](const YAML::Node& node, const std::string& where) {
    is_empty = false;
    ForEachPair(node, where, [&](const std::string& name, int line, const YAML::Node& value) {
      const auto added = modules.emplace(name, ReadModule(name, line, value, flags)).first;
      target_rules += added->second.allow_targets.size();
      if (modules.size() > kMaxModules || target_rules > kMaxTargetRules) {
        throw ConfigError{line, where + ": expected at most " + std::to_string(kMaxModules) +
                                    " modules with " + std::to_string(kMaxTargetRules) +
                                    " allow_targets"};
      }
    });
  };
  const auto read_tests = [&](const YAML::Node& node, const std::string& where) {
    is_empty = false;
    parsed.own_tests = ReadOwnTests(node, where);
  };
  const Status read = yaml::ReadDocument(text, file, [&](const YAML::Node& root) {
    yaml::ReadKeys(root, "", {{"modules", read_modules}, {"tests", read_tests}});
    // An emptied file looks the same. It must not take limits away.
    if (is_empty) {
      throw ConfigError{1, "expected the key modules with a map of modules, or tests with a list"};
    }
  });
  if (!read) return tl::unexpected(read.error());
  return parsed;
}

Modules BuildModules(const std::string& file, ParsedFile&& parsed, const Options& options) {
  Modules modules = ModulesOfFlags(options);
  modules.file = file;
  for (auto& [name, module] : parsed.modules) {
    modules.by_name.emplace(name, std::make_shared<const Module>(std::move(module)));
  }
  const auto found = modules.by_name.find(kDefaultModule);
  if (found != modules.by_name.end()) modules.default_module = found->second;
  modules.own_tests = std::move(parsed.own_tests);
  return modules;
}

}  // namespace

Result<Modules> ParseConfigFile(std::string_view text, const std::string& file,
                                const Options& options) {
  return ParseFile(text, file, options).map([&](ParsedFile parsed) {
    return BuildModules(file, std::move(parsed), options);
  });
}

Result<Modules> LoadConfigFile(const std::string& file, const Options& options,
                               WatchedFiles& files) {
  const auto text = files.Read(file);
  if (!text) return tl::unexpected(text.error());
  auto parsed = ParseFile(*text, file, options);
  if (!parsed) return tl::unexpected(parsed.error());
  for (auto& [name, module] : parsed->modules) {
    if (!module.auth) continue;
    const Status read = ReadCredentials(file, name, *module.auth, files);
    if (!read) return tl::unexpected(read.error());
  }
  return BuildModules(file, std::move(*parsed), options);
}

tl::unexpected<Error> ModuleError(const std::string& file, int line, const std::string& module,
                                  std::string_view key, const std::string& reason) {
  return MakeError(file + ":" + std::to_string(line) + ": modules." + module + "." +
                   std::string(key) + ": " + reason);
}

}  // namespace iperf3_exporter
