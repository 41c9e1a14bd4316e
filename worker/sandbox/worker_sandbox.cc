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

// Where a dynamic iperf3 finds its libraries, and what it reads at start. One that does not exist
// is left out.
constexpr std::array kReadable = {
    "/lib",           "/lib64",           "/usr/lib",       "/usr/lib64",
    "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom",
};

UniqueFd OpenPath(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_PATH | O_CLOEXEC));
}

// The dynamic loader that the kernel will execute along with the program; empty for a static one.
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

LayerState& At(LayerStates& states, SandboxLayer layer) {
  return states[static_cast<std::size_t>(layer)];
}

}  // namespace

// What the steps leave for those after them. Each gives an Error only for what no mode accepts.
class WorkerSandboxSteps {
 public:
  explicit WorkerSandboxSteps(const WorkerSandboxRequest& request) : request_(request) {
    report_.worker.fill(LayerState::kNotOffered);
    report_.iperf3.fill(LayerState::kNotOffered);
  }

  Result<WorkerSandbox> Run() {
    using Step = Status (WorkerSandboxSteps::*)();
    constexpr std::array<Step, 12> kSteps = {
        // Nothing of the supervisor's environment reaches iperf3, or its libraries.
        &WorkerSandboxSteps::ClearEnvironment,
        // Before the limit on descriptors, which it must be above.
        &WorkerSandboxSteps::PlaceProgram,
        // While we can still write our own user map, and before the right to is given up.
        &WorkerSandboxSteps::EnterOwnNamespaces,
        // With the right to mount, which the next step gives up; or, without it, afterwards.
        &WorkerSandboxSteps::MountTemporaryFolder,
        &WorkerSandboxSteps::DropUserAndCapabilities,
        &WorkerSandboxSteps::MakePrivateFolder,
        // After the user change, which resets both.
        &WorkerSandboxSteps::RearmParentDeath,
        &WorkerSandboxSteps::BecomeNotDumpable,
        // Everything from here on only narrows, which filters and Landlock may then rely on.
        &WorkerSandboxSteps::SetNoNewPrivileges,
        // After all files have been opened.
        &WorkerSandboxSteps::EnterLandlock,
        &WorkerSandboxSteps::SetLimits,
        // Last: it takes away the calls that the others need.
        &WorkerSandboxSteps::EnterFilter,
    };
    for (const Step step : kSteps) {
      if (const Status done = (this->*step)(); !done) return tl::unexpected(done.error());
    }
    return Finish();
  }

 private:
  [[nodiscard]] bool diagnoses() const { return request_.mode == SandboxMode::kDiagnose; }

  void InForce(SandboxLayer layer) {
    At(report_.worker, layer) = LayerState::kInForce;
    At(report_.iperf3, layer) = LayerState::kInForce;
  }

  // A layer that the kernel offers and that could not be had: what that means is the mode's.
  Status Missing(SandboxLayer layer, const std::string& why) {
    At(report_.worker, layer) = LayerState::kMissing;
    At(report_.iperf3, layer) = LayerState::kMissing;
    if (request_.mode == SandboxMode::kRequire) {
      return MakeError("sandbox layer " + std::string(Name(layer)) + " can't be had: " + why);
    }
    Log(LogLevel::kWarn, "sandbox layer is missing", {{"layer", Name(layer)}, {"err", why}});
    return {};
  }

  Status ClearEnvironment() {
    if (::clearenv() != 0) return MakeError("environment: clearenv failed");
    InForce(SandboxLayer::kEnvironment);
    // The caller did this before it had read a single message.
    InForce(SandboxLayer::kDescriptors);
    return {};
  }

  Status PlaceProgram() {
    program_.Reset(::fcntl(request_.program_fd, F_DUPFD_CLOEXEC, kProgramFd));
    if (!program_) return ErrnoError("descriptor of iperf3");
    if (program_.get() != kProgramFd) return MakeError("descriptor of iperf3: its place is taken");
    return {};
  }

  Status EnterOwnNamespaces() {
    const LayerState state = EnterNamespaces();
    if (state == LayerState::kMissing) {
      return Missing(SandboxLayer::kNamespaces, "made, but not set up");
    }
    if (state == LayerState::kInForce) InForce(SandboxLayer::kNamespaces);
    return {};
  }

  Status MountTemporaryFolder() {
    auto mounted = TemporaryFolder::CreateMount();
    if (mounted) temporary_.emplace(std::move(*mounted));
    return {};
  }

  Status DropUserAndCapabilities() {
    const auto states = DropIdentity(request_.worker_index);
    if (!states) return tl::unexpected(states.error());
    for (LayerStates* process : {&report_.worker, &report_.iperf3}) {
      At(*process, SandboxLayer::kUser) = states->user;
      At(*process, SandboxLayer::kCapabilities) = states->capabilities;
    }
    return {};
  }

  Status MakePrivateFolder() {
    if (temporary_) return {};
    auto folder = TemporaryFolder::CreatePrivate();
    if (!folder) return tl::unexpected(folder.error());
    if (!folder->IsNoExec()) {
      Log(LogLevel::kWarn, "iperf3 could execute code that it writes to its temporary folder",
          {{"folder", folder->Path()}, {"remedy", "mount /tmp or /dev/shm with noexec"}});
    }
    temporary_.emplace(std::move(*folder));
    return {};
  }

