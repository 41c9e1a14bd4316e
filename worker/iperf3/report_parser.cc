#include "worker/iperf3/report_parser.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "worker/iperf3/measurement_builder.h"

namespace iperf3_exporter {
namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;
using simdjson::SUCCESS;

static_assert(kReportPaddingBytes >= simdjson::SIMDJSON_PADDING);

// iperf3 needs 6.
constexpr int kMaxDepth = 64;

struct WantedNumber {
  std::string_view key;
  std::optional<double>* value;
};

std::array<WantedNumber, 7> NumbersOf(SumValues& sum) {
  return {{{"seconds", &sum.seconds},
           {"bytes", &sum.bytes},
           {"bits_per_second", &sum.bits_per_second},
           {"retransmits", &sum.retransmits},
           {"jitter_ms", &sum.jitter_ms},
           {"lost_packets", &sum.lost_packets},
           {"packets", &sum.packets}}};
}

std::array<WantedNumber, 4> NumbersOf(StreamValues& sender) {
  return {{{"max_snd_cwnd", &sender.max_congestion_window},
           {"max_rtt", &sender.max_rtt},
           {"min_rtt", &sender.min_rtt},
           {"mean_rtt", &sender.mean_rtt}}};
}

std::array<WantedNumber, 6> NumbersOf(CpuUtilization& local, CpuUtilization& remote) {
  return {{{"host_total", &local.total},
           {"host_user", &local.user},
           {"host_system", &local.system},
           {"remote_total", &remote.total},
           {"remote_user", &remote.user},
           {"remote_system", &remote.system}}};
}

// Where to store the sum under `key`; nullptr if it is not a sum or has been stored already.
std::optional<SumValues>* FindSum(ReportValues& values, std::string_view key) {
  constexpr std::string_view kReverseSuffix = "_bidir_reverse";
  if (!key.starts_with("sum")) return nullptr;
  const bool reverse = key.ends_with(kReverseSuffix);
  if (reverse) key.remove_suffix(kReverseSuffix.size());
  std::optional<SumValues> DirectionSums::*side = nullptr;
  if (key == "sum") {
    side = &DirectionSums::total;
  } else if (key == "sum_sent") {
    side = &DirectionSums::sent;
  } else if (key == "sum_received") {
    side = &DirectionSums::received;
  } else {
    return nullptr;
  }
  // Up to 3.10 the second sum under a key is the reverse direction's.
  if (!reverse && !(values.forward.*side)) return &(values.forward.*side);
  auto& sum = values.reverse.*side;
  return sum ? nullptr : &sum;
}

// Whether `key` is the first member named `wanted`: of duplicate keys the first counts.
bool IsFirst(std::string_view key, std::string_view wanted, bool& seen) {
  return key == wanted && !std::exchange(seen, true);
}

// An integer up to this length fits in 64 bits, and no number up to it has too many digits.
constexpr std::ptrdiff_t kMaxShortNumber = 19;

// Whether `token` is a short number without sign and exponent, as nearly all of iperf3's are. To
// know that takes half as long as converting it.
inline bool IsPlainNumber(const char* token) {
  const char* end = token;
  const auto skip_digits = [&end] {
    const char* const begin = end;
    while (*end >= '0' && *end <= '9') ++end;
    return end != begin;
  };
  if (!skip_digits() || (*token == '0' && end != token + 1)) return false;
  if (*end == '.' && (++end, !skip_digits())) return false;
  return (*end == ',' || *end == '\n') && end - token <= kMaxShortNumber;
}

tl::unexpected<TestFailure> BadOutput(std::string detail) {
  return tl::unexpected(TestFailure{FailureReason::kBadOutput, std::move(detail)});
}

// Reads a report in one forward pass. simdjson On-Demand validates only what is read, so everything
// is: a function that takes a value reads all of it, and returns what makes it invalid.
class ReportReader {
 public:
  ReportReader(std::string_view text, const TestOptions& test)
      : test_(test), has_escapes_(text.find('\\') != text.npos) {
    values_.sending.reserve(test.parallel);
  }

  error_code Read(ondemand::document& document) {
    ondemand::object report;
    SIMDJSON_TRY(document.get_object().get(report));
    SIMDJSON_TRY(VisitMembers(report, [this](std::string_view key, ondemand::value& value) {
      if (IsFirst(key, "start", has_start_)) return ReadStart(value);
      if (IsFirst(key, "end", has_end_)) return ReadEnd(value);
      if (IsFirst(key, "error", has_error_)) return ReadError(value);
      return ReadValue(value);
    }));
    const bool at_end = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    return at_end ? SUCCESS : simdjson::TAPE_ERROR;
  }

  [[nodiscard]] std::size_t connected_streams() const { return connected_streams_; }

