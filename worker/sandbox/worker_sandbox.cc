#include "worker/sandbox/worker_sandbox.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "common/build_sanitizers.h"
#include "common/logging.h"
#include "worker/sandbox/identity.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/namespaces.h"
#include "worker/sandbox/parent_death.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"

namespace iperf3_exporter {
namespace {

// The libraries of a dynamic iperf3, and the files that it reads at its start. Missing ones are
// skipped.
constexpr std::array kReadable = {
    "/lib",           "/lib64",           "/usr/lib",       "/usr/lib64",
    "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom",
};

UniqueFd OpenPath(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_PATH | O_CLOEXEC));
}

// The dynamic loader that the kernel executes along with the program; empty for a static one.
std::string Interpreter(int program_fd) {
  ElfW(Ehdr) header = {};
  if (::pread(program_fd, &header, sizeof header, 0) != sizeof header) return {};
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment = {};
    const auto at = static_cast<off_t>(header.e_phoff + std::size_t{i} * header.e_phentsize);
    if (::pread(program_fd, &segment, sizeof segment, at) != sizeof segment) return {};
    if (segment.p_type != PT_INTERP || segment.p_filesz == 0 || segment.p_filesz > 4096) continue;
    std::string path(segment.p_filesz - 1, '\0');
    const ssize_t got =
        ::pread(program_fd, path.data(), path.size(), static_cast<off_t>(segment.p_offset));
    return got == static_cast<ssize_t>(path.size()) ? path : std::string();
  }
  return {};
}

// The directory of the open program, with all links resolved; empty if it is unknown.
std::string DirectoryOf(int program_fd) {
  std::error_code error;
  const std::string link = "/proc/self/fd/" + std::to_string(program_fd);
  return std::filesystem::read_symlink(link, error).parent_path();
}

LayerState& At(LayerStates& states, SandboxLayer layer) {
  return states[static_cast<std::size_t>(layer)];
}

// Enters the layers in order. A step returns an error if the worker must exit. A failed optional
// layer goes through ReportMissing, which is an error only in kRequire.
class Steps {
 public:
  explicit Steps(const WorkerSandboxRequest& request) : request_(request) {
    report_.worker.fill(LayerState::kNotOffered);
    report_.iperf3.fill(LayerState::kNotOffered);
  }

  Result<WorkerSandbox> Run() {
    using Step = Status (Steps::*)();
    // The order matters.
    constexpr std::array<Step, 12> kSteps = {
        // iperf3 and its libraries must not see the supervisor's environment.
        &Steps::ClearEnvironment,
        // Before SetLimits: RLIMIT_NOFILE then puts its descriptor's number out of reach.
        &Steps::PlaceProgram,
        // Before BecomeNotDumpable, after which the user map can't be written.
        &Steps::EnterOwnNamespaces,
        // Before DropUserAndCapabilities, which drops the right to mount and to remove the files
        // of other workers.
        &Steps::MountTemporaryDirectory,
        &Steps::DropUserAndCapabilities,
        // Only if the mount failed. After the change of user, so that the new user owns it.
        &Steps::CreatePrivateDirectory,
        // The change of user resets the parent-death signal and dumpability.
        &Steps::RearmParentDeath,
        &Steps::BecomeNotDumpable,
        // Filters and Landlock need it.
        &Steps::SetNoNewPrivileges,
        // After all files are open.
        &Steps::EnterLandlock,
        &Steps::SetLimits,
        // Last: it denies the calls that the other steps need.
        &Steps::EnterFilter,
    };
    for (const Step step : kSteps) {
      if (const Status done = (this->*step)(); !done) return tl::unexpected(done.error());
    }
    return Finish();
  }

 private:
  [[nodiscard]] bool diagnoses() const { return request_.mode == SandboxMode::kDiagnose; }

  void SetEnabled(SandboxLayer layer) {
    At(report_.worker, layer) = LayerState::kEnabled;
    At(report_.iperf3, layer) = LayerState::kEnabled;
  }

  // Records that a layer could not be enabled although the kernel offers it. An error in kRequire,
  // otherwise a warning.
  Status ReportMissing(SandboxLayer layer, const std::string& detail) {
    At(report_.worker, layer) = LayerState::kMissing;
    At(report_.iperf3, layer) = LayerState::kMissing;
    if (request_.mode == SandboxMode::kRequire) {
      return MakeError("cannot enable sandbox layer " + std::string(Name(layer)) + ": " + detail);
    }
    Log(LogLevel::kWarn, "sandbox layer is missing", {{"layer", Name(layer)}, {"detail", detail}});
    return {};
  }

