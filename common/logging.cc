#include "common/logging.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <mutex>

#include "common/quoted_text.h"
#include "common/rfc3339.h"
#include "common/stderr_output.h"
#include "common/text.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

std::atomic<LogLevel> min_level{LogLevel::kInfo};
std::atomic<LogFormat> line_format{LogFormat::kLogfmt};

// The entry that Log is writing, for the sink: glog passes on the message alone.
struct Entry {
  LogLevel level;
  std::span<const LogField> fields;
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

  // With its line feed.
  [[nodiscard]] std::string Finish() && {
    text_ += json_ ? "}\n" : "\n";
    return std::move(text_);
  }

 private:
  const bool json_;
  bool first_ = true;
  std::string text_;
};

Line StartLine(LogLevel level) {
  Line line(line_format);
  line.Add("ts", FormatRfc3339(std::chrono::system_clock::now()), true);
  line.Add("level", kLogLevelNames[static_cast<std::size_t>(level)], true);
  return line;
}

// Writes lines to stderr without waiting.
class Output {
 public:
  void Write(std::string line) {
    const std::scoped_lock guard(mutex_);
    if (lost_ != reported_ && TryWrite(LostLinesReport())) reported_ = lost_;
    if (!TryWrite(std::move(line))) ++lost_;
  }

  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  [[nodiscard]] std::string LostLinesReport() const {
    Line line = StartLine(LogLevel::kWarn);
    line.Add("msg", "log lines lost, because stderr was not ready", true);
    line.Add("lines", std::to_string(lost_ - reported_), false);
    return std::move(line).Finish();
  }

  bool TryWrite(std::string line) {
    if (is_cut_) line.insert(0, 1, '\n');
    const std::size_t written = WriteToStderr(line);
    if (written != 0) is_cut_ = written != line.size();
    return written == line.size();
  }

  std::mutex mutex_;
  bool is_cut_ = false;  // the last line has no line feed
  std::atomic<std::uint64_t> lost_{0};
  std::uint64_t reported_ = 0;  // of the lost lines
};

Output& StderrOutput() {
  static auto& output = *new Output;  // never freed: a library may log at exit
  return output;
}

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
    Line line = StartLine(entry ? entry->level : LevelOf(severity));
    // A line of a library names its source, because the text alone is rarely enough.
    if (!entry) {
      line.Add("caller", std::string(base_filename) + ':' + std::to_string(line_number), true);
    }
    line.Add("msg", std::string_view(message, message_length), true);
    if (entry) {
      for (const LogField& field : entry->fields) line.Add(field.key, field.value, field.is_text);
    }
    StderrOutput().Write(std::move(line).Finish());
    errno = saved_errno;
  }
};

// Fails if the pipe or terminal belongs to another user, or without /proc. Then a line is written
// to the shared description, if there is room for it: it would block only if another process filled
// the pipe at the same moment.
void MakeStderrNonblocking() {
  struct stat info = {};
  if (::fstat(STDERR_FILENO, &info) != 0) return;
  if (!S_ISFIFO(info.st_mode) && ::isatty(STDERR_FILENO) == 0) return;
  const UniqueFd own(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (own) ::dup2(own.get(), STDERR_FILENO);
}

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
  MakeStderrNonblocking();
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
  Log(level, message, std::span(fields.begin(), fields.size()));
}

void Log(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  if (!LogEnabled(level)) return;
  const Entry entry{level, fields};
  current_entry = &entry;
  google::LogMessage("", 0, google::GLOG_INFO).stream() << message;
  current_entry = nullptr;
}

std::uint64_t CountLostLogLines() { return StderrOutput().lost(); }

}  // namespace iperf3_exporter
