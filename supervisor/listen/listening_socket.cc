#include "supervisor/listen/listening_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <utility>

namespace iperf3_exporter {
namespace {

constexpr std::string_view kMappedPrefix = "::ffff:";

void SetOption(int fd, int level, int option, int value) {
  // Best effort: none of the options is necessary.
  [[maybe_unused]] const int ignored = ::setsockopt(fd, level, option, &value, sizeof value);
}

// Options that accepted TCP sockets inherit. UNIX sockets do not inherit them, and need neither.
void SetInheritedOptions(int fd) {
  // Without it each TLS response waits for a delayed ACK.
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // Limits what the kernel buffers for a client that does not read; a usual page fits.
  constexpr int kSendBufferBytes = 64 << 10;
  SetOption(fd, SOL_SOCKET, SO_SNDBUF, kSendBufferBytes);
}

UniqueFd MakeSocket(int family) {
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// Whether the socket file refuses connections because nobody listens on it.
bool IsStaleSocketFile(const ListenAddress& address) {
  struct stat status {};
  if (::lstat(address.UnixPath().c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const UniqueFd client = MakeSocket(AF_UNIX);
  return client &&
         ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address.address),
                   address.length) != 0 &&
         errno == ECONNREFUSED;
}

bool Bind(int fd, const ListenAddress& address) {
  const auto* name = reinterpret_cast<const sockaddr*>(&address.address);
  if (::bind(fd, name, address.length) == 0) return true;
  if (errno != EADDRINUSE || !address.IsUnix()) return false;
  if (!IsStaleSocketFile(address)) {
    errno = EADDRINUSE;
    return false;
  }
  return ::unlink(address.UnixPath().c_str()) == 0 && ::bind(fd, name, address.length) == 0;
}

// Whether deleting the file needs another user: in a sticky directory only the owner of the file or
// of the directory may (unlink(2)).
bool BelongsToAnother(const std::string& directory, const struct stat& file) {
  struct stat parent {};
  const uid_t user = ::geteuid();
  return user != 0 && ::stat(directory.c_str(), &parent) == 0 && (parent.st_mode & S_ISVTX) != 0 &&
         file.st_uid != user && parent.st_uid != user;
}

std::string ErrorPrefix(const ListenAddress& address) { return "listen on " + address.text; }

// Some file systems hold no sockets, such as proc, and some are full.
Status TryCreateSocketFile(const ListenAddress& address, const std::string& directory) {
  const std::string path = directory + ".iperf3_exporter.check." + std::to_string(::getpid());
  if (::mknod(path.c_str(), S_IFSOCK | S_IRUSR | S_IWUSR, 0) != 0) {
    return ErrnoError(ErrorPrefix(address));
  }
  ::unlink(path.c_str());
  return {};
}

// With a slash at the end, only a directory passes.
std::string DirectoryOf(const ListenAddress& address) {
  return std::filesystem::path(address.UnixPath()).parent_path().string() + '/';
}

Status CheckSocketFile(const ListenAddress& address) {
  if (!address.IsUnix()) return {};
  struct stat status {};
  const std::string path = address.UnixPath();
  const std::string directory = DirectoryOf(address);
  const bool exists = ::lstat(path.c_str(), &status) == 0;
  if (exists && !S_ISSOCK(status.st_mode)) {
    return MakeError(ErrorPrefix(address) + ": the file exists and is not a socket");
  }
  // Without this right, connect(2) would not tell whether anybody listens on it.
  if ((exists && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) ||
      ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return ErrnoError(ErrorPrefix(address));
  }
  if (exists && BelongsToAnother(directory, status) && IsStaleSocketFile(address)) {
    return MakeError(ErrnoText(ErrorPrefix(address), EPERM));
  }
  return {};
}

// The same port on all IPv4 addresses, for a kernel without IPv6.
Result<ListeningSocket> OpenAnyIpv4(const ListenAddress& any) {
  const in_port_t port = reinterpret_cast<const sockaddr_in6*>(&any.address)->sin6_port;
  auto address = ParseListenAddress("0.0.0.0:" + std::to_string(ntohs(port)));
  return address.and_then(ListeningSocket::Open);
}

}  // namespace

Status ListeningSocket::Check(const ListenAddress& address) {
  Status status = CheckSocketFile(address);
  struct stat file {};
  if (!status || !address.IsUnix() || ::lstat(address.UnixPath().c_str(), &file) == 0) {
    return status;
  }
  return TryCreateSocketFile(address, DirectoryOf(address));
}

Result<ListeningSocket> ListeningSocket::Open(const ListenAddress& address) {
  if (Status checked = CheckSocketFile(address); !checked) return tl::unexpected(checked.error());
  const std::string what = ErrorPrefix(address);
  UniqueFd fd = MakeSocket(address.address.ss_family);
  if (!fd && errno == EAFNOSUPPORT && address.any_family) return OpenAnyIpv4(address);
  if (!fd) return ErrnoError(what);
  if (!address.IsUnix()) SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.address.ss_family == AF_INET6) {
    SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, address.any_family ? 0 : 1);
  }
  SetInheritedOptions(fd.get());
  if (!Bind(fd.get(), address)) {
    if (errno == EADDRNOTAVAIL && address.any_family) return OpenAnyIpv4(address);
    if (errno == EACCES && !address.IsUnix()) {
      return MakeError(ErrnoText(what, errno) +
                       "; a port below 1024 needs a socket unit or CAP_NET_BIND_SERVICE");
    }
    return ErrnoError(what);
  }
  ListeningSocket result(std::move(fd));
  if (address.IsUnix()) {
    struct stat status {};
    if (::lstat(address.UnixPath().c_str(), &status) == 0) {
      result.unix_path_ = address.UnixPath();
      result.device_ = status.st_dev;
      result.inode_ = status.st_ino;
    }
  }
  if (::listen(result.fd(), SOMAXCONN) != 0) return ErrnoError(what);
  return result;
}

