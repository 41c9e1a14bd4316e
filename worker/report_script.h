// The shape of one regular report, to read the next one of the same shape by: the text between
// its values, and where each value goes. One worker runs the same tests over and over, so
// nearly every small report has the shape of the one before it.
//
// Why a match proves that a report is valid: it is the remembered report, which was checked to
// the last byte, with each scalar in the place of a scalar.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace iperf3_exporter {

class ReportScript {
 public:
  // Larger reports repeat themselves inside, which pays as well. A report of one stream has some 90
  // values in 2.7 kB.
  static constexpr std::size_t kMaxValues = 512;
  static constexpr std::size_t kMaxTextBytes = 16384;
  // Readable behind each step's text, as with a report.
  static constexpr std::size_t kPaddingBytes = 32;

  struct Step {
    std::uint16_t text_at;
    std::uint16_t text_bytes;
    double* slot;  // where the value behind that text goes; nullptr: it is only checked
  };

  // Forgets the last shape and begins to follow `report`.
  void Begin(std::string_view report) {
    complete_ = false;
    count_ = 0;
    follows_ = report.size() <= kMaxTextBytes;
    begin_ = last_ = report.data();
  }

  // `slot` outlives the script.
  void Add(const char* value, const char* value_end, double* slot) {
    if (!follows_) return;
    if (count_ == kMaxValues) {
      follows_ = false;
      return;
    }
    steps_[count_++] = {static_cast<std::uint16_t>(last_ - begin_),
                        static_cast<std::uint16_t>(value - last_), slot};
    last_ = value_end;
  }

  // The report was regular to its end.
  void Complete(std::string_view report) {
    if (!follows_) return;
    std::memcpy(text_.data(), report.data(), report.size());
    last_at_ = static_cast<std::size_t>(last_ - begin_);
    last_bytes_ = report.size() - last_at_;
    complete_ = true;
  }

  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const Step& step(std::size_t i) const { return steps_[i]; }
  [[nodiscard]] const char* text(const Step& step) const { return text_.data() + step.text_at; }
  // What follows the last value.
  [[nodiscard]] std::string_view last_text() const {
    return {text_.data() + last_at_, last_bytes_};
  }

 private:
  bool complete_ = false;
  bool follows_ = false;
  const char* begin_ = nullptr;  // of the report that is followed
  const char* last_ = nullptr;   // behind its last value so far
  std::size_t count_ = 0;
  std::size_t last_at_ = 0;
  std::size_t last_bytes_ = 0;
  std::array<Step, kMaxValues> steps_;
  std::array<char, kMaxTextBytes + kPaddingBytes> text_{};
};

}  // namespace iperf3_exporter
