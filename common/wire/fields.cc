#include "common/wire/fields.h"

#include <algorithm>

namespace iperf3_exporter::wire {

void Fields::Text(const char* name, std::string& text, std::size_t max_bytes) {
  auto length = static_cast<std::uint16_t>(std::min(text.size(), max_bytes));
  Number(name, length, 0, static_cast<std::uint16_t>(max_bytes));
  text.resize(length);
  text.resize(max_bytes);  // zeros behind the text
  Copy(name, text.data(), max_bytes);
  text.resize(std::min<std::size_t>(length, max_bytes));
}

Status Fields::Check() const {
  if (wrong_ == nullptr) return {};
  return MakeError(std::string("wrong frame: ") + wrong_);
}

Status Fields::Finish() {
  Require(rest_.empty(), "trailing bytes");
  return Check();
}

}  // namespace iperf3_exporter::wire
