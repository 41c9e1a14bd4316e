#include "worker/sandbox/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

constexpr int kNamespaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;

bool WriteFile(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Each number stands for itself; all others are nobody's.
bool MapOwnUser(uid_t uid, gid_t gid) {
  const std::string user = std::to_string(uid);
  const std::string group = std::to_string(gid);
  return WriteFile("/proc/self/setgroups", "deny") &&
         WriteFile("/proc/self/gid_map", group + ' ' + group + " 1") &&
         WriteFile("/proc/self/uid_map", user + ' ' + user + " 1");
}

// What is mounted or unmounted on the host later is followed, so that we never keep a disk busy;
// nothing of ours gets out.
// In a chroot "/" is no mount point and the kernel answers EINVAL: nothing can be changed there,
// and nothing has to be, for the worker mounts nothing that has a place in the tree.
bool SeparateMounts() {
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 || errno == EINVAL;
}

}  // namespace

LayerState EnterNamespaces() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(kNamespaces) == 0) {
    return SeparateMounts() ? LayerState::kInForce : LayerState::kMissing;
  }
  // Root keeps its right to become another user, which it would lose in a user namespace.
  if (uid == 0 || ::unshare(CLONE_NEWUSER | kNamespaces) != 0) return LayerState::kNotOffered;
  return MapOwnUser(uid, gid) && SeparateMounts() ? LayerState::kInForce : LayerState::kMissing;
}

}  // namespace iperf3_exporter
