// The flags of the command line: their table, their reading through gflags, --help and --version.
// What a value means is not decided here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace iperf3_exporter {

enum class FlagKind : std::uint8_t {
  kSwitch,    // --flag, --flag=true, --no-flag
  kCount,     // a number, at least 0
  kText,      // anything, checked later
  kRepeated,  // text, as often as one likes
};

struct FlagRow {
  std::string_view group;
  const char* name;
  FlagKind kind;
  const char* standard;  // the default, as one would write it; empty: unset
  const char* takes;     // completes "expected …"
  const char* help;
};

// A command line that can't be read: one line, without the line feed.
struct FlagFault {
  std::string message;
};

// Values by flag name, the defaults filled in (a repeated flag's default only when it was not
// given at all).
struct FlagValues {
  bool help = false;
  bool version = false;
  std::map<std::string_view, bool> switches;
  std::map<std::string_view, std::uint32_t> counts;
  std::map<std::string_view, std::string> texts;
  std::map<std::string_view, std::vector<std::string>> repeated;
};

// Not thread-safe: gflags keeps its values in the process. --help and --version end the
// reading, whatever follows.
[[nodiscard]] tl::expected<FlagValues, FlagFault> ParseFlags(int argc, const char* const* argv);

// "--name: got "VALUE", expected TAKES"; TAKES is the table's unless `takes` is given.
[[nodiscard]] FlagFault BadFlagValue(std::string_view name, std::string_view value,
                                     std::string_view takes = {});

[[nodiscard]] std::string HelpText();
[[nodiscard]] std::string VersionText();

}  // namespace iperf3_exporter
