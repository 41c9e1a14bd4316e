// Receives the output of one iperf3. One per worker and stream, and reused: address space for the
// longest report is reserved once. Memory is used only for what was received, and returned after a
// large report.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/error.h"

namespace iperf3_exporter {

// 24 times the report of a minute with 128 streams in both directions.
inline constexpr std::size_t kMaxReportBytes = std::size_t{64} << 20U;
// iperf3 writes a few lines there; more is an attempt to use up memory.
inline constexpr std::size_t kMaxStderrBytes = std::size_t{64} << 10U;

class OutputBuffer {
 public:
  // Reserves `capacity_bytes` of address space and at least `padding_bytes` beyond them. What
  // follows the received bytes reads as zeros.
  [[nodiscard]] static Result<OutputBuffer> Create(std::size_t capacity_bytes,
                                                   std::size_t padding_bytes);
  OutputBuffer(OutputBuffer&& other) noexcept;
  OutputBuffer& operator=(OutputBuffer&&) = delete;
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  ~OutputBuffer();

  enum class Progress { kMore, kEnd, kFull, kFailed };

  // Reads once from `fd`, which is non-blocking. kFull: there is more than the capacity.
  [[nodiscard]] Progress ReadFrom(int fd);

  // What was received, until the next Clear.
  [[nodiscard]] std::string_view Text() const { return {data_, size_bytes_}; }

  // Drops what was received and returns all memory beyond that of a small report.
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
