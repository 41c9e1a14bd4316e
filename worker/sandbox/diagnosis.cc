#include "worker/sandbox/diagnosis.h"

#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <bitset>
#include <cerrno>
#include <cstring>

#include "common/logging.h"
#include "worker/sandbox/seccomp_filter.h"

namespace iperf3_exporter {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int));

// A message of one byte and one descriptor.
struct DescriptorMessage {
  DescriptorMessage() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr header = {};
};

}  // namespace

bool SendListener(int socket_fd, int listener_fd) {
  DescriptorMessage message;
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof listener_fd);
  std::memcpy(CMSG_DATA(control), &listener_fd, sizeof listener_fd);
  return ::sendmsg(socket_fd, &message.header, MSG_NOSIGNAL) == 1;
}

Result<UniqueFd> ReceiveListener(int socket_fd) {
  DescriptorMessage message;
  if (::recvmsg(socket_fd, &message.header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1) {
    return ErrnoError("diagnosis: recvmsg");
  }
  const cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  if (control == nullptr || control->cmsg_type != SCM_RIGHTS) {
    return MakeError("diagnosis: no listener");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
  return UniqueFd(fd);
}

bool RespondToDeniedCall(int listener_fd) {
  static std::bitset<1024> known;
  // A newer kernel may write more fields than our headers have.
  alignas(seccomp_notif) char call[sizeof(seccomp_notif) + 256] = {};
  auto* notification = reinterpret_cast<seccomp_notif*>(call);
  if (::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_RECV, notification) != 0) return errno == EINTR;
  const auto number = static_cast<std::size_t>(notification->data.nr);
  if (number >= known.size() || !known[number]) {
    if (number < known.size()) known[number] = true;
    Log(LogLevel::kWarn, "diagnosis: iperf3 made a call that its filter denies",
        {{"call", SyscallName(notification->data.nr)}, {"number", notification->data.nr}});
  }
  seccomp_notif_resp response = {};
  response.id = notification->id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  // ENOENT: the process has been killed.
  return ::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0 || errno == ENOENT;
}

}  // namespace iperf3_exporter
