#include "common/program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace iperf3_exporter {

tl::expected<UniqueFd, ProgramError> OpenProgram(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return tl::unexpected(ProgramError::kNotReadable);
  if (!S_ISREG(status.st_mode) ||
      ::faccessat(fd.get(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) {
    return tl::unexpected(ProgramError::kNotExecutable);
  }
  char magic[SELFMAG] = {};
  if (::pread(fd.get(), magic, sizeof magic, 0) != sizeof magic ||
      std::memcmp(magic, ELFMAG, SELFMAG) != 0) {
    return tl::unexpected(ProgramError::kNotElf);
  }
  return fd;
}

}  // namespace iperf3_exporter