  Status ClearEnvironment() {
    if (::clearenv() != 0) return MakeError("environment: clearenv failed");
    SetEnabled(SandboxLayer::kEnvironment);
    // The caller has already closed every descriptor that the worker does not need.
    SetEnabled(SandboxLayer::kDescriptors);
    return {};
  }

  Status PlaceProgram() {
    program_directory_ = DirectoryOf(request_.program_fd);
    program_.Reset(::fcntl(request_.program_fd, F_DUPFD_CLOEXEC, kProgramFd));
    if (!program_) return ErrnoError("cannot duplicate iperf3's descriptor");
    if (program_.get() != kProgramFd) {
      return MakeError("iperf3's descriptor: its number is already in use");
    }
    return {};
  }

  Status EnterOwnNamespaces() {
    const LayerState state = EnterNamespaces();
    if (state == LayerState::kMissing) {
      return ReportMissing(SandboxLayer::kNamespaces, "created, but not set up");
    }
    if (state == LayerState::kEnabled) SetEnabled(SandboxLayer::kNamespaces);
    return {};
  }

  // Failure is expected without the right to mount: CreatePrivateDirectory then takes over.
  Status MountTemporaryDirectory() {
    RemoveAbandonedDirectories();
    auto mounted = TemporaryDirectory::CreateMount();
    if (mounted) temporary_.emplace(std::move(*mounted));
    return {};
  }

  Status DropUserAndCapabilities() {
    auto states = DropIdentity();
    if (!states) return tl::unexpected(states.error());
    for (LayerStates* process : {&report_.worker, &report_.iperf3}) {
      At(*process, SandboxLayer::kUser) = states->user;
      At(*process, SandboxLayer::kCapabilities) = states->capabilities;
    }
    user_reservation_ = std::move(states->user_reservation);
    return {};
  }

  Status CreatePrivateDirectory() {
    if (temporary_) return {};
    auto directory = TemporaryDirectory::CreatePrivate();
    if (!directory) return tl::unexpected(directory.error());
    if (!directory->IsNoExec() && request_.is_first) {
      Log(LogLevel::kWarn, "iperf3 could execute code that it writes to its temporary directory",
          {{"directory", directory->path()}, {"remedy", "mount /tmp or /dev/shm with noexec"}});
    }
    temporary_.emplace(std::move(*directory));
    return {};
  }

  Status RearmParentDeath() {
    if (Status armed = ArmParentDeath(request_.link_fd); !armed) return armed;
    SetEnabled(SandboxLayer::kParentDeath);
    return {};
  }

  // Only the worker: exec makes iperf3 dumpable again. RLIMIT_CORE still prevents its core file,
  // and our filters deny ptrace.
  Status BecomeNotDumpable() {
    if (kBuiltWithSanitizer) return {};
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return ErrnoError("prctl(PR_SET_DUMPABLE)");
    At(report_.worker, SandboxLayer::kNotDumpable) = LayerState::kEnabled;
    return {};
  }

