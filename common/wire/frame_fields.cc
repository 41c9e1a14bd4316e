#include "common/wire/frame_fields.h"

namespace iperf3_exporter::wire {

void Writer::PutText(std::string_view text, std::size_t field_bytes) {
  text = text.substr(0, field_bytes);
  Put(static_cast<std::uint16_t>(text.size()));
  const auto* from = reinterpret_cast<const std::byte*>(text.data());
  bytes_.insert(bytes_.end(), from, from + text.size());
  bytes_.resize(bytes_.size() + (field_bytes - text.size()));
}

std::string Reader::GetText(const char* field, std::size_t field_bytes) {
  const auto length = Get<std::uint16_t>(field);
  if (length > field_bytes) Fail(field);
  if (failed_ != nullptr || rest_.size() < field_bytes) {
    Fail(field);
    return {};
  }
  std::string text(reinterpret_cast<const char*>(rest_.data()), length);
  rest_ = rest_.subspan(field_bytes);
  return text;
}

}  // namespace iperf3_exporter::wire