int ListeningSocket::CountFromSystemd() { return ::sd_listen_fds(/*unset_environment=*/0); }

Result<std::vector<ListeningSocket>> ListeningSocket::AdoptFromSystemd() {
  const int count = ::sd_listen_fds(/*unset_environment=*/1);
  if (count < 0) {
    errno = -count;
    return ErrnoError("LISTEN_FDS");
  }
  if (count == 0)
    return MakeError(
        "systemd passed no listening socket (LISTEN_FDS): start the socket unit instead of the "
        "service");
  std::vector<ListeningSocket> sockets;
  for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; ++fd) {
    if (::sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, /*listening=*/1) <= 0) {
      return MakeError("descriptor " + std::to_string(fd) +
                       " from systemd is not a listening stream socket");
    }
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return ErrnoError("fcntl on a socket from systemd");
    }
    SetInheritedOptions(fd);
    sockets.push_back(ListeningSocket(UniqueFd(fd)));
  }
  return sockets;
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::move(other.fd_)),
      unix_path_(std::exchange(other.unix_path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

ListeningSocket::~ListeningSocket() {
  struct stat status {};
  if (!unix_path_.empty() && ::lstat(unix_path_.c_str(), &status) == 0 &&
      status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(unix_path_.c_str());
  }
}

std::string ListeningSocket::Name() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* name = reinterpret_cast<sockaddr*>(&address);
  if (::getsockname(fd(), name, &length) != 0) return ErrnoText("getsockname", errno);
  return SocketAddressText(name, length);
}

std::string SocketAddressText(const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_UNIX) {
    if (length <= offsetof(sockaddr_un, sun_path)) return "unix";
    const std::string_view path(reinterpret_cast<const sockaddr_un*>(address)->sun_path,
                                length - offsetof(sockaddr_un, sun_path));
    return "unix:" + std::string(path.substr(0, path.find('\0')));
  }
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(address, length, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  std::string text = host.data();
  if (text.starts_with(kMappedPrefix) && text.find('.') != std::string::npos) {
    text.erase(0, kMappedPrefix.size());
  } else if (address->sa_family == AF_INET6) {
    text = '[' + text + ']';
  }
  return text + ':' + port.data();
}

}  // namespace iperf3_exporter
