#include "worker/sandbox/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>

namespace iperf3_exporter {
namespace {

using enum OptionUse;

// linux/in6.h and linux/udp.h, which do not go together with the headers of libc.
constexpr int kIpv6FlowLabelManager = 32;
constexpr int kIpv6FlowInfoSend = 33;
constexpr int kUdpSegment = 103;
constexpr int kUdpGro = 104;

constexpr std::array kOptions = {
    SocketOption{SOL_SOCKET, SO_ERROR, kGet, "result of a connect with a timeout"},
    SocketOption{SOL_SOCKET, SO_KEEPALIVE, kSet, "--cntl-ka, from 3.19"},
    SocketOption{SOL_SOCKET, SO_MAX_PACING_RATE, kSet, "--fq-rate"},
    SocketOption{SOL_SOCKET, SO_RCVBUF, kBoth, "--window; the report tells the size"},
    SocketOption{SOL_SOCKET, SO_RCVTIMEO, kSet, "the first datagram of a UDP stream"},
    SocketOption{SOL_SOCKET, SO_REUSEADDR, kSet, "--bind, --cport"},
    SocketOption{SOL_SOCKET, SO_SNDBUF, kBoth, "--window; the report tells the size"},
    SocketOption{IPPROTO_IP, IP_MTU_DISCOVER, kSet, "--dont-fragment"},
    SocketOption{IPPROTO_IP, IP_TOS, kSet, "--tos, --dscp"},
    SocketOption{IPPROTO_IPV6, IPV6_TCLASS, kSet, "--tos, --dscp"},
    SocketOption{IPPROTO_IPV6, kIpv6FlowInfoSend, kSet, "--flowlabel"},
    SocketOption{IPPROTO_IPV6, kIpv6FlowLabelManager, kSet, "--flowlabel"},
    SocketOption{IPPROTO_TCP, TCP_CONGESTION, kBoth, "--congestion; the report tells which"},
    SocketOption{IPPROTO_TCP, TCP_INFO, kGet, "retransmits, round-trip time, window"},
    SocketOption{IPPROTO_TCP, TCP_KEEPCNT, kBoth, "--cntl-ka, from 3.19"},
    SocketOption{IPPROTO_TCP, TCP_KEEPIDLE, kBoth, "--cntl-ka, from 3.19"},
    SocketOption{IPPROTO_TCP, TCP_KEEPINTVL, kBoth, "--cntl-ka, from 3.19"},
    SocketOption{IPPROTO_TCP, TCP_MAXSEG, kBoth, "--set-mss; the report tells the size"},
    SocketOption{IPPROTO_TCP, TCP_NODELAY, kSet, "control connection; --no-delay"},
    SocketOption{IPPROTO_TCP, TCP_USER_TIMEOUT, kSet, "--snd-timeout, from 3.12"},
    SocketOption{IPPROTO_UDP, kUdpGro, kSet, "--gsro, from 3.21"},
    SocketOption{IPPROTO_UDP, kUdpSegment, kSet, "--gsro, from 3.21"},
};

}  // namespace

std::span<const SocketOption> SocketOptions() { return kOptions; }

}  // namespace iperf3_exporter
