// Where the output of one iperf3 is received. One per worker and reused: address space
// for the longest report is taken once, memory only for what was really received, and
// given back after a large report.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/error.h"

namespace iperf3_exporter {

// No report is longer: 24 times that of a minute at 128 streams both ways.
inline constexpr std::size_t kMaxReportBytes = std::size_t{64} << 20U;
// iperf3 writes a few lines there; more is an attempt to fill something.
inline constexpr std::size_t kMaxStderrBytes = std::size_t{64} << 10U;

class OutputBuffer {
 public:
  // Takes `capacity_bytes` of address space, readable zeros behind what was received, and
  // at least `padding_bytes` of them behind the last byte that fits.
  [[nodiscard]] static Result<OutputBuffer> Create(std::size_t capacity_bytes,
                                                   std::size_t padding_bytes);
  OutputBuffer(OutputBuffer&& other) noexcept;
  OutputBuffer& operator=(OutputBuffer&&) = delete;
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  ~OutputBuffer();

  enum class Progress { kMore, kEnd, kFull, kFailed };

  // Reads once from `fd`, which is non-blocking. kFull: it holds more than the capacity.
  [[nodiscard]] Progress ReadFrom(int fd);

  // What was received, until the next Clear.
  [[nodiscard]] std::string_view Text() const { return {data_, size_bytes_}; }

  // Forgets what was received and gives back all memory beyond a small report's.
  void Clear();

 private:
  OutputBuffer(char* data, std::size_t capacity_bytes, std::size_t mapped_bytes)
      : data_(data), capacity_bytes_(capacity_bytes), mapped_bytes_(mapped_bytes) {}

  char* data_;
  std::size_t capacity_bytes_;
  std::size_t mapped_bytes_;
  std::size_t size_bytes_ = 0;
};

}  // namespace iperf3_exporter
