// One kept-alive connection to the exporter under a benchmark. Any failure ends the benchmark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/unique_fd.h"

namespace iperf3_exporter::bench {

class KeptConnection {
 public:
  // To that port of 127.0.0.1.
  explicit KeptConnection(int port);

  // For poll(2).
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Sends a GET as Prometheus does. One question at a time.
  void Ask(std::string_view path_and_query);

  // Reads once, blocking if nothing is there. Whether the answer is complete.
  [[nodiscard]] bool Read();

  // Head and body of the last complete answer, until the next Ask.
  [[nodiscard]] const std::string& answer() const { return answer_; }

 private:
  UniqueFd fd_;
  std::string answer_;
  std::size_t answer_bytes_ = 0;  // 0 until the head is complete
};

[[noreturn]] void Die(const std::string& what);

}  // namespace iperf3_exporter::bench
