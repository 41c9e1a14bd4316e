"""Mutants of worker/, common/iperf3/ and common/wire/, as run.py takes them."""

UDP = "worker/iperf3/udp_loss.cc"
BUILDER = "worker/iperf3/measurement_builder.cc"
PARSER = "worker/iperf3/report_parser.cc"
VERDICT = "worker/iperf3/verdict.cc"
TEXT = "worker/iperf3/failure_text.cc"
ARGV = "worker/iperf3/iperf3_argv.cc"
INSPECT = "worker/iperf3/iperf3_inspect.cc"
PROGRAM = "worker/iperf3/iperf3_executable.cc"
CHILD = "worker/process/iperf3_child.cc"
PROCESS = "worker/process/iperf3_process.cc"
BUFFER = "worker/process/output_buffer.cc"
RUNNER = "worker/loop/job_runner.cc"
LOOP = "worker/loop/worker_loop.cc"
DEATH = "worker/sandbox/parent_death.cc"
DIAGNOSIS = "worker/sandbox/diagnosis.cc"
IDENTITY = "worker/sandbox/identity.cc"
IPERF3_SANDBOX = "worker/sandbox/iperf3_sandbox.cc"
LANDLOCK = "worker/sandbox/landlock.cc"
NAMESPACES = "worker/sandbox/namespaces.cc"
LIMITS = "worker/sandbox/resource_limits.cc"
FILTER = "worker/sandbox/seccomp_filter.cc"
TABLE = "worker/sandbox/syscall_table.cc"
OPTIONS = "worker/sandbox/socket_options.h"
TEMPORARY = "worker/sandbox/temporary_directory.cc"
SANDBOX = "worker/sandbox/worker_sandbox.cc"
WIRE = "common/wire/wire.cc"
FIELDS = "common/wire/fields.h"
OPTION_TABLE = "common/iperf3/option_table.cc"
OPTION_TEXT = "common/iperf3/option_text.cc"
DEFECTS = "common/iperf3/defects.cc"

WORKER_LOOP = "worker_loop_process_test"
LIFETIME = "worker_lifetime_process_test"
CORPUS = "report_corpus_process_test"
HOSTILE = "hostile_iperf3_sandbox_test"
HOSTILE_FILES = "hostile_files_sandbox_test"
HOSTILE_WORKER = "hostile_worker_sandbox_test"
SOCKETS = "hostile_sockets_sandbox_test"
GREEDY = "greedy_iperf3_sandbox_test"
HABITS = "iperf3_builds_sandbox_test"
REAL = "real_iperf3_sandbox_test"
LANDLOCK_TEST = "landlock_sandbox_test"