  Status SetNoNewPrivileges() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
      return ErrnoError("prctl(PR_SET_NO_NEW_PRIVS)");
    SetEnabled(SandboxLayer::kNoNewPrivileges);
    return {};
  }

  // The file rules, which iperf3 inherits. Each job enters port rules of its own.
  Status EnterLandlock() {
    landlock_abi_ = LandlockAbi();
    if (landlock_abi_ == 0) return {};
    std::vector<UniqueFd> open;
    std::vector<FileRule> rules = {
        {program_.get(), FileAccess::kExecute},
        {temporary_->directory_fd(), FileAccess::kTemporaryFiles},
    };
    const auto add = [&](const std::string& path, FileAccess access) {
      UniqueFd fd = OpenPath(path);
      if (!fd) return;
      rules.push_back({fd.get(), access});
      open.push_back(std::move(fd));
    };
    if (temporary_->watched() != nullptr) {
      add(std::filesystem::path(temporary_->path()).parent_path(), FileAccess::kRemoveDirectory);
    }
    add(Interpreter(program_.get()), FileAccess::kExecute);
    for (const char* path : kReadable) add(path, FileAccess::kRead);
    // The library of a private build of iperf3.
    add(program_directory_ + "/../lib", FileAccess::kRead);
    add(program_directory_ + "/libiperf.so.0", FileAccess::kRead);
    const Status entered = EnterFileRules(landlock_abi_, rules);
    if (!entered) {
      // Disables the port rules too: they would fail in the same way, and iperf3 would not start.
      landlock_abi_ = 0;
      return ReportMissing(SandboxLayer::kLandlock, entered.error().message);
    }
    SetEnabled(SandboxLayer::kLandlock);
    if (landlock_abi_ >= kLandlockAbiWithPorts) {
      At(report_.iperf3, SandboxLayer::kLandlockPorts) = LayerState::kEnabled;
    }
    if (landlock_abi_ >= kLandlockAbiWithScope) SetEnabled(SandboxLayer::kLandlockScope);
    return {};
  }

  // Whether this worker runs as a user of its own. RLIMIT_NPROC counts all tasks of a user, so only
  // then can it limit the worker.
  [[nodiscard]] bool HasOwnUser() {
    return At(report_.worker, SandboxLayer::kUser) == LayerState::kEnabled;
  }

  Status SetLimits() {
    for (const ResourceLimit& limit : kInheritedLimits) {
      // A sanitizer reserves terabytes.
      if (kBuiltWithSanitizer && limit.resource == RLIMIT_AS) continue;
      if (!SetResourceLimit(limit.resource, limit.max)) return ErrnoError("setrlimit");
    }
    if (!SetResourceLimit(RLIMIT_NOFILE, kProgramFd)) return ErrnoError("setrlimit(RLIMIT_NOFILE)");
    // If stderr is a file that already exceeds the limit, the next log line would kill the worker
    // (SIGXFSZ).
    struct stat log = {};
    const bool may_log_to_file = ::fstat(STDERR_FILENO, &log) != 0 || S_ISREG(log.st_mode);
    if (!may_log_to_file && !SetResourceLimit(RLIMIT_FSIZE, kFileBytes)) {
      return ErrnoError("setrlimit(RLIMIT_FSIZE)");
    }
    // A shared user may already exceed kTasks. Then only iperf3 is limited, relative to the present
    // number of tasks.
    if (HasOwnUser()) {
      if (!SetResourceLimit(RLIMIT_NPROC, kTasks)) return ErrnoError("setrlimit(RLIMIT_NPROC)");
    } else {
      max_tasks_ = TasksOfOwnUser() + kTasksOfSharedUser;
    }
    SetEnabled(SandboxLayer::kRlimits);
    return {};
  }

  Status EnterFilter() {
    if (kBuiltWithSanitizer) return {};
    if (Status mapped = MapExecPath(); !mapped) return mapped;
    const FilterMode mode = diagnoses() ? FilterMode::kDiagnose : FilterMode::kKill;
    auto iperf3 = SeccompFilter::Build(Subject::kIperf3, mode);
    if (!iperf3) return tl::unexpected(iperf3.error());
    iperf3_filter_.emplace(std::move(*iperf3));
    const auto worker = SeccompFilter::Build(Subject::kWorker, mode);
    if (!worker) return tl::unexpected(worker.error());
    // iperf3 runs under this filter too, so it allows what any job may need.
    constexpr JobGrants kAnyJob = {.binds_device = true, .multipath_tcp = true};
    if (worker->Install(kAnyJob, false) != 0) {
      const int error = errno;
      iperf3_filter_.reset();  // it would fail in the same way
      return ReportMissing(SandboxLayer::kSeccomp, ErrnoText("seccomp", error));
    }
    if (diagnoses()) {
      Log(LogLevel::kWarn,
          "DIAGNOSING: the system call filters stop nothing; never use this in production");
      return ReportMissing(SandboxLayer::kSeccomp, "diagnosing");
    }
    SetEnabled(SandboxLayer::kSeccomp);
    return {};
  }

  Result<WorkerSandbox> Finish() {
    Iperf3Sandbox iperf3({.program_directory = program_directory_,
                          .temporary_path = temporary_->path(),
                          .temporary_fd = temporary_->inherited_fd(),
                          .watched = temporary_->watched(),
                          .restricts_ports = landlock_abi_ >= kLandlockAbiWithPorts,
                          .max_tasks = max_tasks_,
                          .diagnoses = diagnoses() && iperf3_filter_,
                          .filter = std::move(iperf3_filter_)});
    return WorkerSandbox{report_, std::move(program_), std::move(user_reservation_),
                         std::move(*temporary_), std::move(iperf3)};
  }

  const WorkerSandboxRequest& request_;
  SandboxReport report_;
  UniqueFd program_;
  UniqueFd user_reservation_;
  std::string program_directory_;
  std::optional<TemporaryDirectory> temporary_;
  int landlock_abi_ = 0;
  rlim_t max_tasks_ = kTasks;
  std::optional<SeccompFilter> iperf3_filter_;
};

}  // namespace

Result<WorkerSandbox> EnterWorkerSandbox(const WorkerSandboxRequest& request) {
  return Steps(request).Run();
}

}  // namespace iperf3_exporter
