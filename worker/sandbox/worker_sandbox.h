// The worker's own confinement, and what it prepares for iperf3's. Ordered steps, each for the
// reason beside it; the process must end if they fail.
#pragma once

#include <cstdint>
#include <string>

#include "common/error.h"
#include "common/sandbox_layer.h"
#include "common/unique_fd.h"
#include "worker/sandbox/iperf3_sandbox.h"
#include "worker/sandbox/temporary_folder.h"

namespace iperf3_exporter {

struct WorkerSandboxRequest {
  SandboxMode mode = SandboxMode::kRequire;
  std::uint32_t worker_index = 0;
  int link_fd = -1;          // borrowed: tells who the supervisor is
  int program_fd = -1;       // of iperf3; borrowed: the sandbox keeps a copy under kProgramFd
  std::string program_path;  // where its libraries may lie beside it
};

class WorkerSandbox {
 public:
  // Enters it: cannot be undone. Everything that needs a path, a file of another user, or a call
  // that the filter does not grant must have been opened before; RaiseDescriptorLimit called before
  // that. Single-threaded. kRequire fails,
  // naming the layer, when this kernel offers a layer that could not be had; the other modes log
  // it. kDiagnose installs filters that stop nothing.
  [[nodiscard]] static Result<WorkerSandbox> Enter(const WorkerSandboxRequest& request);

  WorkerSandbox(WorkerSandbox&&) = default;
  WorkerSandbox& operator=(WorkerSandbox&&) = delete;
  WorkerSandbox(const WorkerSandbox&) = delete;
  WorkerSandbox& operator=(const WorkerSandbox&) = delete;
  ~WorkerSandbox() = default;

  [[nodiscard]] const SandboxReport& report() const { return report_; }
  [[nodiscard]] const Iperf3Sandbox& iperf3() const { return iperf3_; }
  [[nodiscard]] int program_fd() const { return program_.get(); }

  // After each run: what iperf3 left behind goes.
  void CleanTemporaryFolder() const { temporary_.Clean(); }

 private:
  friend class WorkerSandboxSteps;
  WorkerSandbox(SandboxReport report, UniqueFd program, TemporaryFolder temporary,
                Iperf3Sandbox iperf3)
      : report_(report),
        program_(std::move(program)),
        temporary_(std::move(temporary)),
        iperf3_(std::move(iperf3)) {}

  SandboxReport report_;
  UniqueFd program_;
  TemporaryFolder temporary_;
  Iperf3Sandbox iperf3_;
};

}  // namespace iperf3_exporter
