// Receives one output stream of iperf3. Reused between runs: address space for the longest report
// is reserved once. Memory is used only for received bytes, and returned after a large report.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "common/error.h"

namespace iperf3_exporter {

// 24 times the report of one minute with 128 streams in both directions.
inline constexpr std::size_t kMaxReportBytes = std::size_t{64} << 20U;
// iperf3 writes a few lines there; more is an attempt to exhaust memory.
inline constexpr std::size_t kMaxStderrBytes = std::size_t{64} << 10U;

class OutputBuffer {
 public:
  // Reserves `capacity_bytes` of address space, and kPaddingBytes beyond them. What follows the
  // received bytes reads as zeros.
  [[nodiscard]] static Result<OutputBuffer> Create(std::size_t capacity_bytes);

  enum class Progress { kMore, kEnd, kFull };

  // Reads once from `fd`, which is non-blocking. kFull: there is more than the capacity. An error
  // is an end.
  [[nodiscard]] Progress ReadFrom(int fd);

  // What was received, until the next Clear.
  [[nodiscard]] std::string_view Text() const { return {data_.get(), size_bytes_}; }

  // Drops what was received and returns all memory beyond that of a small report.
  void Clear();

 private:
  // simdjson may read beyond a document (SIMDJSON_PADDING is 32 or 64).
  static constexpr std::size_t kPaddingBytes = 256;

  struct Unmap {
    std::size_t bytes;
    void operator()(char* data) const { ::munmap(data, bytes); }
  };

  OutputBuffer(char* data, std::size_t capacity_bytes)
      : data_(data, Unmap{capacity_bytes + kPaddingBytes}), capacity_bytes_(capacity_bytes) {}

  std::unique_ptr<char[], Unmap> data_;
  std::size_t capacity_bytes_;
  std::size_t size_bytes_ = 0;
};

}  // namespace iperf3_exporter
