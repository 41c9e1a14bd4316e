#include "supervisor/config/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include "common/go_duration.h"
#include "common/quoted_text.h"

namespace iperf3_exporter::yaml {
namespace {

constexpr std::size_t kMaxShownBytes = 100;

const char* KindOf(const YAML::Node& node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  return "a plain value";
}

// Takes note of where documents begin and of nothing else.
class DocumentStarts : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { line = mark.line + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  int line = 0;
};

}  // namespace

std::string Quote(std::string_view text) { return QuoteText(text, kMaxShownBytes); }

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

bool IsAbsent(const YAML::Node& node) {
  return node.IsNull() ||
         (node.IsScalar() && node.Tag() == "?" &&
          (node.Scalar().empty() || node.Scalar() == "~" || node.Scalar() == "null" ||
           node.Scalar() == "Null" || node.Scalar() == "NULL"));
}

void ForEachPair(
    const YAML::Node& map, const std::string& where,
    const std::function<void(const std::string& key, int line, const YAML::Node& value)>& each) {
  const std::string prefix = where.empty() ? "" : where + ": ";
  if (IsAbsent(map)) return;
  if (!map.IsMap()) {
    throw Mistake{LineOf(map), prefix + "expected a map, got " + KindOf(map)};
  }
  std::set<std::string> seen;
  for (const auto& pair : map) {
    const int line = LineOf(pair.first);
    if (!pair.first.IsScalar()) throw Mistake{line, prefix + "a key must be a plain value"};
    const std::string& key = pair.first.Scalar();
    if (!seen.insert(key).second) {
      throw Mistake{line, prefix + "key " + Quote(key) + " is repeated"};
    }
    each(key, line, pair.second);
  }
}

void ReadKeys(const YAML::Node& map, const std::string& where, const std::vector<Key>& keys) {
  ForEachPair(map, where, [&](const std::string& name, int line, const YAML::Node& value) {
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const Key& candidate) { return candidate.name == name; });
    if (key == keys.end()) {
      throw Mistake{line, (where.empty() ? "" : where + ": ") + "unknown key " + Quote(name)};
    }
    if (!IsAbsent(value)) key->read(value, where.empty() ? name : where + "." + name);
  });
}

std::string ReadText(const YAML::Node& node, const std::string& where) {
  if (!node.IsScalar()) {
    throw Mistake{LineOf(node), where + ": expected a text, got " + KindOf(node)};
  }
  return node.Scalar();
}

std::vector<std::string> ReadTexts(const YAML::Node& node, const std::string& where) {
  if (!node.IsSequence()) {
    throw Mistake{LineOf(node), where + ": expected a list, got " + KindOf(node)};
  }
  std::vector<std::string> texts;
  for (const auto& item : node) texts.push_back(ReadText(item, where));
  return texts;
}

bool ReadBool(const YAML::Node& node, const std::string& where) {
  bool value = false;
  // A quoted "true" is a text, in the toolkit too.
  if (!node.IsScalar() || node.Tag() == "!" || !YAML::convert<bool>::decode(node, value)) {
    throw Mistake{LineOf(node), where + ": expected true or false"};
  }
  return value;
}

int ReadCount(const YAML::Node& node, const std::string& where) {
  const std::string text = ReadText(node, where);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    throw Mistake{LineOf(node), where + ": expected a whole number, got " + Quote(text)};
  }
  return value;
}

std::chrono::nanoseconds ReadDuration(const YAML::Node& node, const std::string& where) {
  const std::string text = ReadText(node, where);
  const auto duration = ParseGoDuration(text);
  if (!duration || *duration < std::chrono::nanoseconds::zero()) {
    throw Mistake{LineOf(node),
                  where + ": expected a duration such as 100ms or 1s, got " + Quote(text)};
  }
  return *duration;
}

void RefuseSecondDocument(const std::string& text) {
  std::istringstream input(text);
  YAML::Parser parser(input);
  DocumentStarts starts;
  if (parser.HandleNextDocument(starts) && parser.HandleNextDocument(starts)) {
    throw Mistake{starts.line, "more than one YAML document"};
  }
}

}  // namespace iperf3_exporter::yaml
