#include "worker/process/output_buffer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace iperf3_exporter {
namespace {

// Kept between jobs: memory for an ordinary report, so that the next one causes no page faults.
constexpr std::size_t kKeptBytes = std::size_t{64} << 10U;

// The default capacity of a pipe.
constexpr std::size_t kReadBytes = std::size_t{64} << 10U;

}  // namespace

Result<OutputBuffer> OutputBuffer::Create(std::size_t capacity_bytes) {
  void* data = ::mmap(nullptr, capacity_bytes + kPaddingBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // It takes no memory yet, only address space: a limit that does not go away.
  if (data == MAP_FAILED) {
    return MakeError(ErrnoText("memory for the output of iperf3 (ulimit -v)", errno));
  }
  return OutputBuffer(static_cast<char*>(data), capacity_bytes);
}

OutputBuffer::Progress OutputBuffer::ReadFrom(int fd) {
  // If the buffer is full, one more byte (in the padding) shows whether the output ends there.
  const std::size_t room = std::max(capacity_bytes_ - size_bytes_, std::size_t{1});
  const ssize_t got = ::read(fd, data_.get() + size_bytes_, std::min(room, kReadBytes));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::kMore;
  if (got <= 0) return Progress::kEnd;
  if (size_bytes_ == capacity_bytes_) {
    data_[size_bytes_] = 0;
    return Progress::kFull;
  }
  size_bytes_ += static_cast<std::size_t>(got);
  return Progress::kMore;
}

void OutputBuffer::Clear() {
  const std::size_t used = std::exchange(size_bytes_, 0);
  std::fill_n(data_.get(), std::min(used, kKeptBytes), '\0');
  if (used > kKeptBytes) ::madvise(data_.get() + kKeptBytes, used - kKeptBytes, MADV_DONTNEED);
}

}  // namespace iperf3_exporter
