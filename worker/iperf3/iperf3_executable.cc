#include "worker/iperf3/iperf3_executable.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "common/program_file.h"

namespace iperf3_exporter {

Result<UniqueFd> OpenIperf3(const std::string& path) {
  auto program = OpenProgram(path);
  if (!program) {
    switch (program.error()) {
      case ProgramError::kNotReadable:
        return ErrnoError(path);
      case ProgramError::kNotExecutable:
        return MakeError(path + ": not executable");
      case ProgramError::kNotElf:
        return MakeError(path + ": not an ELF program");
    }
  }
  struct stat status = {};
  if (::fstat(program->get(), &status) != 0) return ErrnoError(path);
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return MakeError(path + ": belongs to another user");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return MakeError(path + ": is writable by group or others");
  }
  return std::move(*program);
}

Result<FileIdentity> IdentityOf(int program_fd) {
  struct stat status = {};
  if (::fstat(program_fd, &status) != 0) return ErrnoError("iperf3");
  const auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return FileIdentity{.device = status.st_dev,
                      .inode = status.st_ino,
                      .bytes = static_cast<std::uint64_t>(status.st_size),
                      .modified_ns = nanoseconds(status.st_mtim),
                      .changed_ns = nanoseconds(status.st_ctim)};
}

}  // namespace iperf3_exporter
