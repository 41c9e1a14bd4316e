// Reads the command line by a table of flags, and shows the table as --help.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

struct Options;

// The texts that were given for one flag. A row of the table reads them with the functions below.
// An invalid text is refused, and what the function then returns must not be used.
class FlagValue {
 public:
  explicit FlagValue(std::vector<std::string> texts) : texts_(std::move(texts)) {}

  // All texts of a repeatable flag; of any other, one.
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }
  [[nodiscard]] const std::string& text() const { return texts_.front(); }

  [[nodiscard]] bool IsOn() const { return text() == "true"; }
  [[nodiscard]] std::uint32_t Count(std::uint32_t min, std::uint32_t max);
  // In Go's notation, up to 24 hours.
  [[nodiscard]] std::chrono::nanoseconds Duration(std::chrono::nanoseconds min);
  // The index of the text in `names`.
  [[nodiscard]] std::size_t Choice(std::span<const std::string_view> names);

  // The error is "got TEXT, expected EXPECTED". Only the first refusal is kept.
  void Refuse(std::string expected) { Refuse(std::move(expected), text()); }
  void Refuse(std::string expected, const std::string& text);

  struct Refusal {
    std::string text;
    std::string expected;
  };
  [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }

 private:
  std::vector<std::string> texts_;
  std::optional<Refusal> refusal_;
};

enum class FlagKind : std::uint8_t {
  kSwitch,    // --flag, --flag=true, --no-flag
  kValue,     // --flag=value, --flag value; the last one counts
  kRepeated,  // the same, any number of times
};

struct FlagRow {
  std::string_view group;
  const char* name;
  FlagKind kind;
  const char* default_value;  // as on the command line; empty: unset
  const char* help;
  void (*read)(FlagValue& value, Options& options);
};

enum class CommandLineRequest : std::uint8_t { kRun, kPrintHelp, kPrintVersion };

// Reads all flags, in the order of the rows, with defaults for those that are not given; --help and
// --version end the reading, whatever follows. An Error is one line without the line feed. `rows`
// must be the same table at each call, of static storage. Not thread-safe: gflags keeps its values
// in the process.
[[nodiscard]] Result<CommandLineRequest> ReadFlags(std::span<const FlagRow> rows, int argc,
                                                   const char* const* argv, Options& options);

[[nodiscard]] std::string HelpText(std::span<const FlagRow> rows);

}  // namespace iperf3_exporter
