#include "worker/iperf3/report_walk.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace iperf3_exporter {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(kReportPaddingBytes >= simdjson::SIMDJSON_PADDING);

// iperf3 nests six deep, its server's report inside it (--get-server-output) eight.
constexpr int kMaxDepth = 32;

// More than a report of this size leaves its buffers with the parser; see Walk.
constexpr std::size_t kMaxKeptBytes = std::size_t{4} << 20;

std::string_view TrimEnd(std::string_view token) {
  while (!token.empty() && std::string_view(" \t\r\n").find(token.back()) != token.npos) {
    token.remove_suffix(1);
  }
  return token;
}

// Every function is true when what it visited is valid JSON, to the last value in it.
class Walk {
 public:
  Walk(ReportValues& values, std::array<char, kMaxErrorTextBytes>& error_buffer)
      : values_(values), error_buffer_(error_buffer) {}

  bool Document(ondemand::document& document) {
    ondemand::object root;
    if (document.get_object().get(root) != simdjson::SUCCESS) return false;
    const bool valid = Members(root, [this](std::string_view key, ondemand::value& value) {
      if (key == "end" && !has_end_) return End(value);
      if (key == "error" && !has_error_) return ErrorText(value);
      return Any(value, 1);
    });
    // Nothing may follow.
    return valid && document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  }

  bool has_error() const { return has_error_; }
  std::string_view error_text() const { return {error_buffer_.data(), error_bytes_}; }

 private:
  template <typename Visit>
  static bool Members(ondemand::object& object, Visit visit) {
    for (auto member : object) {
      std::string_view key;
      ondemand::value value;
      if (member.unescaped_key().get(key) != simdjson::SUCCESS) return false;
      if (member.value().get(value) != simdjson::SUCCESS) return false;
      if (!visit(key, value)) return false;
    }
    return true;
  }

  // The members of `value` if it is an object; anything else is only validated.
  template <typename Visit>
  static bool MembersIfObject(ondemand::value& value, int depth, Visit visit) {
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type != ondemand::json_type::object) return Any(value, depth);
    ondemand::object object;
    return value.get_object().get(object) == simdjson::SUCCESS && Members(object, visit);
  }

  static bool Elements(ondemand::value& value, int depth) {
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return false;
    for (auto element : array) {
      ondemand::value of;
      if (element.get(of) != simdjson::SUCCESS || !Any(of, depth + 1)) return false;
    }
    return true;
  }

  static bool Any(ondemand::value& value, int depth) {
    if (depth > kMaxDepth) return false;
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    switch (type) {
      case ondemand::json_type::object: {
        ondemand::object object;
        return value.get_object().get(object) == simdjson::SUCCESS &&
               Members(object, [depth](std::string_view, ondemand::value& member) {
                 return Any(member, depth + 1);
               });
      }
      case ondemand::json_type::array:
        return Elements(value, depth);
      case ondemand::json_type::string:
        return value.get_string().error() == simdjson::SUCCESS;
      case ondemand::json_type::number:
        return ParseJsonNumber(TrimEnd(value.raw_json_token())).has_value();
      default: {
        const std::string_view token = TrimEnd(value.raw_json_token());
        return token == "true" || token == "false" || token == "null";
      }
    }
  }

  // Sets `to` if `value` is a number.
  static bool Number(ondemand::value& value, int depth, double& to) {
    to = kNotGiven;
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type != ondemand::json_type::number) return Any(value, depth);
    const auto number = ParseJsonNumber(TrimEnd(value.raw_json_token()));
    if (number) to = *number;
    return number.has_value();
  }

  bool ErrorText(ondemand::value& value) {
    has_error_ = true;
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type != ondemand::json_type::string) return Any(value, 1);
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return false;
    error_bytes_ = std::min(text.size(), error_buffer_.size());
    std::memcpy(error_buffer_.data(), text.data(), error_bytes_);
    return true;
  }

  bool End(ondemand::value& end) {
    has_end_ = true;
    return MembersIfObject(end, 1, [this](std::string_view key, ondemand::value& value) {
      if (key == "streams" && !has_streams_) return Streams(value);
      if (key == "cpu_utilization_percent" && !has_cpu_) {
        has_cpu_ = true;
        return Fields(value, 2, &values_.cpu, FindCpuField);
      }
      ondemand::json_type type{};
      if (value.type().get(type) != simdjson::SUCCESS) return false;
      SumValues* sum = type == ondemand::json_type::object ? values_.OpenSum(key) : nullptr;
      return sum != nullptr ? Fields(value, 2, sum, FindSumField) : Any(value, 2);
    });
  }

  template <typename Field>
  static bool Fields(ondemand::value& value, int depth, FirstValues<Field>* to,
                     std::optional<Field> (*find)(std::string_view)) {
    return MembersIfObject(value, depth, [&](std::string_view key, ondemand::value& member) {
      const std::optional<Field> field = find(key);
      if (!field) return Any(member, depth + 1);
      double number = kNotGiven;
      if (!Number(member, depth + 1, number)) return false;
      to->Set(*field, number);
      return true;
    });
  }

  bool Streams(ondemand::value& value) {
    has_streams_ = true;
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type != ondemand::json_type::array) return Any(value, 2);
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return false;
    for (auto element : array) {
      ondemand::value stream;
      if (element.get(stream) != simdjson::SUCCESS || !Stream(stream)) return false;
    }
    return true;
  }

  bool Stream(ondemand::value& value) {
    StreamValues* to = values_.OpenStream();
    bool has_sender = false;
    return MembersIfObject(value, 3, [&](std::string_view key, ondemand::value& member) {
      if (key != "sender" || has_sender || to == nullptr) return Any(member, 4);
      has_sender = true;
      return Fields(member, 4, to, FindStreamField);
    });
  }

  ReportValues& values_;
  std::array<char, kMaxErrorTextBytes>& error_buffer_;
  std::size_t error_bytes_ = 0;
  bool has_end_ = false;
  bool has_error_ = false;
  bool has_streams_ = false;
  bool has_cpu_ = false;
};

}  // namespace

struct ReportWalker::State {
  ondemand::parser parser;
  std::array<char, kMaxErrorTextBytes> error_buffer;
};

ReportWalker::ReportWalker() : state_(std::make_unique<State>()) {}
ReportWalker::~ReportWalker() = default;

WalkOutcome ReportWalker::Walk(std::string_view text, ReportValues& values,
                               std::string_view& error_text) {
  WalkOutcome outcome = WalkOutcome::kInvalid;
  // RFC 8259, 8.1: no byte order mark. Some versions of simdjson skip it.
  if (text.starts_with("\xef\xbb\xbf")) return outcome;
  {
    ondemand::document document;
    const auto error =
        state_->parser.iterate(text.data(), text.size(), text.size() + kReportPaddingBytes)
            .get(document);
    class Walk walk(values, state_->error_buffer);
    if (error == simdjson::SUCCESS && walk.Document(document)) {
      outcome = walk.has_error() ? WalkOutcome::kError : WalkOutcome::kValid;
      error_text = walk.error_text();
    }
  }
  // simdjson takes five bytes for each of the largest document so far: not for ever.
  if (text.size() > kMaxKeptBytes) state_->parser = ondemand::parser();
  return outcome;
}

}  // namespace iperf3_exporter
