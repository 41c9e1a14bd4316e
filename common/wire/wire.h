// The messages of messages.h as bytes, both ends in one file. Fixed layout, one version: the
// two programs are installed together. The receiver checks every field; a frame that Decode
// refuses ends the conversation (the supervisor kills the worker, the worker exits).
//
// One frame is one SOCK_SEQPACKET datagram; its length is its type's frame size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/error.h"
#include "common/wire/messages.h"

namespace iperf3_exporter::wire {

inline constexpr std::uint16_t kVersion = 2;

// The maximum of both directions. A receiver's buffer has one byte more, so that an oversize frame
// is detected.
inline constexpr std::size_t kMaxFrameBytes = 4096;

using Bytes = std::span<const std::byte>;
using Frame = std::vector<std::byte>;

// Texts longer than their field are cut; everything else must be in range.
[[nodiscard]] Frame Encode(const WorkerConfig& config);
[[nodiscard]] Frame Encode(const Job& job);
[[nodiscard]] Frame Encode(const Cancel& cancel);
[[nodiscard]] Frame Encode(const WorkerReady& ready);
[[nodiscard]] Frame Encode(const SetUpFailed& failed);
[[nodiscard]] Frame Encode(const Started& started);
[[nodiscard]] Frame Encode(const Finished& finished);
[[nodiscard]] Frame Encode(const NotStarted& not_started);

// Pure. The error names the first field that is wrong.
[[nodiscard]] Result<Command> DecodeCommand(Bytes frame);
[[nodiscard]] Result<Event> DecodeEvent(Bytes frame);

}  // namespace iperf3_exporter::wire
