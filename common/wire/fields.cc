#include "common/wire/fields.h"

#include <algorithm>

namespace iperf3_exporter::wire {

void Fields::Text(const char* name, std::string& text, std::size_t max_bytes) {
  auto length = static_cast<std::uint16_t>(std::min(text.size(), max_bytes));
  Number(name, length, 0, static_cast<std::uint16_t>(max_bytes));
  text.resize(max_bytes);  // writing cuts or pads with zeros, reading overwrites it
  Transfer(name, text.data(), max_bytes);
  // Number() has recorded a length that is out of range but kept its value.
  text.resize(std::min<std::size_t>(length, max_bytes));
}

Status Fields::Check() const {
  if (bad_field_ == nullptr) return {};
  return MakeError(std::string("malformed frame: bad ") + bad_field_);
}

Status Fields::Finish() {
  Require(rest_.empty(), "trailing bytes");
  return Check();
}

}  // namespace iperf3_exporter::wire
