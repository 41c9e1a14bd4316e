// Runs iperf3: by descriptor, in its own process group and sandbox, with bounded output and run
// time. When Wait returns, no process of iperf3 is running.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/deadline.h"
#include "common/error.h"
#include "common/iperf3/test_result.h"
#include "common/unique_fd.h"
#include "worker/process/iperf3_child.h"
#include "worker/process/output_buffer.h"
#include "worker/sandbox/iperf3_sandbox.h"

namespace iperf3_exporter {

// How long iperf3 has after SIGTERM, to tell its server that it leaves, before SIGKILL.
inline constexpr std::chrono::milliseconds kTermGrace{500};

// What one run needs besides the program. The descriptors are borrowed until Wait returns.
struct RunRequest {
  std::vector<std::string> argv;
  Deadline terminate_at;  // then SIGTERM
  Deadline kill_at;       // then SIGKILL, whatever the reason for SIGTERM
  int cancel_fd = -1;     // readable or hung up: the run is cancelled; -1: nothing cancels it
  int lease_fd = -1;      // of the lock; becomes iperf3's lowest descriptor; -1: none
  JobNeeds needs;
  const std::string* password = nullptr;  // borrowed until Start returns; for IPERF3_PASSWORD
};

struct RunResult {
  // The status, as from wait(2), if iperf3 ended by itself, even by a signal that we did not send.
  // Otherwise why we stopped it: the first cause.
  tl::expected<int, TestFailure> status;
  std::chrono::nanoseconds run_time{0};  // from the start to the end
};

class Iperf3Process {
 public:
  // Borrows both for its lifetime. `program_fd`: from OpenIperf3.
  [[nodiscard]] static Result<Iperf3Process> Create(int program_fd, const Iperf3Sandbox* sandbox);

  // Starts iperf3. Returns once it has been executed, or fails, naming the step.
  // Leaves no copy of the password.
  [[nodiscard]] Status Start(const RunRequest& request);

  // Waits for the end of the started iperf3, and stops it if necessary. Blocks until `kill_at`, or
  // until kTermGrace after a cancel, at the latest.
  [[nodiscard]] RunResult Wait();

  // What the last run wrote, until Reset; followed by the zeros that the parser requires.
  [[nodiscard]] std::string_view output() const { return output_.Text(); }
  [[nodiscard]] std::string_view errors() const { return errors_.Text(); }

  // Ends the last run: reaps iperf3, closes its pipes, returns the memory of a large report. Start
  // does the same; calling it earlier makes the next test start sooner.
  void Reset();

 private:
  struct Running {
    RunRequest request;
    Deadline started_at;
    UniqueFd output;
    UniqueFd errors;
    UniqueFd seccomp_notify_fd;  // of a diagnosing sandbox; otherwise empty
    Iperf3Child child;
  };

  Iperf3Process(int program_fd, const Iperf3Sandbox* sandbox, OutputBuffer output,
                OutputBuffer errors)
      : program_fd_(program_fd),
        sandbox_(sandbox),
        output_(std::move(output)),
        errors_(std::move(errors)) {}

  int program_fd_;
  const Iperf3Sandbox* sandbox_;
  OutputBuffer output_;
  OutputBuffer errors_;
  std::optional<Running> last_;
};

}  // namespace iperf3_exporter
