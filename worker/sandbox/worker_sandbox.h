// The worker's own confinement, and the preparation of iperf3's. The process must exit if it fails.
#pragma once

#include "common/error.h"
#include "common/sandbox_layer.h"
#include "common/unique_fd.h"
#include "worker/sandbox/iperf3_sandbox.h"
#include "worker/sandbox/temporary_directory.h"

namespace iperf3_exporter {

struct WorkerSandboxRequest {
  SandboxMode mode = SandboxMode::kRequire;
  bool is_first = true;  // logs what is the same for all workers
  int link_fd = -1;      // borrowed: its peer is the supervisor
  int program_fd = -1;   // of iperf3; borrowed: the sandbox keeps a copy as kProgramFd
};

struct WorkerSandbox {
  SandboxReport report;
  UniqueFd program;           // of iperf3, as kProgramFd
  UniqueFd user_reservation;  // see IdentityStates
  TemporaryDirectory temporary;
  Iperf3Sandbox iperf3;
};

// Irreversible. Before it, call RaiseDescriptorLimit and then open everything that needs a path, a
// file of another user or a call that the filter denies. Single-threaded. If a layer fails that
// this kernel offers, kRequire fails, naming the layer, and the other modes log it. kDiagnose
// installs filters that deny nothing.
[[nodiscard]] Result<WorkerSandbox> EnterWorkerSandbox(const WorkerSandboxRequest& request);

}  // namespace iperf3_exporter
