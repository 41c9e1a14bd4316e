#include "supervisor/config/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/null.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <sstream>

#include "common/go_duration.h"
#include "common/quoted_text.h"
#include "common/text.h"

namespace iperf3_exporter::yaml {
namespace {

constexpr std::size_t kMaxShownBytes = 100;

const char* KindOf(const YAML::Node& node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  if (node.IsNull()) return "nothing";
  return "a plain value";
}

// Notes where the latest document begins and ignores everything else.
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

// After a stray `]` or `,` yaml-cpp 0.7 finds an endless sequence of documents. So YAML::LoadAll
// must not be used, and anything that yaml-cpp takes for a second document is refused.
void RefuseSecondDocument(const std::string& text) {
  std::istringstream input(text);
  YAML::Parser parser(input);
  DocumentStarts starts;
  if (parser.HandleNextDocument(starts) && parser.HandleNextDocument(starts)) {
    throw ConfigError{starts.line, "more than one YAML document"};
  }
}

// yaml-cpp's words do not name the most likely mistakes.
std::string Hint(std::string_view text, const YAML::Exception& error) {
  if (error.msg.find("anchor") != std::string::npos) {
    return " (a value that begins with * or & must be quoted, such as \"*.example.org\")";
  }
  for (int line = 0; !text.empty() && line <= error.mark.line; ++line) {
    const std::string_view content = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), content.size() + 1));
    const std::size_t tab = content.find('\t');
    if (tab != content.npos && content.find_first_not_of(" \t") > tab) {
      return " (line " + std::to_string(line + 1) +
             " is indented with a tab, where YAML takes only spaces)";
    }
  }
  return {};
}

}  // namespace

Status ReadDocument(std::string_view text, const std::string& file,
                    const std::function<void(const YAML::Node& root)>& read) {
  const auto error_at = [&file](int line, const std::string& reason) {
    return MakeError(file + ":" + std::to_string(line) + ": " + reason);
  };
  try {
    const std::string document(text);
    RefuseSecondDocument(document);
    read(YAML::Load(document));
    return {};
  } catch (const ConfigError& error) {
    return error_at(error.line, error.text);
  } catch (const YAML::Exception& error) {
    return error_at(error.mark.line + 1,
                    "invalid YAML: " + ToPrintable(error.msg) + Hint(text, error));
  } catch (const std::exception& error) {
    return error_at(1, error.what());
  }
}

std::string Quote(std::string_view text) { return QuoteText(text, kMaxShownBytes); }

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

bool IsAbsent(const YAML::Node& node) {
  // A plain scalar; a quoted one has another tag and is a text.
  return node.IsNull() ||
         (node.IsScalar() && node.Tag() == "?" && YAML::IsNullString(node.Scalar()));
}

void ForEachPair(
    const YAML::Node& map, const std::string& where,
    const std::function<void(const std::string& key, int line, const YAML::Node& value)>& each) {
  const std::string prefix = where.empty() ? "" : where + ": ";
  if (IsAbsent(map)) return;
  if (!map.IsMap()) {
    throw ConfigError{LineOf(map), prefix + "expected a map, got " + KindOf(map)};
  }
  std::set<std::string> seen;
  for (const auto& pair : map) {
    const int line = LineOf(pair.first);
    if (!pair.first.IsScalar()) throw ConfigError{line, prefix + "a key must be a plain value"};
    const std::string& key = pair.first.Scalar();
    if (!seen.insert(key).second) {
      throw ConfigError{line, prefix + "key " + Quote(key) + " is repeated"};
    }
    each(key, line, pair.second);
  }
}

void ForEachItem(const YAML::Node& list, const std::string& where,
                 const std::function<void(const YAML::Node& item)>& each) {
  if (!list.IsSequence()) {
    throw ConfigError{LineOf(list), where + ": expected a list, got " + KindOf(list)};
  }
  for (const auto& item : list) each(item);
}

void ReadKeys(const YAML::Node& map, const std::string& where, const std::vector<Key>& keys) {
  ForEachPair(map, where, [&](const std::string& name, int line, const YAML::Node& value) {
    const auto key = std::ranges::find(keys, name, &Key::name);
    if (key == keys.end()) {
      std::vector<std::string_view> names;
      std::ranges::transform(keys, std::back_inserter(names), &Key::name);
      throw ConfigError{line, (where.empty() ? "" : where + ": ") + "unknown key " + Quote(name) +
                                  ", expected " + Join(names, ", ")};
    }
    if (!IsAbsent(value)) key->read(value, where.empty() ? name : where + "." + name);
  });
}

std::string ReadText(const YAML::Node& node, const std::string& where) {
  if (!node.IsScalar()) {
    throw ConfigError{LineOf(node), where + ": expected a text, got " + KindOf(node)};
  }
  return node.Scalar();
}

std::vector<std::string> ReadTexts(const YAML::Node& node, const std::string& where) {
  std::vector<std::string> texts;
  ForEachItem(node, where, [&](const YAML::Node& item) { texts.push_back(ReadText(item, where)); });
  return texts;
}

bool ReadBool(const YAML::Node& node, const std::string& where) {
  bool value = false;
  // A quoted "true" is a text, in the toolkit too.
  if (!node.IsScalar() || node.Tag() == "!" || !YAML::convert<bool>::decode(node, value)) {
    throw ConfigError{LineOf(node), where + ": expected true or false"};
  }
  return value;
}

int ReadCount(const YAML::Node& node, const std::string& where) {
  const std::string text = ReadText(node, where);
  if (const auto value = ParseUnsigned(text, 0, std::numeric_limits<int>::max())) {
    return static_cast<int>(*value);
  }
  throw ConfigError{LineOf(node), where + ": expected a whole number, got " + Quote(text)};
}

std::chrono::nanoseconds ReadDuration(const YAML::Node& node, const std::string& where) {
  const std::string text = ReadText(node, where);
  const auto duration = ParseGoDuration(text);
  if (duration && *duration >= std::chrono::nanoseconds::zero()) return *duration;
  throw ConfigError{LineOf(node),
                    where + ": expected a duration such as 1.5s or 1m30s, got " + Quote(text)};
}

}  // namespace iperf3_exporter::yaml
