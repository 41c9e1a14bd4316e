// The command line as texts, read through gflags by a table of flags; and the table as --help
// shows it. What a value means is up to the table's rows.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

struct Options;

// What was given for one flag. A row of the table reads it by one of the functions below; when the
// text is not acceptable they keep what would be, for the error, and return something harmless.
class FlagValue {
 public:
  explicit FlagValue(std::vector<std::string> texts) : texts_(std::move(texts)) {}

  // Of a repeated flag, all; of any other, one.
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }
  [[nodiscard]] const std::string& text() const { return texts_.front(); }

  [[nodiscard]] bool IsOn() const { return text() == "true"; }
  [[nodiscard]] std::uint32_t Count(std::uint32_t min, std::uint32_t max);
  // In Go's form.
  [[nodiscard]] std::chrono::nanoseconds Duration(std::chrono::nanoseconds min);
  // One of `names`, which are those of E's values in their order.
  template <typename E>
  [[nodiscard]] E Choice(std::span<const std::string_view> names) {
    return static_cast<E>(IndexIn(names));
  }

  // "got TEXT, expected …"; the first refusal counts.
  void Refuse(std::string expected) { Refuse(std::move(expected), text()); }
  void Refuse(std::string expected, const std::string& text);

  struct Refusal {
    std::string text;
    std::string expected;
  };
  [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }

 private:
  [[nodiscard]] std::size_t IndexIn(std::span<const std::string_view> names);

  std::vector<std::string> texts_;
  std::optional<Refusal> refusal_;
};

enum class FlagKind : std::uint8_t {
  kSwitch,    // --flag, --flag=true, --no-flag
  kValue,     // --flag=value, --flag value; the last one counts
  kRepeated,  // the same, as often as one likes
};

struct FlagRow {
  std::string_view group;
  const char* name;
  FlagKind kind;
  const char* default_value;  // as one would write it; empty: unset
  const char* help;
  void (*read)(FlagValue& value, Options& options);  // null: read by the caller
};

struct FlagTexts {
  bool help = false;
  bool version = false;
  // By name, with the defaults; empty for a repeated flag that was not given and has none.
  std::map<std::string_view, std::vector<std::string>> texts;
};

// An Error is one line without the line feed. --help and --version end the reading, whatever
// follows. `rows` must be the same table at each call, of static storage. Not thread-safe: gflags
// keeps its values in the process.
[[nodiscard]] Result<FlagTexts> ParseFlags(std::span<const FlagRow> rows, int argc,
                                           const char* const* argv);

// Applies `row` to the texts that were given for it.
[[nodiscard]] Status ReadFlag(const FlagRow& row, const FlagTexts& flags, Options& options);

[[nodiscard]] std::string HelpText(std::span<const FlagRow> rows);
[[nodiscard]] std::string VersionText();

}  // namespace iperf3_exporter
