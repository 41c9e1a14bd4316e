#include "supervisor/config/flags.h"

#include <gflags/gflags.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <utility>

#include "common/build_info.h"
#include "common/go_duration.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "supervisor/config/options.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMaxQuotedFlagBytes = 200;
constexpr nanoseconds kMaxDuration = std::chrono::hours(24);

// Where gflags keeps a flag's present value and its default.
struct Storage {
  std::array<bool, 2> on{};
  std::array<std::string, 2> text;
};

// gflags has a flag of its own by this name.
bool IsVersion(const FlagRow& row) { return std::string_view(row.name) == "version"; }

// gflags keeps the addresses until the process ends.
void RegisterOnce(std::span<const FlagRow> rows) {
  static std::vector<Storage> storage;
  if (!storage.empty()) return;
  storage.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const FlagRow& row = rows[i];
    Storage& at = storage[i];
    if (row.kind == FlagKind::kValue) {
      at.text.fill(row.default_value);
      gflags::FlagRegisterer(row.name, row.help, __FILE__, &at.text[0], &at.text[1]);
    } else if (row.kind == FlagKind::kSwitch && !IsVersion(row)) {
      gflags::FlagRegisterer(row.name, row.help, __FILE__, &at.on[0], &at.on[1]);
    }
  }
}

const FlagRow* FindFlag(std::span<const FlagRow> rows, std::string_view name) {
  const auto row = std::find_if(rows.begin(), rows.end(), [name](const FlagRow& candidate) {
    return name == candidate.name;
  });
  return row != rows.end() ? &*row : nullptr;
}

// Levenshtein's distance.
std::size_t CountEdits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

// ", did you mean --name?", or nothing when no flag is near.
std::string Suggestion(std::span<const FlagRow> rows, std::string_view name) {
  constexpr std::size_t kMaxNameBytes = 64;
  if (name.size() > kMaxNameBytes) return {};
  const FlagRow& nearest =
      *std::min_element(rows.begin(), rows.end(), [name](const FlagRow& a, const FlagRow& b) {
        return CountEdits(name, a.name) < CountEdits(name, b.name);
      });
  if (CountEdits(name, nearest.name) > std::string_view(nearest.name).size() / 3) return {};
  return std::string(", did you mean --") + nearest.name + "?";
}

// One argument such as --name=value, taken apart.
struct Argument {
  const FlagRow* row = nullptr;
  std::optional<std::string> value;
};

Result<Argument> ParseArgument(std::span<const FlagRow> rows, std::string_view text) {
  const std::string quoted = QuoteText(text, kMaxQuotedFlagBytes);
  if (text.size() < 2 || text[0] != '-' || text == "--") {
    return MakeError("unexpected argument " + quoted + ", expected flags alone (see --help)");
  }
  std::string_view name = text.substr(text[1] == '-' ? 2 : 1);
  Argument argument;
  if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
    argument.value = std::string(name.substr(equals + 1));
    name = name.substr(0, equals);
  }
  argument.row = FindFlag(rows, name);
  if (argument.row == nullptr && name.starts_with("no-")) {
    const FlagRow* row = FindFlag(rows, name.substr(3));
    if (row != nullptr && row->kind == FlagKind::kSwitch) {
      if (argument.value) return MakeError("unexpected value in " + quoted + ", expected none");
      argument.row = row;
      argument.value = "false";
    }
  }
  if (argument.row == nullptr) {
    return MakeError("unknown flag " + quoted + ", expected one of those that --help lists" +
                     Suggestion(rows, name));
  }
  return argument;
}

// What a row says about a text that it does not accept.
std::string ExpectedBy(const FlagRow& row) {
  if (row.kind == FlagKind::kSwitch) return "true or false";
  Options unused;
  FlagValue empty({""});
  row.read(empty, unused);
  return empty.refusal() ? empty.refusal()->expected : "a value";
}

Error BadValue(const FlagRow& row, const std::string& text, const std::string& expected) {
  return {std::string("--") + row.name + ": got " + QuoteText(text, kMaxQuotedFlagBytes) +
          ", expected " + expected};
}

// False when gflags can't read the value.
bool Store(const FlagRow& row, const std::string& value, FlagTexts& flags) {
  if (row.kind == FlagKind::kRepeated) {
    flags.texts[row.name].push_back(value);
    return true;
  }
  if (IsVersion(row)) {
    flags.version = value == "true";
    return flags.version || value == "false";
  }
  return !gflags::SetCommandLineOption(row.name, value.c_str()).empty();
}

void Collect(std::span<const FlagRow> rows, FlagTexts& flags) {
  for (const FlagRow& row : rows) {
    std::vector<std::string>& texts = flags.texts[row.name];
    if (row.kind != FlagKind::kRepeated && !IsVersion(row)) {
      gflags::GetCommandLineOption(row.name, &texts.emplace_back());
    } else if (texts.empty() && *row.default_value != '\0') {
      texts.emplace_back(row.default_value);
    }
  }
}

