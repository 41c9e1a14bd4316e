// One keep-alive connection to the exporter under a benchmark. Any failure ends the benchmark.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "common/unique_fd.h"

namespace iperf3_exporter::bench {

[[nodiscard]] sockaddr_in LoopbackAddress(int port);

class KeptConnection {
 public:
  // Connects to `port` of 127.0.0.1.
  explicit KeptConnection(int port);

  // For poll(2).
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Sends a GET as Prometheus does, with `more_fields`, complete lines. One request at a time.
  void Ask(const std::string& path_and_query,
           std::chrono::seconds scrape_timeout = std::chrono::seconds(30),
           const std::string& more_fields = "");

  // Reads once and blocks while there is nothing to read. True when the response is complete.
  [[nodiscard]] bool Read();

  // Head and body of the last complete response; valid until the next Ask.
  [[nodiscard]] const std::string& response() const { return response_; }

 private:
  UniqueFd fd_;
  std::string response_;
  std::size_t response_bytes_ = 0;  // 0 until the head is complete
};

}  // namespace iperf3_exporter::bench
