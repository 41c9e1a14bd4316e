// The socket options that iperf3 3.9 to 3.21 uses as a client, each with its reason. The filters
// deny all others: some attach BPF programs to a socket, join multicast groups, change the protocol
// or return a descriptor.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "worker/sandbox/syscall_table.h"

namespace iperf3_exporter {

enum class OptionUse : std::uint8_t { kGet, kSet, kBoth };

struct SocketOption {
  int level;
  int option;
  OptionUse use;
  std::string_view reason;
};

// Copied from linux/in6.h and linux/udp.h, which can't be included together with libc's headers.
inline constexpr int kIpv6FlowLabelManager = 32;
inline constexpr int kIpv6FlowInfoSend = 33;
inline constexpr int kUdpSegment = 103;
inline constexpr int kUdpGro = 104;

inline constexpr std::array kSocketOptions = {
    SocketOption{SOL_SOCKET, kDeviceOptionPlaceholder, OptionUse::kSet,
                 "--bind-dev, if a job asks for it"},
    SocketOption{SOL_SOCKET, SO_ERROR, OptionUse::kGet, "result of a connect with a timeout"},
    SocketOption{SOL_SOCKET, SO_KEEPALIVE, OptionUse::kSet, "--cntl-ka, from 3.19"},
    SocketOption{SOL_SOCKET, SO_MAX_PACING_RATE, OptionUse::kSet, "--fq-rate"},
    SocketOption{SOL_SOCKET, SO_RCVBUF, OptionUse::kBoth, "--window; the report states the size"},
    SocketOption{SOL_SOCKET, SO_RCVTIMEO, OptionUse::kSet, "the first datagram of a UDP stream"},
    SocketOption{SOL_SOCKET, SO_REUSEADDR, OptionUse::kSet, "--bind, --cport"},
    SocketOption{SOL_SOCKET, SO_SNDBUF, OptionUse::kBoth, "--window; the report states the size"},
    SocketOption{IPPROTO_IP, IP_MTU_DISCOVER, OptionUse::kSet, "--dont-fragment"},
    SocketOption{IPPROTO_IP, IP_TOS, OptionUse::kSet, "--tos, --dscp"},
    SocketOption{IPPROTO_IPV6, IPV6_TCLASS, OptionUse::kSet, "--tos, --dscp"},
    SocketOption{IPPROTO_IPV6, kIpv6FlowInfoSend, OptionUse::kSet, "--flowlabel"},
    SocketOption{IPPROTO_IPV6, kIpv6FlowLabelManager, OptionUse::kSet, "--flowlabel"},
    SocketOption{IPPROTO_TCP, TCP_CONGESTION, OptionUse::kBoth,
                 "--congestion; the report states which"},
    SocketOption{IPPROTO_TCP, TCP_INFO, OptionUse::kGet, "retransmits, round-trip time, window"},
    SocketOption{IPPROTO_TCP, TCP_KEEPCNT, OptionUse::kBoth, "--cntl-ka, from 3.19"},
    SocketOption{IPPROTO_TCP, TCP_KEEPIDLE, OptionUse::kBoth, "--cntl-ka, from 3.19"},
    SocketOption{IPPROTO_TCP, TCP_KEEPINTVL, OptionUse::kBoth, "--cntl-ka, from 3.19"},
    SocketOption{IPPROTO_TCP, TCP_MAXSEG, OptionUse::kBoth,
                 "--set-mss; the report states the size"},
    SocketOption{IPPROTO_TCP, TCP_NODELAY, OptionUse::kSet, "control connection; --no-delay"},
    SocketOption{IPPROTO_TCP, TCP_USER_TIMEOUT, OptionUse::kSet, "--snd-timeout, from 3.12"},
    SocketOption{IPPROTO_UDP, kUdpGro, OptionUse::kSet, "--gsro, from 3.21"},
    SocketOption{IPPROTO_UDP, kUdpSegment, OptionUse::kSet, "--gsro, from 3.21"},
};

}  // namespace iperf3_exporter
