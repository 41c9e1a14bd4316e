// Runs iperf3 once: by descriptor, in its own process group, under its sandbox, with
// bounded output and a bounded life. Whatever happens, nothing of it runs any more when
// Run returns.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/deadline.h"
#include "common/error.h"
#include "common/unique_fd.h"
#include "worker/loop/supervisor_link.h"
#include "worker/process/iperf3_child.h"
#include "worker/process/output_buffer.h"
#include "worker/sandbox/iperf3_sandbox.h"

namespace iperf3_exporter {

// Between SIGTERM, on which iperf3 tells its server that it leaves, and SIGKILL.
inline constexpr std::chrono::milliseconds kTermGrace{500};

enum class RunEnd {
  kExited,          // by itself: exit status or a signal that we did not send
  kDeadline,        // we ended it
  kCancelled,       // we ended it
  kSupervisorGone,  // we ended it
  kOutputTooLarge,  // we ended it
  kNotStarted,      // it could not be executed
};

struct RunResult {
  RunEnd end = RunEnd::kNotStarted;
  int wait_status = 0;                   // as from wait(2); 0 with kNotStarted
  std::string start_error;               // only with kNotStarted: the step and why
  std::chrono::nanoseconds run_time{0};  // from the start to its end
};

// What one run needs beside the program. All borrowed.
struct RunRequest {
  const std::vector<std::string>* argv = nullptr;
  Deadline deadline;  // then SIGTERM
  // From the deadline to SIGKILL, whatever SIGTERM came for; at most kTermGrace after SIGTERM.
  std::chrono::milliseconds grace = kTermGrace;
  int lease_fd = -1;         // of the lock; becomes iperf3's lowest descriptor; -1: none
  std::uint16_t port = 0;    // the only TCP port to connect to; 0: none at all
  bool binds_port = false;   // a source address or port was asked for
  std::uint64_t job_id = 0;  // whose Cancel ends it; unused without a link
};

class Iperf3Process {
 public:
  // Borrows everything for its own life. `program_fd`: from OpenIperf3. `link` may be nullptr:
  // then nothing cancels a run.
  [[nodiscard]] static Result<Iperf3Process> Create(int program_fd, const Iperf3Sandbox* sandbox,
                                                    SupervisorLink* link);

  // Starts iperf3 and waits for its end. Blocks at most until the deadline and its grace, or a
  // cancel and kTermGrace after it.
  [[nodiscard]] RunResult Run(const RunRequest& request);

  // What the last run wrote, until the next or Renew; zero bytes enough for the parser lie behind.
  [[nodiscard]] std::string_view output() const { return output_.Text(); }
  [[nodiscard]] std::string_view errors() const { return errors_.Text(); }

  // Drops what is left of the last run: reaps it, closes its pipes, gives back the memory of its
  // report, which may be the last for long; and makes what the next one needs. Apart from Run, so
  // that a result can be sent first, and nothing is done while a probe waits that can be done while
  // none does.
  void Renew();

 private:
  Iperf3Process(int program_fd, const Iperf3Sandbox* sandbox, SupervisorLink* link,
                OutputBuffer output, OutputBuffer errors)
      : program_fd_(program_fd),
        sandbox_(sandbox),
        link_(link),
        output_(std::move(output)),
        errors_(std::move(errors)),
        next_pipes_(CreatePipes()) {}

  struct Pipe {
    UniqueFd read_end;  // non-blocking
    UniqueFd write_end;
  };
  struct Pipes {
    Pipe output;
    Pipe errors;
  };
  // What a run is held by.
  struct Started {
    PreparedJob restrictions;
    UniqueFd output;
    UniqueFd errors;
    Iperf3Child child;
  };

  [[nodiscard]] static Result<Pipe> CreatePipe();
  [[nodiscard]] static Result<Pipes> CreatePipes();
  [[nodiscard]] Result<Started> Start(const RunRequest& request);

  int program_fd_;
  const Iperf3Sandbox* sandbox_;
  SupervisorLink* link_;
  OutputBuffer output_;
  OutputBuffer errors_;
  Result<Pipes> next_pipes_;
  std::optional<Started> last_;
};

}  // namespace iperf3_exporter
