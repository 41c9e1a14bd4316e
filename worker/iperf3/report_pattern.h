// What was read once, to read the like of it by: a piece of a report as the least and the largest
// byte that may stand at each place. Between its holes it is compared whole vectors at a time.
//
// Why a match proves that a piece is valid: it is the remembered piece, which was checked to the
// last byte, with other digits in the places of a number's digits (no zero in the first place
// of several) or with a whole scalar, which is scanned, in the place of a scalar. A value is
// taken to be of the same length as before until it is not; from then on it is a hole. Values
// that are wanted are holes from the beginning.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "worker/iperf3/regular_scan.h"

namespace iperf3_exporter {

// `Target` says what a value is, to whom the match is reported.
template <typename Target, std::size_t kMaxValues, std::size_t kMaxTextBytes>
class ReportPattern {
 public:
  // Forgets all and begins to learn the text at `begin`.
  void Begin(const char* begin) {
    learns_ = true;
    complete_ = false;
    begin_ = begin;
    value_count_ = 0;
  }
  void Stop() { learns_ = complete_ = false; }

  // The next value of the text: a scalar that was found valid.
  void Add(const char* begin, const char* end, Target target, bool is_wanted) {
    if (!learns_) return;
    if (value_count_ == kMaxValues || static_cast<std::size_t>(end - begin_) > kMaxTextBytes) {
      learns_ = false;
      return;
    }
    values_[value_count_++] = {static_cast<std::uint32_t>(begin - begin_),
                               static_cast<std::uint32_t>(end - begin_), target, is_wanted};
  }

  // The text ends at `end` and was regular.
  void Complete(const char* end) {
    const auto bytes = static_cast<std::size_t>(end - begin_);
    if (!learns_ || bytes > kMaxTextBytes) return Stop();
    learns_ = false;
    complete_ = true;
    std::memcpy(least_.data(), begin_, bytes);
    std::memcpy(most_.data(), begin_, bytes);
    piece_count_ = 0;
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < value_count_; ++i) {
      const Value& value = values_[i];
      if (value.is_wanted) {
        pieces_[piece_count_++] = {at, value.at - at, value.target};
        at = value.end;
      } else {
        AllowOtherDigits(value);
      }
    }
    pieces_[piece_count_] = {at, static_cast<std::uint32_t>(bytes) - at, {}};
  }

  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] bool learns() const { return learns_; }

  // Behind what matches at `at`; nullptr when nothing does. `skip(at)` gives the end of the
  // scalar at `at` or nullptr, `take(target, begin, end)` is told of each hole's value, in order.
  template <typename Skip, typename Take>
  [[nodiscard]] const char* Match(const char* at, const char* end, Skip skip, Take take) {
    for (std::size_t i = 0;; ++i) {
      std::size_t bytes = pieces_[i].bytes;
      if (bytes > static_cast<std::size_t>(end - at)) return nullptr;
      const std::size_t text = pieces_[i].at;
      const std::size_t same =
          scan::CountWithin(at, least_.data() + text, most_.data() + text, bytes);
      if (same < bytes) {
        if (!MakeHole(i, static_cast<std::uint32_t>(text + same))) return nullptr;
        bytes = pieces_[i].bytes;
      }
      at += bytes;
      if (i == piece_count_) return at;
      const char* value = at;
      at = skip(at);
      if (at == nullptr || at > end) return nullptr;
      take(pieces_[i].target, value, at);
    }
  }

 private:
  struct Value {
    std::uint32_t at;
    std::uint32_t end;
    Target target;
    bool is_wanted;
  };
  // Text, and except behind the last, a hole.
  struct Piece {
    std::uint32_t at;
    std::uint32_t bytes;
    Target target;
  };

  void AllowOtherDigits(const Value& value) {
    const std::string_view text(least_.data() + value.at, value.end - value.at);
    const std::size_t integer = text.find_first_not_of("0123456789");
    if (integer == 0 || text.find_first_not_of("0123456789.") != text.npos) return;
    for (std::size_t i = value.at; i < value.end; ++i) {
      if (least_[i] == '.') continue;
      least_[i] = '0';
      most_[i] = '9';
    }
    if (std::min(integer, text.size()) > 1) least_[value.at] = '1';
  }

  // Of the value in piece `i` that has its place, or its end, at `at` of the text.
  bool MakeHole(std::size_t i, std::uint32_t at) {
    const auto last = values_.begin() + value_count_;
    const auto value = std::lower_bound(
        values_.begin(), last, at, [](const Value& of, std::uint32_t to) { return of.end < to; });
    Piece& piece = pieces_[i];
    if (value == last || value->at > at || value->at < piece.at) return false;
    std::copy_backward(pieces_.begin() + i, pieces_.begin() + piece_count_ + 1,
                       pieces_.begin() + piece_count_ + 2);
    ++piece_count_;
    pieces_[i + 1].bytes -= value->end - piece.at;
    pieces_[i + 1].at = value->end;
    piece.bytes = value->at - piece.at;
    piece.target = value->target;
    return true;
  }

  bool learns_ = false;
  bool complete_ = false;
  const char* begin_ = nullptr;  // of the text that is learnt
  std::size_t value_count_ = 0;
  std::size_t piece_count_ = 0;  // with a hole behind
  std::array<Value, kMaxValues> values_;
  std::array<Piece, kMaxValues + 1> pieces_;
  std::array<char, kMaxTextBytes + scan::kScanBytes> least_{};
  std::array<char, kMaxTextBytes + scan::kScanBytes> most_{};
};

}  // namespace iperf3_exporter