  // iperf3 adds these members to `start` as the test proceeds.
  [[nodiscard]] TestPhase Phase() const {
    if (has_test_start_) return TestPhase::kRunning;
    // The buffer sizes of the first socket come before the entry of its stream. All streams are
    // connected before iperf3 reads from the control connection again.
    if (has_sndbuf_actual_ && has_connected_ && connected_streams_ < CountStreams(test_)) {
      return TestPhase::kCreatingStreams;
    }
    return has_connecting_to_ ? TestPhase::kAgreed : TestPhase::kConnecting;
  }

  [[nodiscard]] TestResult Result() const {
    if (has_error_) return tl::unexpected(TestFailure{FailureReason::kServerError, error_});
    const auto measurement = BuildMeasurement(values_, test_);
    if (!measurement) return BadOutput("the report lacks the sums of a tested direction");
    const std::size_t streams = CountStreams(test_);
    if (values_.stream_count != streams) {
      return BadOutput("the report has " + std::to_string(values_.stream_count) + " streams, not " +
                       std::to_string(streams));
    }
    return *measurement;
  }

 private:
  template <typename Visit>
  static error_code VisitMembers(ondemand::object object, Visit visit) {
    for (auto field : object) {
      std::string_view key;
      ondemand::value value;
      SIMDJSON_TRY(field.unescaped_key().get(key));
      SIMDJSON_TRY(field.value().get(value));
      SIMDJSON_TRY(visit(key, value));
    }
    return SUCCESS;
  }

  template <typename Visit>
  error_code VisitMembers(ondemand::value& value, Visit visit) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return ReadOther(value, error);
    return VisitMembers(object, visit);
  }

  template <typename Visit>
  error_code VisitElements(ondemand::value& value, Visit visit) {
    ondemand::array array;
    if (const auto error = value.get_array().get(array)) return ReadOther(value, error);
    for (auto item : array) {
      ondemand::value element;
      SIMDJSON_TRY(item.get(element));
      SIMDJSON_TRY(visit(element));
    }
    return SUCCESS;
  }

  // Inlined, so that the compiler keeps `value` in registers: otherwise a report takes twice as
  // long.
  [[gnu::always_inline]] error_code ReadValueInline(ondemand::value& value, int depth,
                                                    std::optional<double>* number) {
    const char* const token = value.raw_json_token().data();
    if (number == nullptr && IsPlainNumber(token)) return SUCCESS;
    switch (*token) {
      case '{': {
        ondemand::object object;
        SIMDJSON_TRY(value.get_object().get(object));
        return ReadObject<0>(object, {}, depth + 1);
      }
      case '[': {
        ondemand::array array;
        SIMDJSON_TRY(value.get_array().get(array));
        return ReadArray(array, depth + 1);
      }
      case '"':  // simdjson's structural scan has validated everything but escapes
        return has_escapes_ ? value.get_string().error() : value.get_raw_json_string().error();
      case 't':
      case 'f':
        return value.get_bool().error();
      case 'n':
        return value.is_null().error();
      default:
        if (const std::string_view text = value.raw_json_token(); text.size() > kMaxShortNumber)
          return ReadLongNumber(text, number);
        double read = 0;
        SIMDJSON_TRY(value.get_double().get(read));
        if (number != nullptr) *number = read;
        return SUCCESS;
    }
  }

  // `token` may be followed by whitespace. On-Demand accepts integers beyond 64 bits, which iperf3
  // can't print, and misreads more than 19 digits up to simdjson 3.6 (its issues 2093 and 2099).
  // The DOM does neither.
  error_code ReadLongNumber(std::string_view token, std::optional<double>* number) {
    // iperf3 prints at most 24. simdjson knows no size for a token behind the end of the report,
    // which the padding after it can look like.
    constexpr std::size_t kMaxBytes = 64;
    static_assert(kMaxBytes <= kReportPaddingBytes);
    token = token.substr(0, kMaxBytes);
    token = token.substr(0, token.find_first_of(" \t\r\n"));
    if (token.size() == kMaxBytes) return simdjson::NUMBER_ERROR;
    double read = 0;
    SIMDJSON_TRY(long_numbers_.parse(token.data(), token.size(), /*realloc_if_needed=*/false)
                     .get_double()
                     .get(read));
    if (number != nullptr) *number = read;
    return SUCCESS;
  }

  error_code ReadValue(ondemand::value& value) { return ReadValueInline(value, 0, nullptr); }

  // After `error` from the attempt to read it as another type.
  error_code ReadOther(ondemand::value& value, error_code error) {
    return error == simdjson::INCORRECT_TYPE ? ReadValue(value) : error;
  }

