// refuse_calls NAME... -- PROGRAM ARGUMENT...: executes the program with a filter, as a container
// has it: the system calls of these names fail with EPERM, in its children too.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kExitUsage = 2;
constexpr int kExitRefused = 3;

struct NamedCall {
  const char* name;
  long number;
};

// Landlock's numbers are the same on every architecture.
constexpr NamedCall kCalls[] = {
    {"fsopen", SYS_fsopen},
    {"seccomp", SYS_seccomp},
    {"landlock_restrict_self", 446},
};

long NumberOf(const char* name) {
  for (const NamedCall& call : kCalls) {
    if (std::strcmp(call.name, name) == 0) return call.number;
  }
  return -1;
}

bool Refuse(long number) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {sizeof program / sizeof program[0], program};
  // Not by seccomp(2), which an earlier filter may refuse.
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return kExitRefused;
  int i = 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const long number = NumberOf(argv[i]);
    if (number < 0) return kExitUsage;
    if (!Refuse(number)) return kExitRefused;
  }
  if (i + 1 >= argc) return kExitUsage;
  ::execvp(argv[i + 1], argv + i + 1);
  std::perror(argv[i + 1]);
  return kExitRefused;
}
