// The messages between supervisor and worker, both ends in one file. Fixed layout,
// one version: the two programs are installed together. The receiver checks every
// field and takes nothing on trust; a frame that Decode refuses ends the
// conversation (the supervisor kills the worker, the worker exits).
//
//   supervisor -> worker   Configure (once, first), Run (only when idle), Cancel
//   worker -> supervisor   Ready (once, first), Result (once for each Run)
//
// One frame is one SOCK_SEQPACKET datagram; its length is its type's frame size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/error.h"
#include "common/wire/job.h"

namespace iperf3_exporter::wire {

inline constexpr std::uint16_t kVersion = 1;

// No frame of either direction is longer; a receiver's buffer has one byte more, so
// that an oversize frame shows.
inline constexpr std::size_t kMaxFrameBytes = 4096;

using Bytes = std::span<const std::byte>;
using Frame = std::vector<std::byte>;

struct Cancel {
  std::uint64_t job_id = 0;

  bool operator==(const Cancel&) const = default;
};

using Command = std::variant<WorkerConfig, Job, Cancel>;
using Event = std::variant<WorkerReady, JobResult>;

// Texts longer than their field are cut; everything else must be in range.
[[nodiscard]] Frame Encode(const WorkerConfig& config);
[[nodiscard]] Frame Encode(const Job& job);
[[nodiscard]] Frame Encode(const Cancel& cancel);
[[nodiscard]] Frame Encode(const WorkerReady& ready);
[[nodiscard]] Frame Encode(const JobResult& result);

// Pure. Fails with the name of the first field that is wrong.
[[nodiscard]] Result<Command> DecodeCommand(Bytes frame);
[[nodiscard]] Result<Event> DecodeEvent(Bytes frame);

}  // namespace iperf3_exporter::wire
