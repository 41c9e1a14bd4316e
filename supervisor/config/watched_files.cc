#include "supervisor/config/watched_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/unique_fd.h"
#include "common/user_name.h"

namespace iperf3_exporter {

Result<std::string> ReadConfigFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    const int error_number = errno;
    const std::string reader = error_number == EACCES ? " for " + UserText(::geteuid()) : "";
    return MakeError(ErrnoText(path, error_number) + reader);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return ErrnoError(path);
  if (!S_ISREG(status.st_mode)) return MakeError(path + ": not a file");
  std::string text;
  std::array<char, 16384> chunk;
  while (true) {
    const auto got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0) return ErrnoError(path);
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxConfigBytes) {
      return MakeError(path + ": larger than " + std::to_string(kMaxConfigBytes) + " bytes");
    }
  }
}

Result<std::string> WatchedFiles::Read(const std::string& path) {
  State state = StateOf(path);
  auto text = ReadConfigFile(path);
  // A size that no file has, so that HaveChanged returns true.
  if (text && static_cast<off_t>(text->size()) != state.size) state.size = -1;
  files_.emplace_back(path, state);
  return text;
}

bool WatchedFiles::HaveChanged() const {
  return std::ranges::any_of(files_,
                             [](const auto& file) { return StateOf(file.first) != file.second; });
}

WatchedFiles::State WatchedFiles::StateOf(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev,
          status.st_ino,
          status.st_size,
          {status.st_mtim.tv_sec, status.st_mtim.tv_nsec},
          {status.st_ctim.tv_sec, status.st_ctim.tv_nsec}};
}

}  // namespace iperf3_exporter
