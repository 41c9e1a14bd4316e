// A pair of connected SOCK_SEQPACKET Unix sockets: one frame, one datagram.
#pragma once

#include <utility>

#include "common/error.h"
#include "common/unique_fd.h"
#include "common/wire/wire.h"

namespace iperf3_exporter {

// The descriptor of a worker's end in the worker.
inline constexpr int kWorkerSocketFd = 3;

// Both ends are close-on-exec. `.first`, for the event loop, is non-blocking. `.second`, for a
// worker, is blocking.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> CreateSeqpacketPair();

// Sends one frame, without SIGPIPE. A full non-blocking socket is an error, because the protocol
// never has more than a few frames in transit.
[[nodiscard]] Status SendFrame(int fd, const wire::Frame& frame);

enum class ReceiveOutcome { kFrame, kWouldBlock, kClosed, kFailed };

// Receives one frame. Descriptors that are sent with it are discarded. A datagram longer than
// wire::kMaxFrameBytes is kFailed. kWouldBlock: only with a non-blocking socket or `dont_wait`.
[[nodiscard]] ReceiveOutcome ReceiveFrame(int fd, wire::Frame& frame, bool dont_wait);

}  // namespace iperf3_exporter
