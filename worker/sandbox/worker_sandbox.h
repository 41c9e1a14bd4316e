// The worker's own confinement, and the preparation of iperf3's. The process must exit if it fails.
#pragma once

#include <cstdint>

#include "common/error.h"
#include "common/sandbox_layer.h"
#include "common/unique_fd.h"
#include "worker/sandbox/iperf3_sandbox.h"
#include "worker/sandbox/temporary_directory.h"

namespace iperf3_exporter {

struct WorkerSandboxRequest {
  SandboxMode mode = SandboxMode::kRequire;
  std::uint32_t worker_index = 0;
  int link_fd = -1;     // borrowed: its peer is the supervisor
  int program_fd = -1;  // of iperf3; borrowed: the sandbox keeps a copy as kProgramFd
};

class WorkerSandbox {
 public:
  // Irreversible. Open everything first that needs a path, a file of another user or a call that
  // the filter denies; call RaiseDescriptorLimit before that. Single-threaded. If a layer fails
  // that this kernel offers, kRequire fails, naming the layer, and the other modes log it.
  // kDiagnose installs filters that deny nothing.
  [[nodiscard]] static Result<WorkerSandbox> Enter(const WorkerSandboxRequest& request);

  WorkerSandbox(WorkerSandbox&&) = default;
  WorkerSandbox& operator=(WorkerSandbox&&) = delete;
  WorkerSandbox(const WorkerSandbox&) = delete;
  WorkerSandbox& operator=(const WorkerSandbox&) = delete;
  ~WorkerSandbox() = default;

  [[nodiscard]] const SandboxReport& report() const { return report_; }
  [[nodiscard]] const Iperf3Sandbox& iperf3() const { return iperf3_; }
  [[nodiscard]] int program_fd() const { return program_.get(); }

  // Removes what iperf3 left behind. After each run.
  void CleanTemporaryDirectory() const { temporary_.Clean(); }

 private:
  friend class WorkerSandboxSteps;
  WorkerSandbox(SandboxReport report, UniqueFd program, TemporaryDirectory temporary,
                Iperf3Sandbox iperf3)
      : report_(report),
        program_(std::move(program)),
        temporary_(std::move(temporary)),
        iperf3_(std::move(iperf3)) {}

  SandboxReport report_;
  UniqueFd program_;
  TemporaryDirectory temporary_;
  Iperf3Sandbox iperf3_;
};

}  // namespace iperf3_exporter