# The file, its text, what stands there instead, and the tests of which one has to fail.
MUTANTS = [
    (UDP, "std::round(sent * received_seconds / sent_seconds)", "std::round(sent * sent_seconds / received_seconds)",
     ["udp_loss_test"]),
    (UDP, "return counts.sent * std::max(kMaxTailShare,", "return counts.received * std::max(kMaxTailShare,",
     ["udp_loss_test"]),
    (UDP, "*counts.known <= counts.sent + MaxTail(counts)", "*counts.known <= counts.sent - MaxTail(counts)",
     ["udp_loss_test"]),
    (UDP, "known.value_or(sent) - received", "known.value_or(received) - received", ["udp_loss_test"]),
    (BUILDER, "if (!seconds || !bytes) bits_per_second = std::nullopt;",
     "if (!seconds && !bytes) bits_per_second = std::nullopt;", ["measurement_builder_test:*Implausible*"]),
    (BUILDER, "sums = &values.reverse;", "sums = &values.forward;", [CORPUS]),
    (BUILDER, "const double rate = *bytes * 8 / *seconds;", "const double rate = *bytes * 8 * *seconds;",
     ["measurement_builder_test:*Seconds*"]),
    (BUILDER, "std::max(direction.sent_seconds, direction.received_seconds)",
     "std::min(direction.sent_seconds, direction.received_seconds)", ["measurement_builder_test:*Jitter*"]),
    (BUILDER, "if (known == 0) to.received_packets = 0;", "if (known == -1) to.received_packets = 0;",
     ["measurement_builder_test:*KnowsOfNone*"]),
    (BUILDER, "return kept > 0 ? kept : std::nullopt;", "return kept >= 0 ? kept : std::nullopt;",
     ["measurement_builder_test:*ZeroOfAStream*"]),
    (BUILDER, "seconds(sum_of_mean_rtts / mean_rtts)", "seconds(sum_of_mean_rtts / static_cast<double>(streams.size()))",
     ["measurement_builder_test:*ZeroOfAStream*"]),
    (BUILDER, "constexpr double kMinPacketsWithJitter = 4;", "constexpr double kMinPacketsWithJitter = 40;",
     ["measurement_builder_test:*FourPackets*"]),
    (PARSER, "if (values.sending.size() == test.parallel) break;", "if (values.sending.size() == CountStreams(test)) break;",
     [CORPUS]),
    (PARSER, "return has(\"connecting_to\") ? TestPhase::kAgreed : TestPhase::kConnecting;",
     "return lists_streams ? TestPhase::kAgreed : TestPhase::kConnecting;", ["verdict_test"]),
    (PARSER, "values.stream_count != streams", "values.stream_count < streams", ["report_parser_test:*Streams*"]),
    (PARSER, "  phase_ = TestPhase::kUnknown;\n", "", ["verdict_test"]),
    (PARSER, "connected.size() < CountStreams(test)", "connected.size() < test.parallel", ["verdict_test"]),
    (VERDICT, "server_bytes == 0 && measurement.remote_cpu.total == 0", "server_bytes == 0 || measurement.remote_cpu.total == 0",
     ["verdict_test"]),
    (VERDICT, "if (exit_code != 0 && !error_line.empty()) return failed(error_line);",
     "if (exit_code > 1 && !error_line.empty()) return failed(error_line);", ["verdict_test"]),
    (VERDICT, "for (const auto& direction : {upload, download}) {", "for (const auto& direction : {upload, upload}) {",
     ["verdict_test"]),
    (VERDICT, "if (stopped.reason != FailureReason::kDeadline) return stopped;",
     "if (stopped.reason == FailureReason::kOutputTooLarge) return stopped;", ["verdict_test"]),
    (VERDICT, "kMaxShareOfRunTime = 1.01;", "kMaxShareOfRunTime = 1.001;", ["verdict_test"]),
    (VERDICT, "measurement.upload->received_bytes : measurement.download->sent_bytes",
     "measurement.upload->received_bytes : measurement.download->received_bytes", ["verdict_test"]),
    (VERDICT, "direction.sent_bytes == 0 || is_short", "direction.sent_bytes == 0", ["verdict_test"]),
    (TEXT, "phase == TestPhase::kRunning && SendsUdp(test)", "phase == TestPhase::kRunning", ["failure_text_test"]),
    (TEXT, "TestPhase::kConnecting ? FailureReason::kConnectTimeout", "TestPhase::kCreatingStreams ? FailureReason::kConnectTimeout",
     ["failure_text_test"]),
    (TEXT, "phase == prefix.phase && text.starts_with", "phase >= prefix.phase && text.starts_with", ["failure_text_test"]),
    (TEXT, "ConnectPrefix{\"unable to read from stream socket\", TestPhase::kCreatingStreams}",
     "ConnectPrefix{\"unable to read from stream socket\", TestPhase::kRunning}", ["failure_text_test"]),
    (ARGV, "(period_seconds + kMaxIntervals - 1) / kMaxIntervals", "period_seconds / kMaxIntervals + 1", ["iperf3_argv_test"]),
    (ARGV, "bytes < kDefaultBlockBytes ?", "bytes <= kDefaultBlockBytes ?", ["iperf3_argv_test"]),
    (ARGV, "capabilities.udp_counters_64bit && test.protocol == Protocol::kUdp",
     "capabilities.udp_counters_64bit || test.protocol == Protocol::kUdp", ["iperf3_argv_test"]),
    (INSPECT, "length == 0 || text[0] != '3'", "length == 0 || text[0] < '3'", ["iperf3_inspect_test"]),
    (INSPECT, "text += process.errors();", "text += process.output();", [LIFETIME + ":*WhySetUpFailed*"]),
    (PROGRAM, "status.st_uid != 0 && status.st_uid != ::geteuid()", "status.st_uid != 0 && status.st_uid == ::geteuid()",
     ["iperf3_executable_test"]),
    (PROGRAM, "(status.st_mode & (S_IWGRP | S_IWOTH)) != 0", "(status.st_mode & (S_IWGRP & S_IWOTH)) != 0",
     ["iperf3_executable_test"]),
    (PROGRAM, ".changed_ns = nanoseconds(status.st_ctim)", ".changed_ns = nanoseconds(status.st_mtim)",
     ["iperf3_executable_test"]),
    (CHILD, "SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGCONT}) {", "SIGHUP, SIGINT, SIGTERM, SIGCONT}) {", [WORKER_LOOP]),
    (CHILD, "::setpriority(PRIO_PROCESS, 0, nice + kNiceIncrement)", "::setpriority(PRIO_PROCESS, 0, nice - kNiceIncrement)",
     ["e2e.probe_test:Priority"]),
    (CHILD, "::dup3(plan.stderr_fd, STDERR_FILENO, 0)", "::dup3(plan.stdout_fd, STDERR_FILENO, 0)", ["iperf3_process_test"]),
    (CHILD, "ended.si_code == CLD_EXITED ?", "ended.si_code != CLD_EXITED ?", ["iperf3_process_test"]),
    (CHILD, "constexpr unsigned kProcessGroup = 1U << 2U;", "constexpr unsigned kProcessGroup = 1U << 1U;",
     ["iperf3_process_test:*WholeGroup*"]),
    (PROCESS, "std::min(Clock::now() + kTermGrace, request_.kill_at)", "std::max(Clock::now() + kTermGrace, request_.kill_at)",
     ["iperf3_process_test"]),
    (PROCESS, "::pipe2(fds, O_CLOEXEC)", "::pipe2(fds, 0)", ["worker_sandbox_test"]),
    (PROCESS, "    // At once: before SIGTERM takes effect it could write as much again.\n    Kill();",
     "    child_.Signal(SIGTERM);", [GREEDY + ":*FillTheDisk*"]),
    (PROCESS, "    if (failure_) return;\n", "    if (failure_ && failure_->reason == reason) return;\n",
     ["iperf3_process_test:*TwoCauses*"]),
    (PROCESS, "OutputBuffer::Create(kMaxStderrBytes)", "OutputBuffer::Create(kMaxReportBytes)",
     ["iperf3_process_test:*PrintsTooMuch*"]),
    (BUFFER, "used - kKeptBytes, MADV_DONTNEED)", "used - kKeptBytes, MADV_COLD)", ["iperf3_process_test", "e2e.hostile_test"]),
    (BUFFER, "std::max(capacity_bytes_ - size_bytes_, std::size_t{1})", "capacity_bytes_ - size_bytes_", ["iperf3_process_test"]),
    (RUNNER, "job.test.bind_address || job.test.client_port", "job.test.bind_address && job.test.client_port", [REAL]),
    (RUNNER, ".kill_at = job.times.kill_at,", ".kill_at = job.times.terminate_at,", [WORKER_LOOP, "e2e.probe_test:FarPath"]),
    (RUNNER, ".period = std::chrono::seconds(*period)", ".period = std::chrono::seconds(job.test.period_seconds)",
     ["e2e.probe_test:FailedProbes"]),
    (RUNNER, "std::chrono::floor<std::chrono::seconds>", "std::chrono::round<std::chrono::seconds>", ["probe_timing_test"]),
    (RUNNER, "std::min(job.times.terminate_at, now + test", "std::max(job.times.terminate_at, now + test",
     [WORKER_LOOP]),
    (RUNNER, "test(job.test.omit_seconds + period_seconds);", "test(period_seconds);",
     [WORKER_LOOP + ":*TestOfBytes*"]),
    (RUNNER, "PollMilliseconds(time)) > 0) return false;", "PollMilliseconds(time)) > 0) return true;",
     [WORKER_LOOP + ":*ServersPause*"]),
    (LOOP, "::setsid() < 0 && ::getsid(0)", "::setsid() < 0 || ::getsid(0)", ["e2e.probe_test:GoodProbes.test_tcp_upload"]),
    (LOOP, "      process_->Reset();\n      // Last,", "      // Last,", ["e2e.hostile_test"]),
    (LOOP, "  std::signal(SIGHUP, SIG_IGN);\n", "", [LIFETIME + ":*IgnoresSignals*"]),
    (LOOP, "known && known->program == *program", "known && known->program.bytes == program->bytes", [WORKER_LOOP + ":*InspectsIperf3*"]),
    (LOOP, "::fcntl(link_fd, F_SETFD, FD_CLOEXEC) == 0", "::fcntl(link_fd, F_SETFD, 0) == 0",
     ["worker_sandbox_test:*VisibleFromOutside*"]),
    (LOOP, "static_cast<unsigned>(link_fd) + 1, UINT_MAX", "static_cast<unsigned>(link_fd) + 2, UINT_MAX",
     [LIFETIME + ":*OtherDescriptors*"]),
    (LOOP, "  IgnoreCancelSignal();\n", "", [LIFETIME + ":*CancelsThreads*"]),
    (DEATH, "g_parent == 0 || ::getppid() != g_parent", "g_parent != 0 || ::getppid() != g_parent",
     [LIFETIME + ":*IgnoresSignals*"]),
    (DEATH, "(parent.pid == 0 || g_parent == parent.pid)", "(parent.pid != 0 || g_parent == parent.pid)",
     [LIFETIME + ":*NotTheSupervisor*"]),
    (DIAGNOSIS, "response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;", "response.flags = 0;",
     [HOSTILE + ":*Diagnosing*"]),
    (DIAGNOSIS, "known[number] = true;", "known[number] = false;", [HOSTILE + ":*Diagnosing*"]),
    (IDENTITY, "(word.effective | word.permitted | word.inheritable) == 0", "(word.effective & word.permitted & word.inheritable) == 0",
     ["worker_sandbox_test"]),
    (IDENTITY, "if (Has(*initial, CAP_SETPCAP)) {", "if (Has(*initial, CAP_SETPCAP) && ::geteuid() != 0) {", ["worker_sandbox_test"]),
    (IDENTITY, "kFirstWorkerUid + worker_index % kWorkerUids", "kFirstWorkerUid + worker_index / kWorkerUids",
     ["worker_sandbox_test:*VisibleFromOutside*"]),
    (IPERF3_SANDBOX, "{RLIMIT_NOFILE, kIperf3Descriptors}", "{RLIMIT_NOFILE, kProgramFd}", ["worker_sandbox_test"]),
    (IPERF3_SANDBOX, "static_cast<unsigned>(seconds) * processors", "static_cast<unsigned>(seconds) + processors",
     ["iperf3_child_process_test"]),
    (IPERF3_SANDBOX, "MALLOC_ARENA_MAX=1", "MALLOC_ARENA_MAX=0", [GREEDY + ":*MaxStreams*"]),
    (LANDLOCK, "constexpr std::uint64_t kScopeAll = 3;", "constexpr std::uint64_t kScopeAll = 2;", [LANDLOCK_TEST]),
    (LANDLOCK, "kNetConnectTcp | (binds_port ? 0 : kNetBindTcp)", "(binds_port ? 0 : kNetConnectTcp | kNetBindTcp)", [LANDLOCK_TEST]),
    (LANDLOCK, "kFsMakeReg | kFsRemoveFile | kFsTruncate;", "kFsMakeReg | kFsRemoveFile | kFsTruncate | kFsExecute;",
     [LANDLOCK_TEST]),
    (NAMESPACES, "CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS", "CLONE_NEWNS | CLONE_NEWUTS",
     ["worker_sandbox_test:*Namespaces*"]),
    (NAMESPACES, "MS_REC | MS_SLAVE", "MS_REC | MS_PRIVATE", ["worker_sandbox_test:WorkerMounts*"]),
    (LIMITS, "return granted - 1;", "return granted;", ["resource_limits_process_test"]),
    (LIMITS, "  ::setrlimit(RLIMIT_NPROC, &original);\n", "", ["resource_limits_process_test"]),
    (FILTER, "Branch(BPF_JGE, kLowestLockFd, 1, 0)", "Branch(BPF_JGE, 1000, 1, 0)", [HOSTILE_WORKER]),
    (FILTER, "return grants.binds_device ? SO_BINDTODEVICE : number;", "return grants.multipath_tcp ? SO_BINDTODEVICE : number;",
     [SOCKETS]),
    (FILTER, "SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS", "SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW", [HOSTILE]),
    (FILTER, "Branch(BPF_JSET, PROT_WRITE, 3, 0), Load(IntArgument(kDescriptor)),",
     "Branch(BPF_JSET, PROT_WRITE, 0, 0), Load(IntArgument(kDescriptor)),", [HOSTILE + ":*SystemCallFilters*"]),
    (FILTER, "4096, PROT_READ, MAP_PRIVATE", "4096, PROT_READ | PROT_WRITE, MAP_PRIVATE",
     [HOSTILE_WORKER + ":*ExecPath*"]),
    (FILTER, "return SECCOMP_RET_KILL_PROCESS;", "return SECCOMP_RET_KILL_THREAD;", [HOSTILE + ":*SystemCallFilters*"]),
    (FILTER, "{SYS_bind, SYS_connect,", "{SYS_connect,", [HOSTILE_WORKER + ":*LogSocket*"]),
    (TABLE, "kNoFastOpen<2>, kNoFastOpen<2>", "kNoFastOpen<3>, kNoFastOpen<3>", [SOCKETS]),
    (TABLE, "{\"exit\", kAllowed, kAllowed,", "{\"exit\", kAllowed, kDenied,", [HOSTILE]),
    (TABLE, "Allow(Is(3, MREMAP_MAYMOVE))", "Allow(Masked(3, MREMAP_MAYMOVE, MREMAP_MAYMOVE))", [HOSTILE]),
    (TABLE, "{\"clone\", kStartThreadsAndIperf3, kStartThreads,", "{\"clone\", kStartThreadsAndIperf3, kStartThreadsAndIperf3,", [HOSTILE]),
    (TABLE, "{\"unlinkat\", kAllowed, kUnlinkFile,", "{\"unlinkat\", kUnlinkFile, kUnlinkFile,", [HOSTILE_FILES]),
    (TABLE, "Masked(kFlags, O_ACCMODE | O_CREAT | O_EXCL, O_RDWR | O_CREAT | O_EXCL)",
     "Masked(kFlags, O_ACCMODE | O_CREAT, O_RDWR | O_CREAT)", [HOSTILE_FILES + ":*SystemCallFilters*"]),
    (TABLE, "Allow(AtMost(1, STDERR_FILENO))", "Allow(AtMost(1, kProgramFd))",
     [HOSTILE_WORKER + ":*DuplicateTheLock*"]),
    (TABLE, "Allow(AtLeast(0, kLowestMapAddress), Masked(2, PROT_EXEC, 0))", "Allow(Masked(2, PROT_EXEC, 0))",
     [HOSTILE_WORKER + ":*ExecPath*"]),
    (TABLE, "Allow(IsInt(0, PR_SET_PDEATHSIG), Is(1, SIGKILL))", "Allow(IsInt(0, PR_SET_PDEATHSIG))",
     [HOSTILE_WORKER + ":*Outlive*"]),
    (TABLE, "Allow(IsInt(0, PRIO_PROCESS), IsInt(1, 0))", "Allow(IsInt(0, PRIO_PROCESS))",
     [HOSTILE_WORKER + ":*OtherProcesses*"]),
    (TABLE, "{\"getdents64\", kAllowed, kDenied,", "{\"getdents64\", kAllowed, kAllowed,",
     [HOSTILE_FILES + ":*SystemCallFilters*"]),
    (TABLE, "{\"restart_syscall\", kAllowed, kAllowed,", "{\"restart_syscall\", kAllowed, kDenied,",
     [HABITS + ":*Habits*"]),
    (TABLE, "{\"readv\", kAllowed, kAllowed,", "{\"readv\", kAllowed, kDenied,", [HABITS + ":*Habits*"]),
    (OPTIONS, "SocketOption{IPPROTO_TCP, TCP_CONGESTION, OptionUse::kBoth,", "SocketOption{IPPROTO_TCP, TCP_CONGESTION, OptionUse::kSet,",
     [SOCKETS + ":*Options*"]),
    (TEMPORARY, "directory_ && TryLock(directory_.get()) && ::fstat", "directory_ && ::fstat", [HOSTILE_FILES]),
    (TEMPORARY, "kMountInodes = \"640\"", "kMountInodes = \"256\"", [GREEDY]),
    (TEMPORARY, "owner == user || (user == 0 && is_of_worker)", "owner == user || user == 0 || is_of_worker", ["temporary_directory_test"]),
    (TEMPORARY, "O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC", "O_RDONLY | O_DIRECTORY | O_CLOEXEC",
     ["temporary_directory_test"]),
    (TEMPORARY, "MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC", "MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV",
     ["temporary_directory_test"]),
    (TEMPORARY, "for (const bool wants_noexec : {true, false})", "for (const bool wants_noexec : {false, true})",
     ["temporary_directory_test"]),
    (SANDBOX, "parent_path(), FileAccess::kRemoveDirectory)", "parent_path(), FileAccess::kTemporaryFiles)", [HOSTILE_FILES]),
    (SANDBOX, ".binds_device = true, .multipath_tcp = true", ".binds_device = true, .multipath_tcp = false", [SOCKETS]),
    (SANDBOX, "::fstat(STDERR_FILENO, &log) != 0 || S_ISREG(log.st_mode)", "::fstat(STDERR_FILENO, &log) != 0 || !S_ISREG(log.st_mode)",
     ["worker_sandbox_test"]),
    (SANDBOX, "F_DUPFD_CLOEXEC, kProgramFd", "F_DUPFD, kProgramFd", ["worker_sandbox_test:*VisibleFromOutside*"]),
    (SANDBOX, "\"/etc/localtime\", \"/dev/urandom\",", "\"/etc/localtime\", \"/dev\",",
     [HOSTILE_FILES + ":*CannotAccessFiles*"]),
    (SANDBOX, "max_tasks_ = TasksOfOwnUser() + kTasksOfSharedUser;", "max_tasks_ = kTasksOfSharedUser;",
     ["worker_sandbox_test:*VisibleFromOutside*"]),
    (WIRE, "for (auto* time : {&program.modified_ns, &program.changed_ns})", "for (auto* time : {&program.modified_ns})",
     ["wire_test", WORKER_LOOP + ":*InspectsIperf3*"]),
    (WIRE, "  fields.Bool(\"log format\", config.log_json);\n", "", ["wire_test", "e2e.flags_test"]),
    (WIRE, "text.empty() || IsValidName(name, text)", "text.size() <= kMaxKernelNameBytes || IsValidName(name, text)",
     ["option_table_test"]),
    (WIRE, "  fields.Number(\"index\", config.index);\n", "", ["wire_test"]),
    (WIRE, "  fields.Time(\"bytes overhead\", times.bytes_overhead, {}, kMaxPeriod);\n", "", ["wire_test"]),
    (WIRE, "  fields.Time(\"connect timeout\", job.connect_timeout, std::chrono::milliseconds(1), kMaxPeriod);\n", "",
     ["wire_test"]),
    (WIRE, "fields.OptionalNumber(name, *ratio, 0, kMaxCpuRatio);", "fields.OptionalNumber(name, *ratio, 0, kMaxCount);",
     ["wire_test"]),
    (WIRE, "fields.Enum(\"sandbox layer\", state, LayerState::kEnabled);",
     "fields.Enum(\"sandbox layer\", state, static_cast<LayerState>(255));", ["wire_test"]),
    (FIELDS, "!value || (*value >= min && *value <= max)", "!value || *value >= min || *value <= max", ["wire_test", "option_table_test"]),
    (FIELDS, "if (is_reading_ && !condition && bad_field_ == nullptr) bad_field_ = name;",
     "if (is_reading_ && !condition) bad_field_ = name;", ["wire_test"]),
    (OPTION_TABLE, "name.size() > kMaxKernelNameBytes", "name.size() >= kMaxKernelNameBytes", ["option_table_test", "probe_request_test"]),
    (OPTION_TABLE, "bounds.max -= CountStreams(test) - 1;", "bounds.max -= test.parallel - 1;", ["option_table_test", "probe_request_test"]),
    (OPTION_TEXT, "{\"af31\", 26}", "{\"af31\", 24}", ["option_table_test"]),
    (OPTION_TEXT, "static_cast<std::uint64_t>(std::llround(scaled))", "static_cast<std::uint64_t>(scaled)",
     ["probe_request_test"]),
    (DEFECTS, "*number < defect.fixed_in", "*number <= defect.fixed_in", ["defects_test"]),
]
