#include "worker/sandbox/parent_death.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

namespace iperf3_exporter {
namespace {

// More than SIGTERM, its grace and the clean-up take.
constexpr unsigned kLeaveSeconds = 2;

// The one signal that also makes a stopped process run again.
constexpr int kSignal = SIGCONT;

// 0: in a process namespace that we can't see into, whatever becomes of it.
volatile pid_t g_parent = 0;

// Anybody of our user can send the signal; only with another parent is it accurate. SIGALRM is
// never caught, so it ends the process.
void OnParentDeath(int) {
  if (g_parent == 0 || ::getppid() != g_parent) ::alarm(kLeaveSeconds);
}

}  // namespace

Status ArmParentDeath(int link_fd) {
  g_parent = ::getppid();
  struct sigaction action = {};
  action.sa_handler = OnParentDeath;
  // It comes whenever a stopped worker is continued, which must not end a receive.
  action.sa_flags = SA_RESTART;
  if (::sigaction(kSignal, &action, nullptr) != 0) return ErrnoError("parent death: sigaction");
  if (::prctl(PR_SET_PDEATHSIG, kSignal) != 0) return ErrnoError("parent death: prctl");
  ucred parent = {};
  socklen_t size = sizeof parent;
  if (::getsockopt(link_fd, SOL_SOCKET, SO_PEERCRED, &parent, &size) != 0) {
    return ErrnoError("parent death: SO_PEERCRED");
  }
  const bool is_same = ::getppid() == g_parent && (parent.pid == 0 || g_parent == parent.pid);
  if (!is_same) return MakeError("the supervisor is gone");
  return {};
}

}  // namespace iperf3_exporter
