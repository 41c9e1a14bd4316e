// Reads a YAML document strictly: only known keys, each once, each with a value of its type. The
// first error ends the reading.
//
// All functions but ReadDocument throw ConfigError, or exceptions of yaml-cpp, and are called only
// from within the `read` of ReadDocument.
#pragma once

#include <chrono>
#include <functional>
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

// Calls `read` with the root of the only document in `text`. An exception becomes an Error
// "FILE:LINE: reason".
[[nodiscard]] Status ReadDocument(std::string_view text, const std::string& file,
                                  const std::function<void(const YAML::Node& root)>& read);

// Quoted and cut, for a ConfigError.
[[nodiscard]] std::string Quote(std::string_view text);

// From 1.
[[nodiscard]] int LineOf(const YAML::Node& node);

// Whether a key has no value.
[[nodiscard]] bool IsAbsent(const YAML::Node& node);

// Reads a value. `where` is its name in a ConfigError: "tls_server_config.cert".
using Reader = std::function<void(const YAML::Node& value, const std::string& where)>;
struct Key {
  std::string_view name;
  Reader read;
};

// Calls `each` for the pairs of a map, whose keys must be unique scalars.
void ForEachPair(
    const YAML::Node& map, const std::string& where,
    const std::function<void(const std::string& key, int line, const YAML::Node& value)>& each);
void ForEachItem(const YAML::Node& list, const std::string& where,
                 const std::function<void(const YAML::Node& item)>& each);

// Calls the reader of each key that has a value. `where` is empty at the top.
void ReadKeys(const YAML::Node& map, const std::string& where, const std::vector<Key>& keys);

[[nodiscard]] std::string ReadText(const YAML::Node& node, const std::string& where);
[[nodiscard]] std::vector<std::string> ReadTexts(const YAML::Node& node, const std::string& where);
[[nodiscard]] bool ReadBool(const YAML::Node& node, const std::string& where);
// A whole number, not negative.
[[nodiscard]] int ReadCount(const YAML::Node& node, const std::string& where);
// In Go's notation, not negative.
[[nodiscard]] std::chrono::nanoseconds ReadDuration(const YAML::Node& node,
                                                    const std::string& where);

// Readers that store what `read` returns, or stores itself, in `target`, which must outlive them.
template <typename Target, typename Value>
[[nodiscard]] Reader Into(Target& target, Value (*read)(const YAML::Node&, const std::string&)) {
  return [&target, read](const YAML::Node& value, const std::string& where) {
    target = read(value, where);
  };
}
template <typename Target>
[[nodiscard]] Reader Into(Target& target,
                          void (*read)(const YAML::Node&, const std::string& where, Target&)) {
  return [&target, read](const YAML::Node& value, const std::string& where) {
    read(value, where, target);
  };
}

}  // namespace iperf3_exporter::yaml
