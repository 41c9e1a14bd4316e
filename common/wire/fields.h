// The fields of a message, one after another without padding, in the machine's own byte order (both
// ends run on one machine). The same calls write a message and read it, so that each message is
// described once. A reader checks every byte; a writer checks nothing. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "common/wire/wire.h"

namespace iperf3_exporter::wire {

class Fields {
 public:
  // For writing.
  Fields() { frame_.reserve(kMaxFrameBytes); }
  // For reading `frame`, which must outlive this. After a wrong field every value read is zero.
  explicit Fields(Bytes frame) : is_reading_(true), rest_(frame) {}

  // An integer, or a double, which must not be a NaN.
  template <typename T>
  void Number(const char* name, T& value,
              std::type_identity_t<T> min = std::numeric_limits<T>::lowest(),
              std::type_identity_t<T> max = std::numeric_limits<T>::max()) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    Transfer(name, &value, sizeof value);
    Require(value >= min && value <= max, name);
  }

  void Bool(const char* name, bool& value) {
    auto number = static_cast<std::uint8_t>(value);
    Number(name, number, 0, 1);
    value = number == 1;
  }

  template <typename E>
  void Enum(const char* name, E& value, E last) {
    auto number = static_cast<std::underlying_type_t<E>>(value);
    Number(name, number, 0, static_cast<std::underlying_type_t<E>>(last));
    value = static_cast<E>(number);
  }

  template <typename Duration>
  void Time(const char* name, Duration& value, std::type_identity_t<Duration> min = Duration::min(),
            std::type_identity_t<Duration> max = Duration::max()) {
    std::int64_t count = value.count();
    Number(name, count, min.count(), max.count());
    value = Duration(count);
  }

  // `carry` writes or reads the value, or a default one if it is absent.
  template <typename T, typename Carry>
  void Optional(const char* name, std::optional<T>& value, Carry carry) {
    bool is_present = value.has_value();
    Bool(name, is_present);
    T carried = value.value_or(T{});
    carry(carried);
    value = is_present ? std::optional(std::move(carried)) : std::nullopt;
  }

  template <typename T>
  void OptionalNumber(const char* name, std::optional<T>& value, std::type_identity_t<T> min,
                      std::type_identity_t<T> max) {
    Optional(name, value, [&](T& number) { Number(name, number); });
    Require(!value || (*value >= min && *value <= max), name);
  }

  // A text's length, then a field of `max_bytes`. A writer cuts a longer text.
  void Text(const char* name, std::string& text, std::size_t max_bytes);

  // A further condition when reading.
  void Require(bool condition, const char* name) {
    if (is_reading_ && !condition && bad_field_ == nullptr) bad_field_ = name;
  }

  // What was written.
  [[nodiscard]] Frame TakeFrame() { return std::move(frame_); }

  // The error names the first wrong field.
  [[nodiscard]] Status Check() const;
  // The same; bytes that are left over are an error.
  [[nodiscard]] Status Finish();

 private:
  void Transfer(const char* name, void* value, std::size_t bytes) {
    if (!is_reading_) {
      const auto* from = static_cast<const std::byte*>(value);
      frame_.insert(frame_.end(), from, from + bytes);
      return;
    }
    Require(rest_.size() >= bytes, name);
    if (bad_field_ != nullptr) {
      std::memset(value, 0, bytes);
      return;
    }
    std::memcpy(value, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
  }

  const bool is_reading_ = false;
  Frame frame_;
  Bytes rest_;
  const char* bad_field_ = nullptr;
};

}  // namespace iperf3_exporter::wire
