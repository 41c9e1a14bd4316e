#include "supervisor/config/program_paths.h"

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "common/build_info.h"
#include "common/program_file.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

std::string DirectoryOfThisProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace

std::string FindOnPath(const std::string& name) {
  const char* const variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::string_view directory = TakeUntil(':', rest);
    if (!directory.starts_with('/')) continue;
    std::string path = std::string(directory) + '/' + name;
    if (OpenProgram(path)) return path;
  }
  return {};
}

std::string FindWorker() {
  for (const std::string& directory : {DirectoryOfThisProgram(), std::string(kLibexecDir)}) {
    std::string path = directory + "/iperf3_exporter_worker";
    if (OpenProgram(path)) return path;
  }
  return {};
}

}  // namespace iperf3_exporter
