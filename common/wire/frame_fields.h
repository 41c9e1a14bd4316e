// The fields of a message: written one after another without padding, in the machine's own byte
// order (both ends run on one machine). A text is its length and a field of fixed size. Pure; the
// reader checks every byte.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace iperf3_exporter::wire {

class Writer {
 public:
  // Allocates `max_bytes` at once; this is not a limit.
  explicit Writer(std::size_t max_bytes) { bytes_.reserve(max_bytes); }

  template <typename T>
  void Put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }

  // A text longer than its field is cut.
  void PutText(std::string_view text, std::size_t field_bytes);

  template <typename T>
  void PutOptional(const std::optional<T>& value) {
    Put(static_cast<std::uint8_t>(value.has_value()));
    Put(value.value_or(T{}));
  }

  // Returns what was written and ends the writer's use.
  [[nodiscard]] std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads what Writer wrote. After the first wrong field every read returns zero, and the name of
// that field is kept: the first cause wins.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename T>
  T Get(const char* field) {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    if (!Take(&value, sizeof value, field)) return T{};
    return value;
  }

  template <typename T>
  T GetInRange(const char* field, T min, T max) {
    const T value = Get<T>(field);
    if (value < min || value > max) Fail(field);
    return failed_ == nullptr ? value : min;
  }

  template <typename E>
  E GetEnum(const char* field, E last) {
    using Number = std::underlying_type_t<E>;
    return static_cast<E>(GetInRange<Number>(field, 0, static_cast<Number>(last)));
  }

  bool GetBool(const char* field) { return GetInRange<std::uint8_t>(field, 0, 1) == 1; }

  template <typename T>
  std::optional<T> GetOptional(const char* field) {
    const bool present = GetBool(field);
    const T value = Get<T>(field);
    if (!present) return std::nullopt;
    return value;
  }

  // Present values must be finite and within 0 to `max`.
  std::optional<double> GetNumber(const char* field, double max) {
    const auto value = GetOptional<double>(field);
    if (value && !(std::isfinite(*value) && *value >= 0 && *value <= max)) Fail(field);
    return value;
  }

  std::string GetText(const char* field, std::size_t field_bytes);

  void Require(bool condition, const char* field) {
    if (!condition) Fail(field);
  }

  // The name of the first wrong field, or nullptr. Bytes that are left over count as one.
  const char* Finish() {
    if (!rest_.empty()) Fail("trailing bytes");
    return failed_;
  }

 private:
  void Fail(const char* field) {
    if (failed_ == nullptr) failed_ = field;
  }

  bool Take(void* to, std::size_t bytes, const char* field) {
    if (failed_ != nullptr || rest_.size() < bytes) {
      Fail(field);
      return false;
    }
    std::memcpy(to, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
    return true;
  }

  std::span<const std::byte> rest_;
  const char* failed_ = nullptr;
};

}  // namespace iperf3_exporter::wire
