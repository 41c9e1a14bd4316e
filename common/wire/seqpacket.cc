#include "common/wire/seqpacket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace iperf3_exporter {

Result<std::pair<UniqueFd, UniqueFd>> CreateSeqpacketPair() {
  int fds[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoError("socketpair");
  }
  std::pair<UniqueFd, UniqueFd> pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
  if (::fcntl(pair.first.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("fcntl(O_NONBLOCK)");
  return pair;
}

Status SendFrame(int fd, const wire::Frame& frame) {
  for (;;) {
    const ssize_t sent = ::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(frame.size())) return {};
    if (sent < 0 && errno == EINTR) continue;
    return ErrnoError("send");
  }
}

ReceiveOutcome ReceiveFrame(int fd, wire::Frame& frame, bool dont_wait) {
  frame.resize(wire::kMaxFrameBytes + 1);
  for (;;) {
    const ssize_t got =
        ::recv(fd, frame.data(), frame.size(), MSG_CMSG_CLOEXEC | (dont_wait ? MSG_DONTWAIT : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return ReceiveOutcome::kWouldBlock;
    if (got < 0 && errno != ECONNRESET) return ReceiveOutcome::kFailed;
    if (got <= 0) return ReceiveOutcome::kClosed;
    if (static_cast<std::size_t>(got) > wire::kMaxFrameBytes) return ReceiveOutcome::kFailed;
    frame.resize(static_cast<std::size_t>(got));
    return ReceiveOutcome::kFrame;
  }
}

}  // namespace iperf3_exporter
