#include "worker/sandbox/parent_death.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

namespace iperf3_exporter {
namespace {

// Enough for SIGTERM, its grace period and the clean-up.
constexpr unsigned kGraceSeconds = 2;

// The only signal that also continues a stopped process.
constexpr int kSignal = SIGCONT;

// 0: it is in a pid namespace that is invisible to us.
volatile pid_t g_parent = 0;

// Any process of our user can send the signal, so only another parent pid proves the death. SIGALRM
// is never caught, so it kills the process.
void OnParentDeath(int) {
  if (g_parent == 0 || ::getppid() != g_parent) ::alarm(kGraceSeconds);
}

}  // namespace

Status ArmParentDeath(int link_fd) {
  g_parent = ::getppid();
  struct sigaction action = {};
  action.sa_handler = OnParentDeath;
  // It also arrives when a stopped worker is continued, which must not interrupt a receive.
  action.sa_flags = SA_RESTART;
  if (::sigaction(kSignal, &action, nullptr) != 0) return ErrnoError("parent death: sigaction");
  if (::prctl(PR_SET_PDEATHSIG, kSignal) != 0) return ErrnoError("parent death: prctl");
  ucred parent = {};
  socklen_t size = sizeof parent;
  if (::getsockopt(link_fd, SOL_SOCKET, SO_PEERCRED, &parent, &size) != 0) {
    return ErrnoError("parent death: SO_PEERCRED");
  }
  const bool is_same = ::getppid() == g_parent && (parent.pid == 0 || g_parent == parent.pid);
  if (!is_same) return MakeError("the supervisor has died");
  return {};
}

}  // namespace iperf3_exporter
