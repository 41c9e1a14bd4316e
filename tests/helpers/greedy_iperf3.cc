// A stand-in for an iperf3 that uses as much as it can of one resource, or as much as iperf3 itself
// may need.
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/helpers/stand_in.h"

namespace {

using iperf3_exporter::stand_in::Attempt;

// 128 streams in both directions.
constexpr int kThreads = 256;

constexpr std::size_t kBlockBytes = std::size_t{1} << 20U;

void* AllocateAndWaitForAll(void* barrier) {
  void* memory = std::malloc(1);
  ::pthread_barrier_wait(static_cast<pthread_barrier_t*>(barrier));
  return memory;
}

// All threads exist at the same time. They leave enough address space for their buffers.
bool Threads() {
  pthread_barrier_t barrier;
  ::pthread_barrier_init(&barrier, nullptr, kThreads + 1);
  std::array<pthread_t, kThreads> threads{};
  for (pthread_t& thread : threads) {
    const int error = ::pthread_create(&thread, nullptr, AllocateAndWaitForAll, &barrier);
    errno = error;
    // The waiting threads end with the process.
    if (error != 0) return false;
  }
  ::pthread_barrier_wait(&barrier);
  const void* buffers = ::mmap(nullptr, kThreads * kBlockBytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
  return buffers != MAP_FAILED;
}

// Minimal threads need hardly any address space.
int Idle(void*) {
  for (;;) ::syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

bool ThreadBomb() {
  constexpr int kEnough = 20000;
  constexpr std::size_t kStackBytes = 4096;
  constexpr int kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND |
                         CLONE_THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  auto* stacks = static_cast<char*>(::mmap(nullptr, kEnough * kStackBytes, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stacks == MAP_FAILED) return false;
  static pid_t ids[2];
  for (int i = 1; i <= kEnough; ++i) {
    if (::clone(Idle, stacks + i * kStackBytes, kFlags, nullptr, &ids[0], ::pthread_self(),
                &ids[1]) < 0) {
      return false;
    }
  }
  return true;
}

// The limit is one of address space. No page is touched: the machine may have less memory.
bool Memory() {
  constexpr std::size_t kStep = std::size_t{64} << 20U;
  constexpr std::size_t kMin = 4 * kStep;
  constexpr std::size_t kMax = 16 * kStep;
  std::size_t mapped = 0;
  for (; mapped <= kMax; mapped += kStep) {
    void* memory =
        ::mmap(nullptr, kStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno == ENOMEM && mapped >= kMin && mapped < kMax;
  }
  errno = 0;
  return false;
}

bool OpenSockets(int count) {
  for (int i = 0; i < count; ++i) {
    if (::socket(AF_INET, SOCK_DGRAM, 0) < 0) return false;
  }
  return true;
}
bool TenThousandDescriptors() { return OpenSockets(10000); }
bool ManyDescriptors() { return OpenSockets(520); }

// Creates files and never unlinks them, even when it should end.
bool Fill(std::size_t file_bytes) {
  static char block[65536];
  std::signal(SIGTERM, SIG_IGN);
  for (;;) {
    char path[256];
    std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
    const int fd = ::mkstemp(path);
    if (fd < 0) return false;
    for (std::size_t done = 0; done < file_bytes; done += sizeof block) {
      if (::write(fd, block, sizeof block) < 0) return false;
    }
    ::close(fd);
  }
}
bool FillWithNames() { return Fill(0); }
bool FillWithBytes() { return Fill(std::size_t{2} << 20U); }

// The buffers of the maximum number of streams and block length. Each file is unlinked at once.
bool Buffers() {
  for (int i = 0; i < kThreads; ++i) {
    char path[256];
    std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
    const int fd = ::mkstemp(path);
    if (fd < 0 || ::unlink(path) != 0 || ::ftruncate(fd, kBlockBytes) != 0) return false;
    void* buffer = ::mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (buffer == MAP_FAILED) return false;
    std::memset(buffer, 1, kBlockBytes);
  }
  return true;
}

bool Succeed() { return true; }

constexpr Attempt kAttempts[] = {
    {"threads", Threads},
    {"thread-bomb", ThreadBomb},
    {"memory", Memory},
    {"10000-fds", TenThousandDescriptors},
    {"many-fds", ManyDescriptors},
    {"fill-names", FillWithNames},
    {"fill-bytes", FillWithBytes},
    {"buffers", Buffers},
    {"", Succeed},
};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
