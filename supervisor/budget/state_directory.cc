#include "supervisor/budget/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/user_name.h"

namespace iperf3_exporter {
namespace {

// The directory, if it is safe to use.
Result<UniqueFd> OpenDirectory(const std::string& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return ErrnoError(path);
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return ErrnoError(path);
  if (status.st_uid != ::geteuid()) {
    return MakeError(path + ": belongs to " + UserText(status.st_uid) + ", expected " +
                     UserText(::geteuid()));
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return MakeError(path + ": other users can write to it, expected a mode such as 0700");
  }
  if (::faccessat(directory.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) return ErrnoError(path);
  return directory;
}

Status WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoError("write");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Status StateDirectory::Check(const std::string& path) {
  return OpenDirectory(path).map([](const UniqueFd&) {});
}

Result<StateDirectory> StateDirectory::Open(const std::string& path) {
  auto directory = OpenDirectory(path);
  if (!directory) return tl::unexpected(std::move(directory.error()));
  if (::flock(directory->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoError(path);
    return tl::unexpected(
        Error{.message = path + ": another exporter uses it, expected a directory of its own",
              .is_transient = true});
  }
  return StateDirectory(path, std::move(*directory));
}

Result<std::optional<std::string>> StateDirectory::Read(const std::string& name,
                                                        std::size_t max_bytes) const {
  const std::string where = path_ + '/' + name;
  const UniqueFd file(
      ::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return ErrnoError(where);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return ErrnoError(where);
  if (!S_ISREG(status.st_mode)) return MakeError(where + ": not a file");
  if (status.st_uid != ::geteuid()) {
    return MakeError(where + ": belongs to " + UserText(status.st_uid));
  }
  std::string content(max_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t got = ::read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(where);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > max_bytes) {
    return MakeError(where + ": larger than " + std::to_string(max_bytes) + " bytes");
  }
  content.resize(size);
  return content;
}

Status StateDirectory::Write(const std::string& name, std::string_view content) const {
  // What a crash leaves of it is overwritten by the next Write.
  const std::string temporary = '.' + name;
  const auto failed = [&](Error error) {
    ::unlinkat(directory_.get(), temporary.c_str(), 0);
    error.message.insert(0, path_ + '/' + name + ": ");
    return tl::unexpected(std::move(error));
  };
  UniqueFd file(::openat(directory_.get(), temporary.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed(ErrnoError("open").value());
  if (Status status = WriteAll(file.get(), content); !status) return failed(status.error());
  // The content must be on the disk before the name refers to it.
  if (::fsync(file.get()) != 0) return failed(ErrnoError("fsync").value());
  if (::renameat(directory_.get(), temporary.c_str(), directory_.get(), name.c_str()) != 0) {
    return failed(ErrnoError("rename").value());
  }
  if (::fsync(directory_.get()) != 0) return failed(ErrnoError("fsync").value());
  return {};
}

}  // namespace iperf3_exporter
