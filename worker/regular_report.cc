#include "worker/regular_report.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "worker/regular_scan.h"

namespace iperf3_exporter {
namespace {

constexpr std::uint8_t kNoField = UINT8_MAX;
// In an array's object; iperf3 has at most 32.
constexpr std::size_t kMaxKnownLines = 64;
// As in the plain walk; also what one vector of tabs can tell.
constexpr int kMaxDepth = 14;

// What a line of an array's object begins with: the comma and the newline before it, its
// tabs, key, colon and tab, and its brace if it has one; what follows is a value if `has_value`.
struct KnownLine {
  const char* text;
  std::uint8_t bytes;
  bool has_value;
  std::uint8_t field;       // a StreamField, or kNoField
  scan::NumberShape shape;  // of its last value
};

struct KnownLines {
  std::array<KnownLine, kMaxKnownLines> lines;
  std::size_t count = 0;
  bool usable = true;

  void Add(const char* text, const char* end, bool has_value, std::uint8_t field) {
    const auto bytes = static_cast<std::size_t>(end - text);
    if (count == kMaxKnownLines || bytes > scan::kScanBytes) {
      usable = false;
      return;
    }
    lines[count++] = {text, static_cast<std::uint8_t>(bytes), has_value, field, {}};
  }
};

// What the object that is read is, and where its numbers go.
enum class Part : std::uint8_t { kOther, kEnd, kSum, kCpu, kStream, kSender };

struct Place {
  Part part = Part::kOther;
  SumValues* sum = nullptr;
  StreamValues* stream = nullptr;
};

// With an exponent or more than kScanBytes digits.
const char* SkipLongNumber(const char* at, const char* end) {
  const char* after = std::find_if(at, end, [](char c) { return c == ',' || c == '\n'; });
  const std::string_view token(at, static_cast<std::size_t>(after - at));
  return ParseJsonNumber(token) ? after : nullptr;
}

// Behind the value at `at`, which is no object or array; nullptr if it is none. What follows it is
// the caller's to check: a comma or a newline.
inline const char* SkipScalar(const char* at, const char* end) {
  if (at >= end) return nullptr;
  const char* after = nullptr;
  switch (*at) {
    case 't':
      return std::memcmp(at, "true", 4) == 0 ? at + 4 : nullptr;
    case 'f':
      return std::memcmp(at, "false", 5) == 0 ? at + 5 : nullptr;
    case 'n':
      return std::memcmp(at, "null", 4) == 0 ? at + 4 : nullptr;
    case '"':
      after = scan::SkipPlainString(at + 1, end);
      return after != nullptr ? after + 1 : nullptr;
    default:
      after = scan::SkipNumber(at);
      return after != nullptr ? after : SkipLongNumber(at, end);
  }
}

// The number in [begin, end), which SkipScalar has passed; kNotGiven if it is another value.
inline double Number(const char* begin, const char* end) {
  if (const auto number = scan::ParseFewDigits(begin, end - begin)) {
    return static_cast<double>(*number);
  }
  if (*begin != '-' && (*begin < '0' || *begin > '9')) return kNotGiven;
  return ConvertJsonNumber({begin, static_cast<std::size_t>(end - begin)});
}

// Every member function that returns bool stops at the first byte that is not regular: false.
class RegularReader {
 public:
  RegularReader(std::string_view text, ReportValues& values, ReportScript& script)
      : at_(text.data()), end_(text.data() + text.size()), values_(values), script_(script) {}

  bool Document(bool whole) {
    return Literal("{\n\t\"start\":\t{") && Object({}, 2) && Literal(",\n\t\"intervals\":\t[") &&
           (whole ? Array({}, 1) : SkipIntervals()) && Literal(",\n\t\"end\":\t{") &&
           Object({.part = Part::kEnd}, 2) && Literal("\n}") &&
           (at_ == end_ || (Literal("\n") && at_ == end_));
  }

 private:
  template <std::size_t kSize>
  bool Literal(const char (&text)[kSize]) {
    constexpr std::size_t kBytes = kSize - 1;
    static_assert(kBytes <= kReportPaddingBytes);
    if (at_ > end_ || std::memcmp(at_, text, kBytes) != 0) return false;
    at_ += kBytes;
    return true;
  }

