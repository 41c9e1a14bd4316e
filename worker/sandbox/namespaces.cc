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

// Maps `uid` and `gid` to themselves. All other users and groups appear as nobody.
bool MapOwnUser(uid_t uid, gid_t gid) {
  const std::string user = std::to_string(uid);
  const std::string group = std::to_string(gid);
  return WriteFile("/proc/self/setgroups", "deny") &&
         WriteFile("/proc/self/gid_map", group + ' ' + group + " 1") &&
         WriteFile("/proc/self/uid_map", user + ' ' + user + " 1");
}

// Later mounts and unmounts of the host still propagate to us, so that we never keep a disk busy;
// ours do not propagate to the host. In a chroot "/" is not a mount point, and the kernel returns
// EINVAL, which is fine: the worker attaches no mount to the tree.
bool SeparateMounts() {
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 || errno == EINVAL;
}

}  // namespace

LayerState EnterNamespaces() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(kNamespaces) == 0) {
    return SeparateMounts() ? LayerState::kEnabled : LayerState::kMissing;
  }
  // No user namespace for root: with only its own uid mapped, it could not change to another user.
  if (uid == 0 || ::unshare(CLONE_NEWUSER | kNamespaces) != 0) return LayerState::kNotOffered;
  return MapOwnUser(uid, gid) && SeparateMounts() ? LayerState::kEnabled : LayerState::kMissing;
}

}  // namespace iperf3_exporter
