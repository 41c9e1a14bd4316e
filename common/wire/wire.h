// The messages of messages.h as bytes. The layout is fixed and has one version, because the two
// programs are installed together. The receiver checks every field. After a frame that Decode
// refuses the supervisor kills the worker, and the worker exits.
//
// A frame is one SOCK_SEQPACKET datagram. All frames of a type have the same length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/error.h"
#include "common/wire/messages.h"

namespace iperf3_exporter::wire {

inline constexpr std::uint16_t kVersion = 7;

// The maximum in both directions. A receiver's buffer has one byte more to detect longer frames.
inline constexpr std::size_t kMaxFrameBytes = 4096;

using Bytes = std::span<const std::byte>;
using Frame = std::vector<std::byte>;

// A text longer than its field is cut. All other values must be in range.
[[nodiscard]] Frame Encode(const WorkerConfig& config);
[[nodiscard]] Frame Encode(const Job& job);
[[nodiscard]] Frame Encode(const Cancel& cancel);
[[nodiscard]] Frame Encode(const WorkerReady& ready);
[[nodiscard]] Frame Encode(const SetUpFailed& failed);
[[nodiscard]] Frame Encode(const Started& started);
[[nodiscard]] Frame Encode(const Finished& finished);
[[nodiscard]] Frame Encode(const NotStarted& not_started);

// Pure. The error names the first invalid field.
[[nodiscard]] Result<Command> DecodeCommand(Bytes frame);
[[nodiscard]] Result<Event> DecodeEvent(Bytes frame);

}  // namespace iperf3_exporter::wire
