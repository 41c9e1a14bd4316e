// A stand-in for a compromised iperf3: attempts one forbidden action with a socket, or its
// permitted counterpart.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>

#include "tests/helpers/stand_in.h"

namespace {

using namespace iperf3_exporter::stand_in;

int TcpSocket() { return ::socket(AF_INET, SOCK_STREAM, 0); }
int UdpSocket() { return ::socket(AF_INET, SOCK_DGRAM, 0); }

// Each returns true if it succeeded; errno has the reason otherwise.

bool Socket(int family, int type, int protocol) {
  const int fd = ::socket(family, type, protocol);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}
bool Netlink() { return Socket(AF_NETLINK, SOCK_RAW, 0); }
bool Packet() { return Socket(AF_PACKET, SOCK_DGRAM, 0); }
bool Unix() { return Socket(AF_UNIX, SOCK_STREAM, 0); }
bool Vsock() { return Socket(AF_VSOCK, SOCK_STREAM, 0); }
bool Raw() { return Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
bool Raw6() { return Socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }
bool Sctp() { return Socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP); }
bool Ping() { return Socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }
bool Ping6() { return Socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6); }
bool MultipathTcp() { return Socket(AF_INET, SOCK_STREAM, 262); }
bool Tcp() { return Socket(AF_INET, SOCK_STREAM, 0) && Socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP); }
bool Udp() {
  return Socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0) &&
         Socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
}
sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
std::uint16_t OtherPort() { return static_cast<std::uint16_t>(g_targets.other_port); }
bool ConnectTo(int port) {
  const sockaddr_in address = Loopback(static_cast<std::uint16_t>(port));
  const int fd = TcpSocket();
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}
bool FastOpen() {
  const sockaddr_in address = Loopback(OtherPort());
  const int fd = TcpSocket();
  return ::sendto(fd, "x", 1, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) >= 0;
}
bool FastOpenConnect() {
  const sockaddr_in address = Loopback(OtherPort());
  const int fd = TcpSocket();
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}
ssize_t SendByMessage(int fd, int flags) {
  sockaddr_in address = Loopback(OtherPort());
  char byte = 'x';
  iovec part = {&byte, 1};
  msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = sizeof address;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return ::sendmsg(fd, &message, flags);
}
bool FastOpenByMessage() { return SendByMessage(TcpSocket(), MSG_FASTOPEN) >= 0; }
// As iperf3 3.21 does with --gsro.
bool SendMessage() { return SendByMessage(UdpSocket(), 0) == 1; }
bool ReceiveMessage() {
  msghdr message = {};
  return ::recvmsg(UdpSocket(), &message, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
bool SendMessages() { return Call(SYS_sendmmsg, STDOUT_FILENO, 0, 0, MSG_FASTOPEN) >= 0; }
bool ConnectElsewhere() { return ConnectTo(g_targets.other_port); }
bool ConnectServer() { return ConnectTo(g_targets.port); }
struct Option {
  int level;
  int option;
};

// The options that iperf3 sets and gets according to its source, independent of the filter's own
// table. The kernel need not accept the values.
constexpr Option kSetOnTcp[] = {
    {SOL_SOCKET, SO_KEEPALIVE},     {SOL_SOCKET, 47 /* SO_MAX_PACING_RATE */},
    {SOL_SOCKET, SO_RCVBUF},        {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_REUSEADDR},     {SOL_SOCKET, SO_SNDBUF},
    {IPPROTO_IP, IP_MTU_DISCOVER},  {IPPROTO_IP, IP_TOS},
    {IPPROTO_TCP, TCP_CONGESTION},  {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_KEEPIDLE},    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_MAXSEG},      {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_USER_TIMEOUT}};
constexpr Option kSetOnUdp[] = {{IPPROTO_UDP, 103 /* UDP_SEGMENT */},
                                {IPPROTO_UDP, 104 /* UDP_GRO */}};
constexpr Option kSetOnIpv6[] = {{IPPROTO_IPV6, IPV6_TCLASS},
                                 {IPPROTO_IPV6, 32 /* FLOWLABEL_MGR */},
                                 {IPPROTO_IPV6, 33 /* FLOWINFO_SEND */}};
constexpr Option kGet[] = {
    {SOL_SOCKET, SO_ERROR},        {SOL_SOCKET, SO_RCVBUF},      {SOL_SOCKET, SO_SNDBUF},
    {IPPROTO_TCP, TCP_CONGESTION}, {IPPROTO_TCP, TCP_INFO},      {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_KEEPIDLE},   {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_MAXSEG}};

bool Set(int fd, std::int64_t level, std::int64_t option) {
  long value[8] = {1};
  return Call(SYS_setsockopt, fd, level, option, Address(value), sizeof value) == 0;
}
bool Get(std::int64_t level, std::int64_t option) {
  char answer[512];
  socklen_t size = sizeof answer;
  return Call(SYS_getsockopt, TcpSocket(), level, option, Address(answer), Address(&size)) == 0;
}
// The result is irrelevant: the filter let the call through.
bool SetAll() {
  for (const auto& [level, option] : kSetOnTcp) static_cast<void>(Set(TcpSocket(), level, option));
  for (const auto& [level, option] : kSetOnUdp) static_cast<void>(Set(UdpSocket(), level, option));
  for (const auto& [level, option] : kSetOnIpv6) {
    static_cast<void>(Set(::socket(AF_INET6, SOCK_DGRAM, 0), level, option));
  }
  return true;
}
bool GetAll() {
  return std::all_of(std::begin(kGet), std::end(kGet),
                     [](const Option& asked) { return Get(asked.level, asked.option); });
}
bool AttachFilter() {
  sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program = {1, drop_all};
  return ::setsockopt(TcpSocket(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}
bool BindDevice() { return ::setsockopt(TcpSocket(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0; }
bool JoinGroup() { return Set(UdpSocket(), IPPROTO_IP, IP_ADD_MEMBERSHIP); }
bool JoinGroup6() { return Set(::socket(AF_INET6, SOCK_DGRAM, 0), IPPROTO_IPV6, IPV6_JOIN_GROUP); }
bool Broadcast() { return Set(UdpSocket(), SOL_SOCKET, SO_BROADCAST); }
bool Mark() { return Set(UdpSocket(), SOL_SOCKET, SO_MARK); }
bool EncapsulateUdp() { return Set(UdpSocket(), IPPROTO_UDP, 100 /* UDP_ENCAP */); }
bool SetProtocolOnTop() { return ::setsockopt(TcpSocket(), IPPROTO_TCP, TCP_ULP, "tls", 4) == 0; }
bool SetIpOptions() { return Set(TcpSocket(), IPPROTO_IP, IP_OPTIONS); }
bool Repair() { return Set(TcpSocket(), IPPROTO_TCP, 19 /* TCP_REPAIR */); }
// The kernel ignores the upper half of both arguments.
bool AttachFilterInLowerHalf() {
  constexpr std::int64_t kUpper = std::int64_t{1} << 40;
  return Set(TcpSocket(), SOL_SOCKET | kUpper, SO_ATTACH_FILTER | kUpper);
}
bool GetFilter() { return Get(SOL_SOCKET, SO_GET_FILTER); }
bool ReceiveByMapping() { return Get(IPPROTO_TCP, 35 /* TCP_ZEROCOPY_RECEIVE */); }
bool MapSocket() {
  return ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, TcpSocket(), 0) != MAP_FAILED;
}
bool GetPeerPidfd() { return Get(SOL_SOCKET, 77); }
bool GetPeerPidfdInLowerHalf() { return Get(SOL_SOCKET, 77 | (std::int64_t{1} << 40)); }
// Every descriptor of iperf3's own, up to the highest.
bool ShutOwn() {
  int fd = 0;
  while ((fd = ::socket(AF_INET, SOCK_DGRAM, 0)) >= 0) {
    const int on = 1;
    if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return false;
    if (::shutdown(fd, SHUT_RDWR) != 0 && errno != ENOTCONN) return false;
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return false;
    if (::lseek(fd, 0, SEEK_SET) >= 0 || errno != ESPIPE) return false;
  }
  return ::shutdown(-1, SHUT_RDWR) != 0 && errno == EBADF;
}
bool ShutError() { return ::shutdown(STDERR_FILENO, SHUT_RDWR) == 0 || errno == ENOTSOCK; }
bool ShutOutput() { return ::shutdown(STDOUT_FILENO, SHUT_RDWR) == 0 || errno == ENOTSOCK; }
bool SetErrorNonBlocking() { return ::fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0; }
bool SetErrorOption() {
  const int on = 1;
  return ::setsockopt(STDERR_FILENO, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 ||
         errno == ENOTSOCK;
}
bool BindTcp() {
  const sockaddr_in address = Loopback(0);
  const int fd = TcpSocket();
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}
bool Listen() { return ::listen(TcpSocket(), 1) == 0; }
bool Accept() { return ::accept(TcpSocket(), nullptr, nullptr) >= 0; }

bool Succeed() { return true; }

constexpr Attempt kAttempts[] = {
    {"netlink", Netlink},
    {"packet", Packet},
    {"unix", Unix},
    {"vsock", Vsock},
    {"raw", Raw},
    {"raw6", Raw6},
    {"sctp", Sctp},
    {"ping", Ping},
    {"ping6", Ping6},
    {"mptcp", MultipathTcp},
    {"tcp", Tcp},
    {"udp", Udp},
    {"fast-open", FastOpen},
    {"fast-connect", FastOpenConnect},
    {"fast-open-msg", FastOpenByMessage},
    {"sendmsg", SendMessage},
    {"recvmsg", ReceiveMessage},
    {"sendmmsg", SendMessages},
    {"connect-other", ConnectElsewhere},
    {"connect", ConnectServer},
    {"set-all", SetAll},
    {"get-all", GetAll},
    {"attach-filter", AttachFilter},
    {"attach-low", AttachFilterInLowerHalf},
    {"bind-device", BindDevice},
    {"join-group", JoinGroup},
    {"join-group6", JoinGroup6},
    {"broadcast", Broadcast},
    {"mark", Mark},
    {"udp-encap", EncapsulateUdp},
    {"tcp-ulp", SetProtocolOnTop},
    {"ip-options", SetIpOptions},
    {"repair", Repair},
    {"get-filter", GetFilter},
    {"receive-map", ReceiveByMapping},
    {"map-socket", MapSocket},
    {"get-pidfd", GetPeerPidfd},
    {"get-pidfd-low", GetPeerPidfdInLowerHalf},
    {"shut-own", ShutOwn},
    {"shut-error", ShutError},
    {"shut-output", ShutOutput},
    {"unblock-error", SetErrorNonBlocking},
    {"set-error", SetErrorOption},
    {"bind", BindTcp},
    {"listen", Listen},
    {"accept", Accept},
    {"", Succeed},
};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
