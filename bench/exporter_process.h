// The programs that a benchmark starts: the real exporter, a real iperf3 server, any program until
// it exits. Each is terminated with its owner. Any failure ends the benchmark.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/kept_connection.h"
#include "common/unique_fd.h"

namespace iperf3_exporter::bench {

// A child process and a pipe from one of its outputs. The destructor terminates and reaps it.
class ChildProcess {
 public:
  // Searches PATH for argv[0]. `output_fd` of the child (1 or 2) is the pipe's write end.
  ChildProcess(const std::vector<std::string>& argv, int output_fd);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  // Reads until the output contains `expected`, and returns all of it.
  std::string ReadUntil(std::string_view expected);

  // Reads until the child closes its output, and reaps it. Its exit status must be 0.
  std::string ReadToEnd();

 private:
  pid_t pid_ = -1;  // -1 once it has been waited for
  UniqueFd output_;
};

class ExporterProcess {
 public:
  // Waits until the log contains `started`; the default means that a worker is ready. `flags`
  // follow those for port and lock.
  explicit ExporterProcess(const std::vector<std::string>& flags,
                           std::string_view started = "msg=ready");
  ~ExporterProcess();
  ExporterProcess(const ExporterProcess&) = delete;
  ExporterProcess& operator=(const ExporterProcess&) = delete;

  // Head and body of the response to a GET; valid until the next Get.
  [[nodiscard]] const std::string& Get(const std::string& path_and_query);

  [[nodiscard]] pid_t pid() const { return child_->pid(); }
  [[nodiscard]] int port() const { return port_; }

  // Proportional set size of exporter and workers together.
  [[nodiscard]] std::size_t ProportionalBytes() const;

 private:
  std::string lock_name_;
  std::optional<ChildProcess> child_;
  int port_ = 0;
  std::optional<KeptConnection> connection_;
};

// `iperf3 -s` on a free port of 127.0.0.1.
class RealServer {
 public:
  RealServer();

  [[nodiscard]] int port() const { return port_; }

 private:
  int port_ = 0;
  std::optional<ChildProcess> child_;
};

// Runs `argv` until it exits and returns its standard output. Its exit status must be 0.
[[nodiscard]] std::string RunProgram(const std::vector<std::string>& argv);

}  // namespace iperf3_exporter::bench
