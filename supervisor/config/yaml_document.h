// A YAML document read strictly: only known keys, each once, each of its type. The first thing that
// is wrong ends the reading with a Mistake, which says where. Behind the wall that ParseWebConfig
// is: these functions throw, yaml-cpp's exceptions too.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace YAML {
class Node;
}

namespace iperf3_exporter::yaml {

// Thrown by every function here.
struct Mistake {
  int line;
  std::string text;
};

// In quotes and cut, for a Mistake.
[[nodiscard]] std::string Quote(std::string_view text);

// From 1.
[[nodiscard]] int LineOf(const YAML::Node& node);

// A key without a value.
[[nodiscard]] bool IsAbsent(const YAML::Node& node);

// `where` is what a Mistake calls the value: "tls_server_config.cert".
using Reader = std::function<void(const YAML::Node& value, const std::string& where)>;
struct Key {
  std::string_view name;
  Reader read;
};

// Calls `each` for the pairs of a map, whose keys must be scalars that do not repeat.
void ForEachPair(
    const YAML::Node& map, const std::string& where,
    const std::function<void(const std::string& key, int line, const YAML::Node& value)>& each);

// Calls the reader of each key of a map that has a value; `where` is empty at the top.
void ReadKeys(const YAML::Node& map, const std::string& where, const std::vector<Key>& keys);

[[nodiscard]] std::string ReadText(const YAML::Node& node, const std::string& where);
[[nodiscard]] std::vector<std::string> ReadTexts(const YAML::Node& node, const std::string& where);
[[nodiscard]] bool ReadBool(const YAML::Node& node, const std::string& where);
// Not negative.
[[nodiscard]] int ReadCount(const YAML::Node& node, const std::string& where);
// Go's form, not negative.
[[nodiscard]] std::chrono::nanoseconds ReadDuration(const YAML::Node& node,
                                                    const std::string& where);

// Also refuses whatever yaml-cpp 0.7 takes for one: on a stray `]` or `,` it finds documents
// without end, so YAML::LoadAll must not be used.
void RefuseSecondDocument(const std::string& text);

}  // namespace iperf3_exporter::yaml