  error_code ReadArray(ondemand::array array, int depth) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    for (auto item : array) {
      ondemand::value element;
      SIMDJSON_TRY(item.get(element));
      SIMDJSON_TRY(ReadValueInline(element, depth, nullptr));
    }
    return SUCCESS;
  }

  // Of duplicate keys the first counts, even if it is not a number.
  template <std::size_t kCount>
  error_code ReadObject(ondemand::object object, std::array<WantedNumber, kCount> wanted,
                        int depth = 0) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    for (auto field : object) {
      ondemand::raw_json_string key;
      ondemand::value value;
      SIMDJSON_TRY(field.key().get(key));
      SIMDJSON_TRY(field.value().get(value));
      std::string_view unescaped_key;
      if (has_escapes_) SIMDJSON_TRY(field.unescaped_key().get(unescaped_key));
      std::optional<double>* number = nullptr;
      for (WantedNumber& candidate : wanted) {
        const bool is_equal =
            has_escapes_ ? unescaped_key == candidate.key : key.unsafe_is_equal(candidate.key);
        if (!is_equal) continue;
        number = std::exchange(candidate.value, nullptr);
        break;
      }
      SIMDJSON_TRY(ReadValueInline(value, depth, number));
    }
    return SUCCESS;
  }

  template <std::size_t kCount>
  error_code ReadNumbers(ondemand::value& value, std::array<WantedNumber, kCount> wanted) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return ReadOther(value, error);
    return ReadObject(object, wanted);
  }

  error_code ReadStart(ondemand::value& start) {
    return VisitMembers(start, [this](std::string_view key, ondemand::value& value) {
      has_sndbuf_actual_ |= key == "sndbuf_actual";
      has_connecting_to_ |= key == "connecting_to";
      if (IsFirst(key, "connected", has_connected_)) {
        return VisitElements(value, [this](ondemand::value& stream) {
          ++connected_streams_;
          return ReadValue(stream);
        });
      }
      if (!IsFirst(key, "test_start", has_test_start_)) return ReadValue(value);
      return ReadNumbers(value, std::array{WantedNumber{"blksize", &values_.block_bytes}});
    });
  }

  // iperf3 lists the streams that it sends on first.
  error_code ReadStream(ondemand::value& stream) {
    if (++values_.stream_count > test_.parallel) return ReadValue(stream);
    StreamValues& sender = values_.sending.emplace_back();
    bool has_sender = false;
    return VisitMembers(stream, [&](std::string_view key, ondemand::value& value) {
      if (!IsFirst(key, "sender", has_sender)) return ReadValue(value);
      return ReadNumbers(value, NumbersOf(sender));
    });
  }

  error_code ReadEnd(ondemand::value& end) {
    bool has_streams = false;
    bool has_cpu = false;
    return VisitMembers(end, [&](std::string_view key, ondemand::value& value) {
      if (IsFirst(key, "streams", has_streams)) {
        return VisitElements(value, [this](ondemand::value& stream) { return ReadStream(stream); });
      }
      if (IsFirst(key, "cpu_utilization_percent", has_cpu)) {
        return ReadNumbers(value, NumbersOf(values_.local_cpu_percent, values_.remote_cpu_percent));
      }
      ondemand::object sum;
      if (const auto error = value.get_object().get(sum)) return ReadOther(value, error);
      auto* const to = FindSum(values_, key);
      return to != nullptr ? ReadObject(sum, NumbersOf(to->emplace())) : ReadObject<0>(sum, {});
    });
  }

  error_code ReadError(ondemand::value& value) {
    std::string_view text;
    if (const auto error = value.get_string().get(text)) return ReadOther(value, error);
    error_ = text.substr(0, kMaxErrorTextBytes);
    return SUCCESS;
  }

  const TestOptions& test_;
  bool has_escapes_;
  simdjson::dom::parser long_numbers_;
  ReportValues values_;
  std::string error_;
  std::size_t connected_streams_ = 0;
  // Members that have been seen.
  bool has_error_ = false;
  bool has_end_ = false;
  bool has_start_ = false;
  bool has_connected_ = false;
  bool has_connecting_to_ = false;
  bool has_sndbuf_actual_ = false;
  bool has_test_start_ = false;
};

}  // namespace

struct ReportParser::Buffers {
  ondemand::parser parser;
};

ReportParser::ReportParser() : buffers_(std::make_unique<Buffers>()) {}
ReportParser::~ReportParser() = default;

TestResult ReportParser::Parse(std::string_view text, const TestOptions& test) {
  phase_ = TestPhase::kUnknown;
  connected_streams_ = 0;
  // RFC 8259, section 8.1: no byte order mark. Newer versions of simdjson skip it.
  if (text.starts_with("\xef\xbb\xbf"))
    return BadOutput("the report begins with a byte order mark");
  ondemand::parser large;
  ondemand::parser& parser = text.size() > kMaxReusedReportBytes ? large : buffers_->parser;
  ReportReader reader(text, test);
  ondemand::document document;
  error_code error =
      parser.iterate(text.data(), text.size(), text.size() + kReportPaddingBytes).get(document);
  if (error == SUCCESS) error = reader.Read(document);
  if (error != SUCCESS) {
    return BadOutput(std::string("the report is not a JSON object: ") +
                     simdjson::error_message(error));
  }
  connected_streams_ = reader.connected_streams();
  phase_ = reader.Phase();
  return reader.Result();
}

}  // namespace iperf3_exporter
