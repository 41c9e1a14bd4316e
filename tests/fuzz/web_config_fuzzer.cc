// The web configuration file: any bytes are accepted or refused with a message.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "supervisor/config/web_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = iperf3_exporter::ParseWebConfig(text, "web.yml");
  if (!config && !config.error().message.starts_with("web.yml:")) std::abort();
  return 0;
}
