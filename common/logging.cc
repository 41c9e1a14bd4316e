#include "common/logging.h"

#include <glog/logging.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>

#include "common/quoted_text.h"
#include "common/rfc3339.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

std::atomic<LogLevel> min_level{LogLevel::kInfo};
std::atomic<LogFormat> line_format{LogFormat::kLogfmt};

// The entry that Log is writing, for the sink: glog passes on the message alone.
struct Entry {
  LogLevel level;
  std::initializer_list<LogField> fields;
};
thread_local const Entry* current_entry = nullptr;

bool NeedsQuotes(std::string_view value) {
  return value.empty() || value.size() > kMaxLogValueBytes ||
         std::ranges::any_of(value, [](char c) {
           return !IsPrintable(c) || std::string_view(" \"=\\").find(c) != std::string_view::npos;
         });
}

class Line {
 public:
  explicit Line(LogFormat format) : json_(format == LogFormat::kJson) {
    text_.reserve(256);
    if (json_) text_ += '{';
  }

  void Add(std::string_view key, std::string_view value, bool is_text) {
    if (!first_) text_ += json_ ? ',' : ' ';
    first_ = false;
    if (json_) {
      (text_ += '"').append(key) += "\":";
    } else {
      text_.append(key) += '=';
    }
    if (is_text && (json_ || NeedsQuotes(value))) {
      text_ += QuoteText(value, kMaxLogValueBytes);
    } else {
      text_ += value;
    }
  }

  // One write(2), so that lines of several processes on one pipe are not mixed. A failure cannot be
  // reported anywhere.
  void Write() {
    text_ += json_ ? "}\n" : "\n";
    std::string_view rest = text_;
    while (!rest.empty()) {
      const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }

 private:
  const bool json_;
  bool first_ = true;
  std::string text_;
};

LogLevel LevelOf(google::LogSeverity severity) {
  if (severity == google::GLOG_INFO) return LogLevel::kInfo;
  return severity == google::GLOG_WARNING ? LogLevel::kWarn : LogLevel::kError;
}

class StderrSink : public google::LogSink {
 public:
  using google::LogSink::send;
  void send(google::LogSeverity severity, const char* /*full_filename*/, const char* base_filename,
            int line_number, const google::LogMessageTime& /*time*/, const char* message,
            std::size_t message_length) override {
    const int saved_errno = errno;
    const Entry* entry = current_entry;
    Line line(line_format);
    line.Add("ts", FormatRfc3339(std::chrono::system_clock::now()), true);
    line.Add("level",
             kLogLevelNames[static_cast<std::size_t>(entry ? entry->level : LevelOf(severity))],
             true);
    // A line of a library names its source, because the text alone is rarely enough.
    if (!entry) {
      line.Add("caller", std::string(base_filename) + ':' + std::to_string(line_number), true);
    }
    line.Add("msg", std::string_view(message, message_length), true);
    if (entry) {
      for (const LogField& field : entry->fields) line.Add(field.key, field.value, field.is_text);
    }
    line.Write();
    errno = saved_errno;
  }
};

}  // namespace

LogField::LogField(std::string_view field_key, double number)
    : key(field_key), is_text(!std::isfinite(number)) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, number);
  value.assign(buffer, result.ptr);
}

void InitLogging(const char* program, LogLevel level, LogFormat format) {
  min_level = level;
  line_format = format;
  static StderrSink* sink = nullptr;  // never freed: a library may log at exit
  if (sink != nullptr) return;
  // Overrides GLOG_* variables: no files, no second copy on stderr, nothing dropped.
  FLAGS_logtostderr = false;
  FLAGS_alsologtostderr = false;
  FLAGS_minloglevel = google::GLOG_INFO;
  FLAGS_stderrthreshold = google::NUM_SEVERITIES;
  google::InitGoogleLogging(program);
  for (google::LogSeverity s = google::GLOG_INFO; s < google::NUM_SEVERITIES; ++s) {
    google::SetLogDestination(s, "");
  }
  sink = new StderrSink;
  google::AddLogSink(sink);
  // glog computes the local time of each line and first reads /etc/localtime, which a sandbox
  // denies.
  ::tzset();
}

bool LogEnabled(LogLevel level) { return level >= min_level.load(std::memory_order_relaxed); }

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const Entry entry{level, fields};
  current_entry = &entry;
  google::LogMessage("", 0, google::GLOG_INFO).stream() << message;
  current_entry = nullptr;
}

}  // namespace iperf3_exporter
