// A stand-in for a compromised iperf3: attempts one forbidden action with a file or with the lock,
// or its permitted counterpart.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "tests/helpers/stand_in.h"

namespace {

using namespace iperf3_exporter::stand_in;

// Files that the test has created. The port in their names identifies the test.
struct Path {
  explicit Path(const char* format) { std::snprintf(text, sizeof text, format, g_targets.port); }
  char text[256];
};
constexpr char kKey[] = "/tmp/hostile_iperf3.%d/key.pem";  // world-readable
constexpr char kOwn[] = "/tmp/hostile_iperf3.%d/own";      // owned by our user
constexpr char kLock[] = "/dev/shm/hostile_iperf3.%d@host";

// Each returns true if it succeeded; errno has the reason otherwise.

bool Open(const char* path, int flags) {
  const int fd = ::open(path, flags, 0600);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}
bool OpenPasswd() { return Open("/etc/passwd", O_RDONLY); }
bool OpenKey() { return Open(Path(kKey).text, O_RDONLY); }
bool OpenMemory() { return Open("/proc/self/mem", O_RDONLY); }
bool WriteMemory() { return Open("/proc/self/mem", O_RDWR); }
// Descriptors that both workers have open, including their sockets and the lock. Opening any of
// them is a success.
bool OpenWorkerFd() {
  for (const pid_t pid : {g_targets.worker, g_targets.other_worker}) {
    for (const int fd : {0, 1, 2, 3, 768}) {
      char path[64];
      std::snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
      if (Open(path, O_RDONLY)) return true;
    }
  }
  return false;
}
bool OpenWorkerMemory() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/mem", g_targets.worker);
  return Open(path, O_RDONLY);
}
bool OpenOwnToWrite() { return Open(Path(kOwn).text, O_WRONLY); }
bool OpenTruncating() { return Open(Path(kOwn).text, O_RDONLY | O_TRUNC); }
bool OpenOwnToCreate() { return Open(Path(kOwn).text, O_RDWR | O_CREAT); }
bool OpenDevice() { return Open("/dev/zero", O_RDONLY); }
bool ListDirectory() {
  static char entries[4096];
  return Call(SYS_getdents64, STDIN_FILENO, Address(entries), sizeof entries) >= 0;
}
bool CreateElsewhere() {
  return Open(Path("/tmp/hostile_iperf3.%d/new").text, O_RDWR | O_CREAT | O_EXCL);
}
bool CreateInDev() {
  return Open(Path("/dev/shm/hostile_iperf3.%d.new").text, O_RDWR | O_CREAT | O_EXCL);
}
bool UnlinkOwn() { return ::unlink(Path(kOwn).text) == 0; }
bool UnlinkOwnAt() { return ::unlinkat(AT_FDCWD, Path(kOwn).text, 0) == 0; }
bool UnlinkLock() { return ::unlink(Path(kLock).text) == 0; }
bool RemoveDirectory() {
  const char* const directory = std::getenv("TMPDIR");
  return directory != nullptr && ::unlinkat(AT_FDCWD, directory, AT_REMOVEDIR) == 0;
}
bool ReadLibrary() { return Open(kLibrary, O_RDONLY); }
// Succeeds twice in a row only if the file is removed in between.
bool LeaveFile() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/left", std::getenv("TMPDIR"));
  return Open(path, O_RDWR | O_CREAT | O_EXCL);
}
bool LeaveFileAndWait() {
  if (!LeaveFile()) return false;
  ::poll(nullptr, 0, -1);
  return false;
}
bool StreamBuffer() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
  const int fd = ::mkstemp(path);
  return fd >= 0 && ::unlink(path) == 0 && ::ftruncate(fd, 1 << 20) == 0 &&
         ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
}
// By unlinkat, which implements unlink where the architecture lacks that call.
bool StreamBufferAt() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
  return ::mkstemp(path) >= 0 && ::unlinkat(AT_FDCWD, path, 0) == 0;
}
// The lock's child lease.
constexpr int kLockFd = STDIN_FILENO;
constexpr char kText[] = "text";
bool CutLockShort() { return ::ftruncate(kLockFd, 0) == 0; }
bool WriteLock() { return ::write(kLockFd, kText, sizeof kText) > 0; }
bool SendToLock() { return Call(SYS_sendfile, kLockFd, ::open(kLibrary, O_RDONLY), 0, 4096) > 0; }
bool FreeLock() {
  struct flock all = {};
  all.l_type = F_UNLCK;
  return ::fcntl(kLockFd, F_OFD_SETLK, &all) == 0;
}
bool MapLock() { return ::mmap(nullptr, 32, PROT_READ, MAP_PRIVATE, kLockFd, 0) != MAP_FAILED; }
bool MapLockExecutable() {
  return ::mmap(nullptr, 32, PROT_READ | PROT_EXEC, MAP_PRIVATE, kLockFd, 0) != MAP_FAILED;
}
bool HugeFile() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
  const int fd = ::mkstemp(path);
  return ::unlink(path) == 0 && ::ftruncate(fd, 1 << 30) == 0;
}
bool Succeed() { return true; }

constexpr Attempt kAttempts[] = {
    {"open-passwd", OpenPasswd},     {"open-key", OpenKey},
    {"open-mem", OpenMemory},        {"write-mem", WriteMemory},
    {"open-worker", OpenWorkerFd},   {"open-worker-mem", OpenWorkerMemory},
    {"unlink-own", UnlinkOwn},       {"unlink-own-at", UnlinkOwnAt},
    {"unlink-lock", UnlinkLock},     {"remove-tmpdir", RemoveDirectory},
    {"write-own", OpenOwnToWrite},   {"create-own", OpenOwnToCreate},
    {"open-device", OpenDevice},     {"list", ListDirectory},
    {"truncate", OpenTruncating},    {"create-tmp", CreateElsewhere},
    {"create-shm", CreateInDev},     {"read-library", ReadLibrary},
    {"leave-file", LeaveFile},       {"leave-and-wait", LeaveFileAndWait},
    {"stream-buffer", StreamBuffer}, {"buffer-at", StreamBufferAt},
    {"cut-lock", CutLockShort},      {"write-lock", WriteLock},
    {"send-to-lock", SendToLock},    {"free-lock", FreeLock},
    {"map-lock", MapLock},           {"map-lock-exec", MapLockExecutable},
    {"huge-file", HugeFile},         {"", Succeed},
};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
