#include "worker/sandbox/parent_death.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

namespace iperf3_exporter {
namespace {

// More than SIGTERM, its grace and the clean-up take.
constexpr unsigned kLeaveSeconds = 2;

// SIGALRM is never caught, so it ends the process.
void OnParentDeath(int) { ::alarm(kLeaveSeconds); }

}  // namespace

Status ArmParentDeath(int link_fd) {
  struct sigaction action = {};
  action.sa_handler = OnParentDeath;
  if (::sigaction(SIGHUP, &action, nullptr) != 0) return ErrnoError("parent death: sigaction");
  if (::prctl(PR_SET_PDEATHSIG, SIGHUP) != 0) return ErrnoError("parent death: prctl");
  ucred parent = {};
  socklen_t size = sizeof parent;
  if (::getsockopt(link_fd, SOL_SOCKET, SO_PEERCRED, &parent, &size) != 0) {
    return ErrnoError("parent death: SO_PEERCRED");
  }
  // 0: the parent is in a process namespace that we can't see into.
  if (parent.pid != 0 && ::getppid() != parent.pid) return MakeError("the supervisor is gone");
  return {};
}

}  // namespace iperf3_exporter
