// The log of both programs: one line per entry on stderr, no files. glog passes the entries to a
// single sink, so that a failed CHECK in a library has the same format.
//
// An entry is always exactly one line: values are escaped (control bytes, quotes, invalid UTF-8)
// and cut if they are long. Logging needs only ppoll(2) and write(2) on descriptor 2,
// clock_gettime(2) and gettid(2), so a process that called InitLogging may log inside its sandbox.
// Must not be used between fork and exec. Thread-safe.
//
// Logging never waits for the reader of stderr. A line for which a pipe, socket or terminal has no
// room, or a disk no space, is lost and counted; the next line that can be written is preceded by
// one that reports the count.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace iperf3_exporter {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kLogfmt, kJson };

inline constexpr std::array<std::string_view, 4> kLogLevelNames = {"debug", "info", "warn",
                                                                   "error"};
inline constexpr std::array<std::string_view, 2> kLogFormatNames = {"logfmt", "json"};

// The maximum length of a value and of the message, before escaping; "…" replaces the rest.
inline constexpr std::size_t kMaxLogValueBytes = 1024;

// A key and its value. A number stays a number in JSON.
struct LogField {
  template <std::convertible_to<std::string_view> Text>
  LogField(std::string_view field_key, const Text& text)
      : key(field_key), value(static_cast<std::string_view>(text)) {}
  LogField(std::string_view field_key, bool boolean)
      : key(field_key), value(boolean ? "true" : "false"), is_text(false) {}
  template <std::integral T>
  LogField(std::string_view field_key, T number)
      : key(field_key), value(std::to_string(number)), is_text(false) {}
  LogField(std::string_view field_key, double number);

  std::string_view key;  // [a-z0-9_]+, with static storage duration
  std::string value;
  bool is_text = true;
};

// Call it before any other thread starts and before the sandbox. `program` must be a literal. A
// later call changes only the level and the format. If stderr is a pipe or a terminal, descriptor 2
// becomes an open file description of this process alone, with O_NONBLOCK: the one that was
// inherited is shared with other programs, and its flags stay as they are.
void InitLogging(const char* program, LogLevel level, LogFormat format);

// Whether a line of this level is written. Lets the caller skip values that are costly to build.
[[nodiscard]] bool LogEnabled(LogLevel level);

// Writes one line: ts (RFC 3339, UTC, milliseconds), level, msg, then the fields in order.
void Log(LogLevel level, std::string_view message, std::span<const LogField> fields);
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

// The number of lines that this process has lost.
[[nodiscard]] std::uint64_t CountLostLogLines();

}  // namespace iperf3_exporter
