#include "supervisor/config/flags.h"

#include <gflags/gflags.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <numeric>
#include <utility>

#include "common/go_duration.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "supervisor/config/options.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMaxQuotedFlagBytes = 200;
constexpr nanoseconds kMaxDuration = std::chrono::hours(24);

// The current value and the default value of a flag.
struct Storage {
  std::array<bool, 2> on{};
  std::array<std::string, 2> text;
};

// gflags keeps the addresses until the process ends. Repeatable flags are not known to it.
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
    } else if (row.kind == FlagKind::kSwitch) {
      gflags::FlagRegisterer(row.name, row.help, __FILE__, &at.on[0], &at.on[1]);
    }
  }
}

const FlagRow* FindFlag(std::span<const FlagRow> rows, std::string_view name) {
  const auto row = std::ranges::find(rows, name, &FlagRow::name);
  return row != rows.end() ? &*row : nullptr;
}

// The Levenshtein distance.
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

// ", did you mean --name?", or nothing if no flag is similar.
std::string Suggestion(std::span<const FlagRow> rows, std::string_view name) {
  constexpr std::size_t kMaxNameBytes = 64;
  if (name.size() > kMaxNameBytes) return {};
  const std::string_view nearest = std::ranges::min_element(rows, {}, [name](const FlagRow& row) {
                                     return CountEdits(name, row.name);
                                   })->name;
  if (CountEdits(name, nearest) > nearest.size() / 3) return {};
  return ", did you mean --" + std::string(nearest) + "?";
}

// One argument such as --name=value.
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

// What `row` expects, taken from its error for an empty value.
std::string ExpectedBy(const FlagRow& row) {
  if (row.kind == FlagKind::kSwitch) return "true or false";
  Options unused;
  FlagValue empty({""});
  row.read(empty, unused);
  return empty.refusal() ? empty.refusal()->expected : "a value";
}

tl::unexpected<Error> BadValue(const FlagRow& row, const std::string& text,
                               const std::string& expected) {
  return MakeError(std::string("--") + row.name + ": got " + QuoteText(text, kMaxQuotedFlagBytes) +
                   ", expected " + expected);
}

using RepeatedTexts = std::map<const FlagRow*, std::vector<std::string>>;

// Stores the texts with gflags, those of repeatable flags in `repeated`.
Result<CommandLineRequest> ParseArguments(std::span<const FlagRow> rows, int argc,
                                          const char* const* argv, RepeatedTexts& repeated) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view text = argv[i];
    if (text == "--help" || text == "-help" || text == "-h") return CommandLineRequest::kPrintHelp;
    if (text == "--version" || text == "-version") return CommandLineRequest::kPrintVersion;
    auto argument = ParseArgument(rows, text);
    if (!argument) return tl::unexpected(std::move(argument.error()));
    const FlagRow& row = *argument->row;
    if (!argument->value && row.kind == FlagKind::kSwitch) argument->value = "true";
    if (!argument->value && i + 1 < argc) argument->value = argv[++i];
    if (!argument->value) {
      return MakeError(std::string("--") + row.name + ": got no value, expected " +
                       ExpectedBy(row));
    }
    if (row.kind == FlagKind::kRepeated) {
      repeated[&row].push_back(*argument->value);
    } else if (gflags::SetCommandLineOption(row.name, argument->value->c_str()).empty()) {
      return BadValue(row, *argument->value, ExpectedBy(row));
    }
  }
  return CommandLineRequest::kRun;
}

std::vector<std::string> TextsOf(const FlagRow& row, const RepeatedTexts& repeated) {
  if (row.kind != FlagKind::kRepeated) {
    std::string text;
    gflags::GetCommandLineOption(row.name, &text);
    return {text};
  }
  if (const auto given = repeated.find(&row); given != repeated.end()) return given->second;
  return *row.default_value != '\0' ? std::vector<std::string>{row.default_value}
                                    : std::vector<std::string>{};
}

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
  if (const auto count = ParseUnsigned(text(), min, max)) return static_cast<std::uint32_t>(*count);
  Refuse("an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return min;
}

nanoseconds FlagValue::Duration(nanoseconds min) {
  const auto duration = ParseGoDuration(text());
  if (duration && *duration >= min && *duration <= kMaxDuration) return *duration;
  Refuse("a duration such as 5m30s, " +
         // A minimum of 1ns stands for "not 0".
         (min == nanoseconds(1) ? "above 0, at most 24h"
                                : "from " + FormatGoDuration(min) + " to 24h"));
  return min;
}

void FlagValue::Refuse(std::string expected, const std::string& text) {
  if (!refusal_) refusal_ = {text, std::move(expected)};
}

std::size_t FlagValue::Choice(std::span<const std::string_view> names) {
  const auto name = std::ranges::find(names, text());
  if (name != names.end()) return static_cast<std::size_t>(name - names.begin());
  Refuse(Join(names.first(names.size() - 1), ", ") + " or " + std::string(names.back()));
  return 0;
}

Result<CommandLineRequest> ReadFlags(std::span<const FlagRow> rows, int argc,
                                     const char* const* argv, Options& options) {
  RegisterOnce(rows);
  const gflags::FlagSaver restore_defaults;
  RepeatedTexts repeated;
  auto request = ParseArguments(rows, argc, argv, repeated);
  if (request != CommandLineRequest::kRun) return request;
  for (const FlagRow& row : rows) {
    FlagValue value(TextsOf(row, repeated));
    row.read(value, options);
    if (const auto& refusal = value.refusal()) {
      return BadValue(row, refusal->text, refusal->expected);
    }
  }
  return request;
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
  return text +
         "  --version\n        Print the version and exit.\n"
         "  --help\n        Print this text and exit.\n";
}

}  // namespace iperf3_exporter
