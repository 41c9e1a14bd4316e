// What every frame begins with: magic, version, type and length. Internal to the wire.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "common/error.h"
#include "common/wire/frame_fields.h"
#include "common/wire/wire.h"

namespace iperf3_exporter::wire {

enum class Type : std::uint16_t {
  kConfigure = 1,
  kRun,
  kCancel,
  kReady,
  kSetUpFailed,
  kStarted,
  kMeasured,  // Finished with a measurement
  kFailed,    // Finished with a failure
  kNotStarted,
};

[[nodiscard]] Writer Begin(Type type);
[[nodiscard]] Frame End(Writer out);

// The type of a frame whose header is right.
[[nodiscard]] Result<Type> ReadHeader(Reader& in, std::size_t frame_bytes);

// The message, if all of its frame was read and every field was right.
template <typename Variant, typename Value>
[[nodiscard]] Result<Variant> Checked(Reader& in, Value value) {
  if (const char* wrong = in.Finish()) return MakeError(std::string("wrong frame: ") + wrong);
  return Variant(std::move(value));
}

}  // namespace iperf3_exporter::wire