  Status RearmParentDeath() {
    if (Status armed = ArmParentDeath(request_.link_fd); !armed) return armed;
    InForce(SandboxLayer::kParentDeath);
    return {};
  }

  // iperf3 becomes dumpable again by its exec; it may neither dump (its limit) nor be traced by
  // anyone who is under one of our filters.
  Status BecomeNotDumpable() {
    if (kBuiltWithSanitizer) return {};
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return ErrnoError("not dumpable");
    At(report_.worker, SandboxLayer::kNotDumpable) = LayerState::kInForce;
    return {};
  }

  Status SetNoNewPrivileges() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoError("no new privileges");
    InForce(SandboxLayer::kNoNewPrivileges);
    return {};
  }

  // iperf3 is in the same domain; each job's adds the port.
  Status EnterLandlock() {
    landlock_abi_ = LandlockAbi();
    if (landlock_abi_ == 0) return {};
    std::vector<UniqueFd> open;
    std::vector<FileRule> rules = {
        {program_.get(), FileAccess::kExecute},
        {temporary_->folder_fd(), FileAccess::kTemporaryFiles},
    };
    if (temporary_->parent_fd() >= 0) {
      rules.push_back({temporary_->parent_fd(), FileAccess::kRemoveFolder});
    }
    const auto add = [&](const std::string& path, FileAccess access) {
      UniqueFd fd = OpenPath(path);
      if (!fd) return;
      rules.push_back({fd.get(), access});
      open.push_back(std::move(fd));
    };
    add(Interpreter(program_.get()), FileAccess::kExecute);
    for (const char* path : kReadable) add(path, FileAccess::kRead);
    // A build of its own keeps its library there.
    const std::string folder = request_.program_path.substr(0, request_.program_path.rfind('/'));
    add(folder + "/../lib", FileAccess::kRead);
    const Status entered = EnterFileRules(landlock_abi_, rules);
    if (!entered) {
      // No rules of ports either: iperf3 would not come to run.
      landlock_abi_ = 0;
      return Missing(SandboxLayer::kLandlock, entered.error().message);
    }
    InForce(SandboxLayer::kLandlock);
    return {};
  }

  // The limit of tasks counts all that are of one user.
  [[nodiscard]] bool HasOwnUser() {
    return At(report_.worker, SandboxLayer::kUser) == LayerState::kInForce;
  }

  Status SetLimits() {
    if (!LowerLimits(kWorkerLimits)) return ErrnoError("limits");
    // A log that is a file may be longer, and the worker would end by its next line.
    struct stat log = {};
    const bool logs_to_file = ::fstat(STDERR_FILENO, &log) != 0 || S_ISREG(log.st_mode);
    if (!logs_to_file && !LowerLimit({RLIMIT_FSIZE, kFileBytes})) return ErrnoError("limits");
    // Others of a shared user may already be more: only iperf3 is limited then.
    if (HasOwnUser()) {
      if (!LowerLimit({RLIMIT_NPROC, kTasks})) return ErrnoError("limit of tasks");
    } else {
      most_tasks_ = TasksOfOwnUser() + kTasksOfSharedUser;
    }
    InForce(SandboxLayer::kRlimits);
    return {};
  }

  Status EnterFilter() {
    if (kBuiltWithSanitizer) return {};
    if (Status mapped = MapExecPath(); !mapped) return mapped;
    const FilterMode mode = diagnoses() ? FilterMode::kDiagnose : FilterMode::kKill;
    auto iperf3 = SeccompFilter::Build(FilterOf::kIperf3, mode, kProgramFd);
    if (!iperf3) return tl::unexpected(iperf3.error());
    iperf3_filter_.emplace(std::move(*iperf3));
    const auto worker = SeccompFilter::Build(FilterOf::kWorker, mode, kProgramFd);
    if (!worker) return tl::unexpected(worker.error());
    if (worker->Install(false) != 0) {
      iperf3_filter_.reset();
      return Missing(SandboxLayer::kSeccomp, ErrnoText("seccomp", errno));
    }
    if (diagnoses()) {
      Log(LogLevel::kWarn,
          "DIAGNOSING: the system call filters stop nothing; never use this in production");
      return Missing(SandboxLayer::kSeccomp, "diagnosing");
    }
    InForce(SandboxLayer::kSeccomp);
    return {};
  }

  Result<WorkerSandbox> Finish() {
    Iperf3Sandbox iperf3({.temporary_path = temporary_->Path(),
                          .temporary_fd = temporary_->inherited_fd(),
                          .watched_fd = temporary_->watched_fd(),
                          .restricts_ports = landlock_abi_ >= kLandlockAbiWithPorts,
                          .most_tasks = most_tasks_,
                          .diagnoses = diagnoses() && iperf3_filter_,
                          .filter = std::move(iperf3_filter_)});
    return WorkerSandbox(report_, std::move(program_), std::move(*temporary_), std::move(iperf3));
  }

  const WorkerSandboxRequest& request_;
  SandboxReport report_;
  UniqueFd program_;
  std::optional<TemporaryFolder> temporary_;
  int landlock_abi_ = 0;
  rlim_t most_tasks_ = kTasks;
  std::optional<SeccompFilter> iperf3_filter_;
};

Result<WorkerSandbox> WorkerSandbox::Enter(const WorkerSandboxRequest& request) {
  return WorkerSandboxSteps(request).Run();
}

}  // namespace iperf3_exporter
