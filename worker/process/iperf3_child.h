// Starts iperf3 in a child process and owns that process, as pid and pidfd in one value.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/error.h"
#include "common/unique_fd.h"
#include "worker/sandbox/iperf3_sandbox.h"

namespace iperf3_exporter {

// Everything that the child needs, prepared before the fork. Borrowed.
struct ChildPlan {
  int program_fd = -1;
  char* const* argv = nullptr;
  char* const* environment = nullptr;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int lease_fd = -1;  // of the lock; -1: none
  const Iperf3Sandbox* sandbox = nullptr;
  const PreparedJob* job = nullptr;
};

// A running iperf3. The destructor kills its process group and reaps it; until then its pid and its
// group's number can't be reused.
class Iperf3Child {
 public:
  // Starts iperf3 as the leader of a new process group. Fails, naming the step, if it could not be
  // executed; then no process is left. The caller is suspended until the exec.
  [[nodiscard]] static Result<Iperf3Child> Spawn(const ChildPlan& plan);

  Iperf3Child(Iperf3Child&& other) noexcept;
  Iperf3Child& operator=(Iperf3Child&&) = delete;
  Iperf3Child(const Iperf3Child&) = delete;
  Iperf3Child& operator=(const Iperf3Child&) = delete;
  ~Iperf3Child();

  // Becomes readable when iperf3 has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  // To the whole process group with Linux 6.9 or newer, otherwise to iperf3 alone.
  void Signal(int signal_number) const;

  // Waits until iperf3 has ended, kills what is left of its group, and returns its status as from
  // wait(2). Leaves it unreaped: the destructor reaps it.
  [[nodiscard]] int WaitForEnd();

 private:
  Iperf3Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;  // -1: moved from
  UniqueFd pidfd_;
};

}  // namespace iperf3_exporter