bool IsHelp(std::string_view text) { return text == "--help" || text == "-help" || text == "-h"; }

// "--name=VALUE", a switch as "--[no-]name".
std::string Synopsis(const FlagRow& row) {
  if (row.kind == FlagKind::kSwitch) return std::string("--[no-]") + row.name;
  std::string text = std::string("--") + row.name + '=';
  return *row.default_value != '\0' ? text + row.default_value : text + "…";
}

void AppendWrapped(std::string_view words, std::size_t indent, std::size_t width,
                   std::string& out) {
  const std::string margin(indent, ' ');
  while (!words.empty()) {
    std::size_t length = words.size();
    if (length > width - indent) length = words.rfind(' ', width - indent);
    out.append(margin).append(words.substr(0, length)) += '\n';
    words.remove_prefix(length);
    if (!words.empty()) words.remove_prefix(1);
  }
}

}  // namespace

std::uint32_t FlagValue::Count(std::uint32_t min, std::uint32_t max) {
  if (const auto count = ParseInteger(text(), min, max)) return static_cast<std::uint32_t>(*count);
  Refuse("an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return min;
}

nanoseconds FlagValue::Duration(nanoseconds min) {
  const auto duration = ParseGoDuration(text());
  if (duration && *duration >= min && *duration <= kMaxDuration) return *duration;
  // Only a bound of one nanosecond is not one that somebody would write.
  const std::string lower = min == nanoseconds(1) ? "above 0" : "from " + FormatGoDuration(min);
  Refuse("a duration such as 5m30s, " + lower +
         (min == nanoseconds(1) ? ", at most 24h" : " to 24h"));
  return min;
}

void FlagValue::Refuse(std::string expected, const std::string& text) {
  if (!refusal_) refusal_ = {text, std::move(expected)};
}

std::size_t FlagValue::IndexIn(std::span<const std::string_view> names) {
  const auto name = std::find(names.begin(), names.end(), text());
  if (name != names.end()) return static_cast<std::size_t>(name - names.begin());
  Refuse(Join(names.first(names.size() - 1), ", ") + " or " + std::string(names.back()));
  return 0;
}

Result<FlagTexts> ParseFlags(std::span<const FlagRow> rows, int argc, const char* const* argv) {
  RegisterOnce(rows);
  const gflags::FlagSaver restore_defaults;
  FlagTexts flags;
  for (int i = 1; i < argc; ++i) {
    if (IsHelp(argv[i])) {
      flags.help = true;
      return flags;
    }
    auto argument = ParseArgument(rows, argv[i]);
    if (!argument) return tl::unexpected(std::move(argument.error()));
    const FlagRow& row = *argument->row;
    if (!argument->value && row.kind == FlagKind::kSwitch) argument->value = "true";
    if (!argument->value && i + 1 < argc) argument->value = argv[++i];
    if (!argument->value) {
      return MakeError(std::string("--") + row.name + ": got no value, expected " +
                       ExpectedBy(row));
    }
    if (!Store(row, *argument->value, flags)) {
      return tl::unexpected(BadValue(row, *argument->value, ExpectedBy(row)));
    }
    if (flags.version) return flags;
  }
  Collect(rows, flags);
  return flags;
}

Status ReadFlag(const FlagRow& row, const FlagTexts& flags, Options& options) {
  if (row.read == nullptr) return {};
  FlagValue value(flags.texts.at(row.name));
  row.read(value, options);
  if (!value.refusal()) return {};
  return tl::unexpected(BadValue(row, value.refusal()->text, value.refusal()->expected));
}

std::string HelpText(std::span<const FlagRow> rows) {
  constexpr std::size_t kIndent = 8;
  constexpr std::size_t kWidth = 100;
  std::string text =
      "Usage: iperf3_exporter [flags]\n\nPrometheus exporter for iperf3. Flags with their "
      "defaults; durations are such as 300ms, 1.5s, 1m30s.\n";
  std::string_view group;
  for (const FlagRow& row : rows) {
    if (row.group != group) {
      group = row.group;
      text.append("\n").append(group).append(":\n");
    }
    text.append("  ").append(Synopsis(row)) += '\n';
    std::string help = row.help;
    if (row.kind == FlagKind::kSwitch) help.append(" Default: ").append(row.default_value) += '.';
    AppendWrapped(help, kIndent, kWidth, text);
  }
  return text + "  --help\n        Print this text and exit.\n";
}

std::string VersionText() {
  return std::string("iperf3_exporter, version ") + kVersion + " (revision " + kRevision +
         ", build type " + kBuildType + ")\n";
}

}  // namespace iperf3_exporter
