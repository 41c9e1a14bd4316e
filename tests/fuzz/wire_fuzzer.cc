// Any bytes as a frame are refused, or decode to a message that survives encoding and decoding.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <variant>

#include "common/wire/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace wire = iperf3_exporter::wire;
  const wire::Bytes frame = std::as_bytes(std::span(data, size));
  if (const auto command = wire::DecodeCommand(frame)) {
    const auto again =
        wire::DecodeCommand(std::visit([](const auto& m) { return wire::Encode(m); }, *command));
    if (!again || !(*again == *command)) std::abort();
  }
  if (const auto event = wire::DecodeEvent(frame)) {
    const auto again =
        wire::DecodeEvent(std::visit([](const auto& m) { return wire::Encode(m); }, *event));
    if (!again || !(*again == *event)) std::abort();
  }
  return 0;
}
