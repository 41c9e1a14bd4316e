#include "supervisor/workers/orphan_reaper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/unique_fd.h"
#include "supervisor/workers/worker_process.h"

namespace iperf3_exporter {
namespace {

// The parent of that process; 0 if the process has ended or is hidden.
pid_t ParentOf(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string text;
  std::getline(file, text, '\0');
  // "pid (name) state parent": the name may contain anything.
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos || end + 4 >= text.size()) return 0;
  const char* parent = text.data() + end + 4;
  pid_t number = 0;
  std::from_chars(parent, text.data() + text.size(), number);
  return number;
}

// For kernels without CONFIG_PROC_CHILDREN. Misses processes that hidepid hides.
std::vector<pid_t> SearchChildren() {
  std::vector<pid_t> children;
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc", error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    if (ParentOf(at->path()) == ::getpid()) children.push_back(pid);
  }
  return children;
}

// Orphans become children of the first thread, which is ours.
std::vector<pid_t> ListChildren() {
  std::ifstream file("/proc/thread-self/children");
  if (!file) return SearchChildren();
  std::vector<pid_t> children;
  for (pid_t pid = 0; file >> pid;) children.push_back(pid);
  return children;
}

}  // namespace

OrphanReaper::OrphanReaper() : inherited_(ListChildren()) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

// An inherited child is reaped like any other, before its pid can become that of another process.
void OrphanReaper::Sweep(const std::function<bool(pid_t)>& is_worker) {
  for (const pid_t pid : ListChildren()) {
    if (is_worker(pid)) continue;
    const bool is_dead = ::waitpid(pid, nullptr, WNOHANG) == pid;
    const auto inherited = std::ranges::find(inherited_, pid);
    if (!is_dead && inherited == inherited_.end()) ::kill(pid, SIGKILL);
    if (is_dead && inherited != inherited_.end()) inherited_.erase(inherited);
  }
}

void OrphanReaper::SweepAll(Deadline limit) {
  for (;;) {
    Sweep([](pid_t) { return false; });
    const std::vector<pid_t> left = ListOrphans();
    if (left.empty() || TimeLeft(limit) == std::chrono::nanoseconds::zero()) return;
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, left.front(), 0)));
    AwaitExit(pidfd.get(), limit);
  }
}

std::vector<pid_t> OrphanReaper::ListOrphans() const {
  std::vector<pid_t> orphans = ListChildren();
  std::erase_if(orphans, [this](pid_t pid) {
    return std::ranges::find(inherited_, pid) != inherited_.end();
  });
  return orphans;
}

}  // namespace iperf3_exporter
