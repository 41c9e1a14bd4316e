// The configuration file: any bytes are accepted or refused with a message, and what is accepted is
// shown as a file that is accepted.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "supervisor/config/config_file.h"
#include "supervisor/config/modules_page.h"
#include "supervisor/probe/own_test_request.h"
#include "supervisor/probe/probe_request.h"

namespace {

using namespace iperf3_exporter;

Result<Modules> Parse(std::string_view text) {
  auto modules = ParseConfigFile(text, "config.yml", Options());
  if (!modules) return modules;
  Status checked = CheckModules(*modules, nullptr);
  if (checked) checked = CheckOwnTests(*modules, nullptr);
  if (!checked) return tl::unexpected(checked.error());
  return modules;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto modules = Parse({reinterpret_cast<const char*>(data), size});
  if (!modules) {
    if (!modules.error().message.starts_with("config.yml:")) std::abort();
    return 0;
  }
  const std::string page = FormatModules(*modules);
  const auto again = Parse(page);
  if (!again || FormatModules(*again) != page) std::abort();
  return 0;
}
