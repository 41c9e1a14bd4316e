#include "common/wire/frame.h"

#include <cstring>

namespace iperf3_exporter::wire {
namespace {

constexpr std::uint32_t kMagic = 0x69706633;  // "ipf3"
constexpr std::size_t kLengthOffset = 8;      // after magic, version and type

}  // namespace

Writer Begin(Type type) {
  Writer out(kMaxFrameBytes);
  out.Put(kMagic);
  out.Put(kVersion);
  out.Put(static_cast<std::uint16_t>(type));
  out.Put(std::uint32_t{0});  // the frame's length, set by End
  return out;
}

Frame End(Writer out) {
  Frame frame = out.Take();
  const auto length = static_cast<std::uint32_t>(frame.size());
  std::memcpy(frame.data() + kLengthOffset, &length, sizeof length);
  return frame;
}

Result<Type> ReadHeader(Reader& in, std::size_t frame_bytes) {
  if (in.Get<std::uint32_t>("magic") != kMagic) return MakeError("wrong frame: magic");
  const auto version = in.Get<std::uint16_t>("version");
  if (version != kVersion) {
    return MakeError("wrong frame: version " + std::to_string(version) + ", not " +
                     std::to_string(kVersion));
  }
  const auto type = in.Get<std::uint16_t>("type");
  if (in.Get<std::uint32_t>("length") != frame_bytes || frame_bytes > kMaxFrameBytes) {
    return MakeError("wrong frame: length");
  }
  return static_cast<Type>(type);
}

}  // namespace iperf3_exporter::wire
