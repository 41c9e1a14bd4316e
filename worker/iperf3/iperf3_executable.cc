#include "worker/iperf3/iperf3_executable.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace iperf3_exporter {

Result<UniqueFd> OpenIperf3(const std::string& path) {
  // O_NONBLOCK: a FIFO in its place must not hold us up.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError(path);
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) return ErrnoError(path);
  if (!S_ISREG(status.st_mode)) return MakeError(path + ": not a regular file");
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return MakeError(path + ": belongs to another user");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return MakeError(path + ": can be written by others than its owner");
  }
  if (::faccessat(fd.get(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) {
    return ErrnoError(path + ": not executable");
  }
  char magic[SELFMAG] = {};
  if (::pread(fd.get(), magic, sizeof magic, 0) != sizeof magic ||
      std::memcmp(magic, ELFMAG, SELFMAG) != 0) {
    return MakeError(path + ": not an ELF program");
  }
  return fd;
}

}  // namespace iperf3_exporter
