// Reads a report with another JSON library than the program's, to check the parser's successes in
// the tests and the fuzz target.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

class JsonOracle : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonOracle(std::string_view text)
      // nlohmann skips a byte order mark, which RFC 8259 does not allow.
      : valid_(!text.starts_with("\xef\xbb\xbf") &&
               nlohmann::json::sax_parse(text.begin(), text.end(), this)) {}

  // Whether the text allows a measurement of such a test.
  [[nodiscard]] bool AllowsSuccess(Protocol protocol, Direction direction) const {
    return valid_ && !has_error_ && HasSums(protocol, false) &&
           (direction != Direction::kBidirectional || HasSums(protocol, true));
  }

  // Elements of end.streams.
  [[nodiscard]] std::size_t streams() const { return streams_; }

  // What nlohmann calls.
  bool null() override { return Scalar(); }
  bool boolean(bool) override { return Scalar(); }
  bool number_integer(number_integer_t) override { return Scalar(); }
  bool number_unsigned(number_unsigned_t) override { return Scalar(); }
  bool number_float(number_float_t, const string_t&) override { return Scalar(); }
  bool string(string_t&) override { return Scalar(); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    if (!Value(true, false)) return false;
    path_.emplace_back();
    return true;
  }
  bool key(string_t& key) override {
    path_.back() = key;
    if (path_.size() == 1 && key == "error") has_error_ = true;
    return true;
  }
  bool end_object() override {
    path_.pop_back();
    return End();
  }
  bool start_array(std::size_t) override {
    if (!Value(false, true)) return false;
    path_.emplace_back();
    return true;
  }
  bool end_array() override {
    path_.pop_back();
    return End();
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool HasSum(const std::string& key, bool reverse) const {
    const auto count = std::count(sums_.begin(), sums_.end(), key);
    if (!reverse) return count > 0;
    return count > 1 ||
           std::find(sums_.begin(), sums_.end(), key + "_bidir_reverse") != sums_.end();
  }
  bool HasSums(Protocol protocol, bool reverse) const {
    return (HasSum("sum_sent", reverse) && HasSum("sum_received", reverse)) ||
           (protocol == Protocol::kUdp && HasSum("sum", reverse));
  }

  // Every value passes here before it begins.
  bool Value(bool is_object, bool is_array) {
    if (path_.empty()) return is_object;  // the document
    if (path_.size() == 1 && path_[0] == "end" && !has_end_) has_end_ = in_end_ = true;
    if (in_end_ && path_.size() == 2 && is_object) sums_.push_back(path_[1]);
    if (in_end_ && path_.size() == 2 && path_[1] == "streams" && !has_streams_) {
      has_streams_ = true;
      in_streams_ = is_array;
    } else if (in_streams_ && path_.size() == 3) {
      ++streams_;
    }
    return true;
  }
  // Of a scalar, or at the end of an object or array.
  bool End() {
    if (path_.size() == 1) in_end_ = false;
    if (path_.size() == 2) in_streams_ = false;
    return true;
  }
  bool Scalar() { return Value(false, false) && End(); }

  std::vector<std::string> path_;  // keys from the top; empty in an array
  std::vector<std::string> sums_;  // keys of the objects in the first `end`
  std::size_t streams_ = 0;
  bool has_error_ = false;
  bool has_end_ = false;
  bool in_end_ = false;
  bool has_streams_ = false;
  bool in_streams_ = false;
  bool valid_;  // last: reading fills the others
};

}  // namespace iperf3_exporter
