#include <sys/socket.h>

#include "common/run_main.h"
#include "common/stderr_output.h"
#include "common/wire/seqpacket.h"
#include "worker/loop/worker_loop.h"

#if defined(__SANITIZE_ADDRESS__)
// LeakSanitizer traces the process at its exit, which the sandbox does not allow.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
#endif

namespace {

constexpr int kExitUsage = 2;

bool IsLink(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

int main() {
  if (!IsLink(iperf3_exporter::kWorkerSocketFd)) {
    iperf3_exporter::WriteToStderr(
        "iperf3_exporter_worker is started by iperf3_exporter, not manually\n");
    return kExitUsage;
  }
  return iperf3_exporter::RunMain("iperf3_exporter_worker", [] {
    return iperf3_exporter::RunWorker(iperf3_exporter::kWorkerSocketFd);
  });
}
