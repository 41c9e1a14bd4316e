#include "worker/sandbox/seccomp_filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <type_traits>
#include <utility>

#include "common/unique_fd.h"
#include "worker/sandbox/seccomp_rules.h"

namespace iperf3_exporter {
namespace {

struct ReleaseContext {
  void operator()(scmp_filter_ctx context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseContext>;

// What libseccomp writes to a descriptor. Far less than a pipe holds.
Result<std::vector<sock_filter>> Export(scmp_filter_ctx context) {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoError("system call filter: pipe2");
  const UniqueFd from(fds[0]);
  const UniqueFd to(fds[1]);
  if (const int error = ::seccomp_export_bpf(context, to.get()); error != 0) {
    return MakeError(ErrnoText("system call filter: export", -error));
  }
  std::vector<sock_filter> program(BPF_MAXINSNS);
  const ssize_t got = ::read(from.get(), program.data(), program.size() * sizeof(sock_filter));
  if (got <= 0) return ErrnoError("system call filter: read");
  program.resize(static_cast<std::size_t>(got) / sizeof(sock_filter));
  program.shrink_to_fit();
  return program;
}

std::uint32_t DefaultAction(FilterOf of, FilterMode mode) {
  const bool worker = of == FilterOf::kWorker;
  if (mode == FilterMode::kDiagnose) return worker ? SCMP_ACT_LOG : SCMP_ACT_NOTIFY;
  return worker ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ALLOW;
}

}  // namespace

Status MapExecPath() {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is the point.
  void* wanted = reinterpret_cast<void*>(kExecPathAddress);
  void* page =
      ::mmap(wanted, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page == wanted) return {};
  return ErrnoError("mapping the exec path");
}

Result<SeccompFilter> SeccompFilter::Build(FilterOf of, FilterMode mode, int program_fd) {
  // libseccomp asks the kernel what it can, and makes no filter where an outer one refuses the
  // question. Whether ours can be had is found out by Install, which says why not.
  constexpr unsigned kActionsOfLinux50 = 5;
  ::seccomp_api_set(kActionsOfLinux50);
  const Context context(::seccomp_init(DefaultAction(of, mode)));
  if (!context) return MakeError("system call filter: out of memory");
  // Calls of another architecture's table are not what the numbers say.
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // A binary tree: few comparisons per call.
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (const Status added = AddSeccompRules(context.get(), of, mode, program_fd); !added) {
    return tl::unexpected(added.error());
  }
  auto program = Export(context.get());
  if (!program) return tl::unexpected(program.error());
  return SeccompFilter(std::move(*program));
}

SeccompFilter::SeccompFilter(std::vector<sock_filter> program) : program_(std::move(program)) {
  for (std::size_t i = 0; i < program_.size(); ++i) {
    if (program_[i].k == kOwnPidPlaceholder) pid_instruction_ = i;
  }
}

int SeccompFilter::Install(bool with_listener) const {
  if (pid_instruction_) program_[*pid_instruction_].k = static_cast<std::uint32_t>(::getpid());
  const sock_fprog program = {static_cast<unsigned short>(program_.size()), program_.data()};
  const unsigned flags = with_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

std::string SyscallName(int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
  return name ? std::string(name.get()) : "unknown call";
}

}  // namespace iperf3_exporter
