#include "supervisor/config/program_paths.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "common/build_info.h"
#include "common/program_file.h"

namespace iperf3_exporter {
namespace {

std::string DirectoryOfThisProgram() {
  std::array<char, 4096> link{};
  const ssize_t length = ::readlink("/proc/self/exe", link.data(), link.size());
  if (length <= 0) return {};
  const std::string_view path(link.data(), static_cast<std::size_t>(length));
  return std::string(path.substr(0, path.rfind('/')));
}

}  // namespace

std::string FindOnPath(const std::string& name) {
  const char* const variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
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

std::string ExpectedProgram(const std::string& path) {
  const auto program = OpenProgram(path);
  if (program) return {};
  switch (program.error()) {
    case ProgramError::kNotReadable:
      return "a file that exists and can be read";
    case ProgramError::kNotExecutable:
      return "an executable file";
    case ProgramError::kNotElf:
      break;
  }
  return "an ELF program, not a script";
}

}  // namespace iperf3_exporter