  // From inside `intervals` to behind it. Outside a string a newline, one tab and a quote begin a
  // member of the top level, and inside one there can be no newline; `end` is the last.
  bool SkipIntervals() {
    const char* last = scan::FindLastTopLevelLine(at_, end_);
    if (last == nullptr || last - at_ < 2 || last[-1] != ',' || last[-2] != ']') return false;
    at_ = last - 1;
    return true;
  }

  bool Tabs(int count) {
    if (!scan::IsTabs(at_, count)) return false;
    at_ += count;
    return true;
  }

  // From behind an object's brace to behind its closing brace; its members are `depth` deep.
  bool Object(Place place, int depth) {
    if (depth > kMaxDepth) return false;
    for (bool first = true;; first = false) {
      if (at_ >= end_) return false;
      const char* line = at_;
      const bool comma = !first && *at_ == ',';
      at_ += comma ? 1 : 0;
      if (*at_++ != '\n' || !Tabs(depth - 1)) return false;
      if (*at_ == '}' && !comma) {
        ++at_;
        if (known_ != nullptr) known_->Add(line, at_, false, kNoField);
        return true;
      }
      if ((!first && !comma) || *at_++ != '\t' || *at_++ != '"') return false;
      if (!Member(place, line, depth)) return false;
    }
  }

  // From behind a key's first quote to behind the member's value.
  bool Member(Place& place, const char* line, int depth) {
    const char* key_begin = at_;
    at_ = scan::SkipPlainString(at_, end_);
    if (at_ == nullptr) return false;
    const std::string_view key(key_begin, static_cast<std::size_t>(at_ - key_begin));
    if (!Literal("\":\t") || at_ >= end_) return false;
    if (*at_ == '{') {
      ++at_;
      if (known_ != nullptr) known_->Add(line, at_, false, kNoField);
      Place inner;
      return Enter(place, key, inner) && Object(inner, depth + 1);
    }
    if (*at_ == '[') {
      ++at_;
      if (known_ != nullptr) known_->usable = false;
      return EnterArray(place, key, depth);
    }
    return Scalar(place, key, line);
  }

  // What the object under `key` is. What holds numbers holds nothing else.
  bool Enter(Place& place, std::string_view key, Place& inner) {
    switch (place.part) {
      case Part::kOther:
        return true;
      case Part::kStream:
        if (key == "sender" && place.stream != nullptr) {
          inner = {.part = Part::kSender, .stream = place.stream};
          place.stream = nullptr;  // the first counts
        }
        return true;
      case Part::kEnd:
        if (key == "streams") return false;
        if (key == "cpu_utilization_percent") {
          if (!has_cpu_) inner.part = Part::kCpu;
          has_cpu_ = true;
        } else if (SumValues* sum = values_.OpenSum(key)) {
          inner = {.part = Part::kSum, .sum = sum};
        }
        return true;
      default:
        return false;
    }
  }

  bool EnterArray(const Place& place, std::string_view key, int depth) {
    Place inner;
    if (place.part == Part::kEnd) {
      if (key == "cpu_utilization_percent") return false;
      if (key == "streams" && !has_streams_) {
        inner.part = Part::kStream;
        has_streams_ = true;
      }
    } else if (place.part != Part::kOther) {
      return false;
    }
    return Array(inner, depth);
  }

  // From behind an array's bracket to behind its closing one; it is empty or holds objects. Its
  // key is `depth` deep.
  bool Array(Place place, int depth) {
    if (at_ >= end_) return false;
    if (*at_ == ']') {
      ++at_;
      return true;
    }
    if (*at_++ != '{') return false;
    KnownLines known;
    known.usable = false;
    const Part part = place.part;
    for (;;) {
      if (part == Part::kStream && (place.stream = values_.OpenStream()) == nullptr) return false;
      if (!Element(place, depth, known)) return false;
      if (at_ >= end_) return false;
      if (*at_ == ']') break;
      if (!Literal(", {")) return false;
    }
    ++at_;
    return true;
  }

