#include "worker/iperf3/regular_report.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "worker/iperf3/regular_scan.h"

namespace iperf3_exporter {
namespace {

constexpr std::uint8_t kNoField = UINT8_MAX;
// As in the plain walk; also what one vector of tabs can tell.
constexpr int kMaxDepth = 14;

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
}  // namespace

class RegularReportReader::Reader {
 public:
  Reader(std::string_view text, RegularReportReader& of)
      : at_(text.data()),
        end_(text.data() + text.size()),
        values_(of.values_),
        script_(of.script_),
        elements_(of.elements_) {}

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
      const bool comma = !first && *at_ == ',';
      at_ += comma ? 1 : 0;
      if (*at_++ != '\n' || !Tabs(depth - 1)) return false;
      if (*at_ == '}' && !comma) {
        ++at_;
        return true;
      }
      if ((!first && !comma) || *at_++ != '\t' || *at_++ != '"') return false;
      if (!Member(place, depth)) return false;
    }
  }

  // From behind a key's first quote to behind the member's value.
  bool Member(Place& place, int depth) {
    const char* key_begin = at_;
    at_ = scan::SkipPlainString(at_, end_);
    if (at_ == nullptr) return false;
    const std::string_view key(key_begin, static_cast<std::size_t>(at_ - key_begin));
    if (!Literal("\":\t") || at_ >= end_) return false;
    if (*at_ == '{') {
      ++at_;
      Place inner;
      return Enter(place, key, inner) && Object(inner, depth + 1);
    }
    if (*at_ == '[') {
      ++at_;
      if (known_ != nullptr) known_->Stop();
      return EnterArray(place, key, depth);
    }
    return Scalar(place, key);
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
    ElementPattern* known = PatternOf(place.part, depth);
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
  bool Element(const Place& place, int depth, ElementPattern* known) {
    if (known != nullptr && known->complete()) {
      if (const char* after = Repeat(*known, place.stream)) {
        at_ = after;
        return true;
      }
    }
    if (place.stream != nullptr) place.stream->Clear();
    ElementPattern* outer = known_;
    known_ = known;
    if (known != nullptr) known->Begin(at_);
    const bool regular = Object(place, depth + 2);
    known_ = outer;
    if (regular && known != nullptr) known->Complete(at_);
    return regular;
  }

  // None while a report is small enough to be learnt as a whole, value by value.
  // What is wanted of a stream is not of other objects, so its pattern is not for those.
  ElementPattern* PatternOf(Part part, int depth) {
    if (script_.learns()) return nullptr;
    if (part == Part::kStream) return elements_.data();
    const auto index = static_cast<std::size_t>(depth);
    return index < elements_.size() ? &elements_[index] : nullptr;
  }

  const char* Repeat(ElementPattern& known, StreamValues* stream) {
    return known.Match(
        at_, end_, [this](const char* at) { return SkipScalar(at, end_); },
        [stream](std::uint8_t field, const char* begin, const char* end) {
          if (field == kNoField) return;
          stream->Set(static_cast<StreamField>(field), Number(begin, end));
        });
  }

  bool Scalar(const Place& place, std::string_view key) {
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
    if (known_ != nullptr) known_->Add(value, at_, field, field != kNoField);
    script_.Add(value, at_, slot, slot != nullptr);
    return true;
  }

  const char* at_;
  const char* end_;
  ReportValues& values_;
  ReportScript& script_;
  std::array<ElementPattern, kElementPatterns>& elements_;
  ElementPattern* known_ = nullptr;  // what learns the object that is read, if anything
  bool has_streams_ = false;
  bool has_cpu_ = false;
};

bool RegularReportReader::Read(std::string_view text) {
  if (script_.complete() && ReadByScript(text)) return true;
  values_.Clear();
  const bool whole = text.size() <= limits_.whole_check_bytes;
  if (whole && text.size() <= limits_.script_bytes) {
    script_.Begin(text.data());
  } else {
    script_.Stop();
  }
  if (!Reader(text, *this).Document(whole)) {
    script_.Stop();
    return false;
  }
  script_.Complete(text.data() + text.size());
  return true;
}

// The values are those of the script's report: only the numbers are new.
bool RegularReportReader::ReadByScript(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* after = script_.Match(
      text.data(), end, [end](const char* at) { return SkipScalar(at, end); },
      [](double* slot, const char* begin, const char* value_end) {
        if (slot != nullptr) *slot = Number(begin, value_end);
      });
  return after == end;
}

}  // namespace iperf3_exporter
