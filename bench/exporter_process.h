// The real exporter under a benchmark: started on a free port of loopback, asked over one
// kept-alive connection, ended with its owner. Any failure ends the benchmark.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bench/kept_connection.h"
#include "common/unique_fd.h"

namespace iperf3_exporter::bench {

class ExporterProcess {
 public:
  // Waits until a worker is ready. `flags` come behind those for port and lock.
  explicit ExporterProcess(std::vector<std::string> flags);
  ~ExporterProcess();
  ExporterProcess(const ExporterProcess&) = delete;
  ExporterProcess& operator=(const ExporterProcess&) = delete;

  // The whole answer to a GET, head and body, until the next.
  [[nodiscard]] const std::string& Get(const std::string& path_and_query);

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int port() const { return port_; }

  // Exporter and workers together, in bytes.
  [[nodiscard]] std::size_t ProportionalBytes() const;

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  std::string lock_name_;
  UniqueFd log_;
  std::optional<KeptConnection> connection_;
};

// `iperf3 -s` on a free port of loopback, until its owner ends.
class RealServer {
 public:
  RealServer();
  ~RealServer();
  RealServer(const RealServer&) = delete;
  RealServer& operator=(const RealServer&) = delete;

  [[nodiscard]] int port() const { return port_; }

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  UniqueFd output_;
};

// Starts `argv` and reads what it prints until it ends with exit status 0.
[[nodiscard]] std::string RunProgram(const std::vector<std::string>& argv);

}  // namespace iperf3_exporter::bench