  // From behind the brace of an array's object to behind its closing one.
  bool Element(const Place& place, int depth, KnownLines& known) {
    if (known.usable) {
      const char* begin = at_;
      switch (Repeat(known, place.stream)) {
        case Repeated::kYes:
          return true;
        case Repeated::kIrregular:
          return false;
        case Repeated::kNo:
          at_ = begin;
      }
    }
    if (place.stream != nullptr) place.stream->Clear();
    known.count = 0;
    known.usable = true;
    KnownLines* outer = known_;
    known_ = &known;
    const bool regular = Object(place, depth + 2);
    known_ = outer;
    return regular;
  }

  enum class Repeated : std::uint8_t { kYes, kNo, kIrregular };

  Repeated Repeat(KnownLines& known, StreamValues* stream) {
    const char* at = at_;
    for (std::size_t i = 0; i < known.count; ++i) {
      KnownLine& line = known.lines[i];
      if (at >= end_) return Repeated::kIrregular;
      if (!scan::IsSame(at, line.text, line.bytes)) return Repeated::kNo;
      at += line.bytes;
      if (!line.has_value) continue;
      const char* value = at;
      if (at < end_ && scan::HasShape(at, line.shape)) {
        at += line.shape.bytes;
      } else {
        at = SkipScalar(at, end_);
        if (at == nullptr) return Repeated::kIrregular;
        line.shape = scan::ShapeOf(value, at);
      }
      double* slot = nullptr;
      if (line.field != kNoField) {
        slot = stream->Set(static_cast<StreamField>(line.field), Number(value, at));
      }
      script_.Add(value, at, slot);
    }
    at_ = at;
    return Repeated::kYes;
  }

  bool Scalar(const Place& place, std::string_view key, const char* line) {
    const char* value = at_;
    std::uint8_t field = kNoField;
    double* slot = nullptr;
    at_ = SkipScalar(at_, end_);
    if (at_ == nullptr) return false;
    switch (place.part) {
      case Part::kSum:
        if (const auto of = FindSumField(key)) slot = place.sum->Set(*of, Number(value, at_));
        break;
      case Part::kCpu:
        if (const auto of = FindCpuField(key)) slot = values_.cpu.Set(*of, Number(value, at_));
        break;
      case Part::kSender:
        if (const auto of = FindStreamField(key)) {
          field = static_cast<std::uint8_t>(*of);
          slot = place.stream->Set(*of, Number(value, at_));
        }
        break;
      case Part::kEnd:
        if (key == "streams" || key == "cpu_utilization_percent") return false;
        break;
      case Part::kStream:
        if (key == "sender") return false;
        break;
      case Part::kOther:
        break;
    }
    if (known_ != nullptr) known_->Add(line, value, true, field);
    script_.Add(value, at_, slot);
    return true;
  }

  const char* at_;
  const char* end_;
  ReportValues& values_;
  ReportScript& script_;
  KnownLines* known_ = nullptr;  // where the lines that are read are remembered, if anywhere
  bool has_streams_ = false;
  bool has_cpu_ = false;
};

}  // namespace

bool RegularReportReader::Read(std::string_view text, std::size_t whole_check_bytes) {
  if (script_.complete() && ReadByScript(text)) return true;
  values_.Clear();
  script_.Begin(text);
  if (!RegularReader(text, values_, script_).Document(text.size() <= whole_check_bytes)) {
    script_.Begin({});
    return false;
  }
  if (text.size() <= whole_check_bytes) script_.Complete(text);
  return true;
}

// The values are those of the script's report: only the numbers are new.
bool RegularReportReader::ReadByScript(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < script_.count(); ++i) {
    const ReportScript::Step& step = script_.step(i);
    const char* known = script_.text(step);
    std::size_t bytes = step.text_bytes;
    for (; bytes > scan::kScanBytes; bytes -= scan::kScanBytes) {
      if (at >= end || !scan::IsSame(at, known, scan::kScanBytes)) return false;
      at += scan::kScanBytes;
      known += scan::kScanBytes;
    }
    if (at >= end || !scan::IsSame(at, known, bytes)) return false;
    const char* value = at + bytes;
    at = SkipScalar(value, end);
    if (at == nullptr) return false;
    if (step.slot != nullptr) *step.slot = Number(value, at);
  }
  return at <= end &&
         std::string_view(at, static_cast<std::size_t>(end - at)) == script_.last_text();
}

}  // namespace iperf3_exporter
