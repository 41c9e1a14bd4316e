// One keep-alive connection to the exporter under a benchmark. Any failure ends the benchmark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/unique_fd.h"

namespace iperf3_exporter::bench {

class KeptConnection {
 public:
  // Connects to that port of 127.0.0.1.
  explicit KeptConnection(int port);

  // For poll(2).
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Sends a GET as Prometheus does. One request at a time.
  void Ask(std::string_view path_and_query);

  // Reads once and blocks while there is nothing to read. True when the answer is complete.
  [[nodiscard]] bool Read();

  // Head and body of the last complete answer; valid until the next Ask.
  [[nodiscard]] const std::string& answer() const { return answer_; }

 private:
  UniqueFd fd_;
  std::string answer_;
  std::size_t answer_bytes_ = 0;  // 0 until the head is complete
};

}  // namespace iperf3_exporter::bench
