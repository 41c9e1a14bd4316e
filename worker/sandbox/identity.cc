#include "worker/sandbox/identity.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

namespace iperf3_exporter {
namespace {

using Capabilities = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

Result<Capabilities> ReadCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  Capabilities capabilities{};
  if (::syscall(SYS_capget, &header, capabilities.data()) != 0) return ErrnoError("capget");
  return capabilities;
}

bool Has(const Capabilities& capabilities, unsigned capability) {
  return (capabilities[capability / 32].effective & (1U << (capability % 32))) != 0;
}

// Stops at the first capability that the kernel does not know.
Status EmptyBoundingSet() {
  for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return ErrnoError("capability bounds");
  }
  return {};
}

struct ReservedUser {
  uid_t uid;
  UniqueFd reservation;  // empty if no user can be reserved
};

// Reserves a user by binding its abstract socket name. That is atomic, leaves nothing behind, and
// holds between all exporters of a network namespace.
ReservedUser ReserveUser() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (uid_t uid = kFirstWorkerUid; uid < kFirstWorkerUid + kWorkerUids; ++uid) {
    const std::string name = "iperf3_exporter.user." + std::to_string(uid);
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    name.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);  // abstract: after a null byte
    const std::size_t length = offsetof(sockaddr_un, sun_path) + 1 + name.size();
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(length)) == 0) {
      return {uid, std::move(socket)};
    }
    if (errno != EADDRINUSE) break;
  }
  // At least the workers of one exporter, which are started together, differ.
  return {kFirstWorkerUid + static_cast<uid_t>(::getpid()) % kWorkerUids, UniqueFd()};
}

// Returns kNotOffered if `uid`, as a group, is not mapped in our user namespace (a container that
// maps a single user).
Result<LayerState> ChangeUser(uid_t uid) {
  if (::setresgid(uid, uid, uid) != 0) {
    if (errno == EINVAL) return LayerState::kNotOffered;
    return ErrnoError("setresgid");
  }
  if (::setgroups(0, nullptr) != 0) return ErrnoError("setgroups");
  if (::setresuid(uid, uid, uid) != 0) return ErrnoError("setresuid");
  if (::setresuid(0, 0, 0) == 0) return MakeError("setresuid: the change is reversible");
  return LayerState::kEnabled;
}

bool IsEmpty(const Capabilities& capabilities) {
  return std::all_of(capabilities.begin(), capabilities.end(), [](const auto& word) {
    return (word.effective | word.permitted | word.inheritable) == 0;
  });
}

// Does not call capset if there are no capabilities: a hardened systemd unit denies that call.
Status DropCapabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  const auto present = ReadCapabilities();
  if (!present) return tl::unexpected(present.error());
  if (IsEmpty(*present)) return {};
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const Capabilities none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return ErrnoError("capset");
  const auto left = ReadCapabilities();
  if (!left) return tl::unexpected(left.error());
  return IsEmpty(*left) ? Status{} : MakeError("capset: some capabilities remain");
}

}  // namespace

Result<IdentityStates> DropIdentity() {
  const auto initial = ReadCapabilities();
  if (!initial) return tl::unexpected(initial.error());
  IdentityStates states;
  if (Has(*initial, CAP_SETPCAP)) {
    if (const Status emptied = EmptyBoundingSet(); !emptied) {
      return tl::unexpected(emptied.error());
    }
  }
  if (::geteuid() == 0 && Has(*initial, CAP_SETUID) && Has(*initial, CAP_SETGID)) {
    ReservedUser user = ReserveUser();
    const auto changed = ChangeUser(user.uid);
    if (!changed) return tl::unexpected(changed.error());
    states.user = *changed;
    states.user_reservation = std::move(user.reservation);
  }
  if (const Status dropped = DropCapabilities(); !dropped) return tl::unexpected(dropped.error());
  states.capabilities = LayerState::kEnabled;
  return states;
}

}  // namespace iperf3_exporter
