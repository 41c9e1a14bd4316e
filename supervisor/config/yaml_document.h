// A YAML document read strictly: only known keys, each once, each of its type. The first error ends
// the reading and says where it is. For any configuration file.
//
// ReadDocument is a wall for exceptions: all other functions here throw ConfigError, or what
// yaml-cpp throws, and are called from within its `read` alone.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"

namespace YAML {
class Node;
}

namespace iperf3_exporter::yaml {

struct ConfigError {
  int line;
  std::string text;
};

// Calls `read` with the root of the one document in `text`. Whatever is thrown meanwhile becomes an
// Error "FILE:LINE: reason".
[[nodiscard]] Status ReadDocument(std::string_view text, const std::string& file,
                                  const std::function<void(const YAML::Node& root)>& read);

// In quotes and cut, for a ConfigError.
[[nodiscard]] std::string Quote(std::string_view text);

// From 1.
[[nodiscard]] int LineOf(const YAML::Node& node);

// A key without a value.
[[nodiscard]] bool IsAbsent(const YAML::Node& node);

// Reads a value. `where` is what a ConfigError calls it: "tls_server_config.cert".
using Reader = std::function<void(const YAML::Node& value, const std::string& where)>;
struct Key {
  std::string_view name;
  Reader read;
};

// Calls `each` for the pairs of a map, whose keys must be scalars that do not repeat.
void ForEachPair(
    const YAML::Node& map, const std::string& where,
    const std::function<void(const std::string& key, int line, const YAML::Node& value)>& each);

// Calls the reader of each key of a map that has a value. `where` is empty at the top.
void ReadKeys(const YAML::Node& map, const std::string& where, const std::vector<Key>& keys);

[[nodiscard]] std::string ReadText(const YAML::Node& node, const std::string& where);
[[nodiscard]] std::vector<std::string> ReadTexts(const YAML::Node& node, const std::string& where);

// Readers that store the value in `target`, which must outlive them.
[[nodiscard]] Reader Into(bool& target);
// A whole number, not negative.
[[nodiscard]] Reader Into(int& target);
// In Go's form, not negative.
[[nodiscard]] Reader Into(std::chrono::nanoseconds& target);
[[nodiscard]] Reader Into(std::optional<std::vector<std::string>>& target);

// A reader for a section of the file that `read` stores in `target`.
template <typename Target>
[[nodiscard]] Reader Into(Target& target,
                          void (*read)(const YAML::Node&, const std::string& where, Target&)) {
  return [&target, read](const YAML::Node& value, const std::string& where) {
    read(value, where, target);
  };
}

}  // namespace iperf3_exporter::yaml
