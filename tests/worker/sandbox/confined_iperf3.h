// A worker that requires every layer, started in each possible way, with another program instead of
// iperf3, and the targets of that program: files, a lock, processes, ports.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "common/lock/lock_files.h"
#include "tests/test_paths.h"
#include "tests/worker/loop/worker_under_test.h"

namespace iperf3_exporter {

// A word for a stand-in (tests/helpers/stand_in.h), and the outcome of the attempt.
struct Attack {
  const char* word;
  const char* outcome;
};

inline constexpr char kAllowed[] = "allowed";
inline constexpr char kKilled[] = "sandbox_violation";  // by the system call filter

struct Start {
  const char* name;
  std::vector<std::string> prefix;
  uid_t user;  // of the worker at its start
};

inline std::vector<Start> Starts() {
  if (::geteuid() != 0) return {{"User", {}, ::geteuid()}};
  // Of its own, because another test may use up its user's tasks.
  const auto user = static_cast<uid_t>(0x70000000 + ::getpid());
  const std::string id = std::to_string(user);
  return {
      {"Root", {}, 0},
      {"User", {"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups"}, user},
      // As in a container without capabilities.
      {"RootWithoutCapabilities", {"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, 0},
  };
}

// Listens on a free port of loopback; the kernel accepts connections.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_.get(), 64), 0);
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  UniqueFd fd_;
  std::uint16_t port_ = 0;
};

// The value after `name` in a file such as /proc/<pid>/status, with single blanks; empty if there
// is none.
inline std::string LineOf(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, name.size(), name) != 0) continue;
    std::istringstream words(line.substr(name.size()));
    std::string value;
    for (std::string word; words >> word;) value += (value.empty() ? "" : " ") + word;
    return value;
  }
  return {};
}

inline std::string ProcPath(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

class ConfinedIperf3Test : public ::testing::TestWithParam<Start> {
 protected:
  explicit ConfinedIperf3Test(const char* program)
      : worker_(GetParam().prefix), other_worker_(GetParam().prefix) {
    MakeTargets();
    // A copy that every user can start: a checkout may be private to its owner.
    config_.iperf3_path = directory_path_ / program;
    std::filesystem::copy_file(BuiltProgram(program), config_.iperf3_path);
    ::chmod(config_.iperf3_path.c_str(), 0755);
    config_.sandbox = SandboxMode::kRequire;
    config_.lock_name = name_;
    config_.lock_scope = LockScope::kHost;
    ready_ = worker_.Configure(config_);
    EXPECT_EQ(other_worker_.Configure(config_).error, "");
  }
  ~ConfinedIperf3Test() override { RemoveTargets(); }

  Job MakeJob(const char* word, std::chrono::nanoseconds time = WorkerUnderTest::kWaitLimit) {
    Job job;
    job.id = ++last_id_;
    job.address = ParseIpAddress("127.0.0.1").value();
    job.port = server_.port();
    job.test.period_seconds = 1;
    // tests/helpers/stand_in.h reads these.
    job.test.congestion = word;
    job.test.length_bytes = elsewhere_.port();
    job.test.window_bytes = worker_.pid();
    job.test.bitrate_bits_per_second = other_worker_.pid();
    job.lock_key = MakeLockKey("host");
    const Deadline deadline = Clock::now() + time;
    job.times = BuildJobTimes(job.test, deadline, deadline);
    return job;
  }

  JobEnd Run(const char* word, std::chrono::nanoseconds time = WorkerUnderTest::kWaitLimit) {
    return worker_.Run(MakeJob(word, time));
  }

  static std::string Describe(const JobEnd& result) {
    if (result.Succeeded()) return ": succeeded";
    return ": " + std::string(Name(result.reason())) + ", " + result.detail();
  }

  // The outcome of a job: "allowed", "refused: EACCES", or the reason of its failure.
  static std::string Outcome(const JobEnd& result) {
    if (result.Succeeded()) return "allowed";
    const bool refused = result.detail().compare(0, 8, "refused:") == 0;
    return refused ? result.detail() : std::string(Name(result.reason()));
  }

  // Stops at the first unexpected outcome: its effects may let others succeed.
  void ExpectEach(std::span<const Attack> attacks) {
    for (const Attack& attack : attacks) {
      const JobEnd result = Run(attack.word);
      ASSERT_EQ(Outcome(result), attack.outcome) << attack.word << Describe(result);
      ExpectGoodJob(attack.word);
      ExpectTargetsIntact(attack.word);
      if (HasFailure()) return;
    }
  }

  virtual void ExpectTargetsIntact(const char* after) const { static_cast<void>(after); }

  void ExpectGoodJob(const char* after) {
    const JobEnd result = Run("");
    EXPECT_TRUE(result.Succeeded()) << "after " << after << Describe(result);
  }

  // Whether the worker has a file system of its own for iperf3.
  [[nodiscard]] bool HasOwnMount() const {
    return ready_.sandbox.worker[static_cast<std::size_t>(SandboxLayer::kNamespaces)] ==
           LayerState::kEnabled;
  }

  [[nodiscard]] bool CanInspectWorker() const { return ::geteuid() == 0; }

  // Waits for the running iperf3 of worker_; -1: it does not appear.
  [[nodiscard]] pid_t FindIperf3() const {
    return worker_.FindIperf3(std::filesystem::canonical(config_.iperf3_path));
  }

  const Listener server_;
  const Listener elsewhere_;
  // Known to the stand-in by the port.
  const std::string name_ = "hostile_iperf3." + std::to_string(server_.port());
  const std::filesystem::path directory_path_ = "/tmp/" + name_;
  const std::filesystem::path key_ = directory_path_ / "key.pem";
  const std::filesystem::path own_ = directory_path_ / "own";
  const std::filesystem::path lock_ = LockFilePath(LockFile::kLock, name_, LockScope::kHost);
  WorkerConfig config_;
  WorkerUnderTest worker_;
  WorkerUnderTest other_worker_;
  SetUpAnswer ready_;
  std::uint64_t last_id_ = 0;

 private:
  void MakeTargets() {
    RemoveTargets();
    ASSERT_TRUE(CreateLockFiles(name_, LockScope::kHost));
    std::filesystem::create_directory(directory_path_);
    std::ofstream(key_) << "secret\n";
    std::ofstream(own_) << "content\n";
    ::chmod(directory_path_.c_str(), 0777);
    ::chmod(key_.c_str(), 0644);
    // These modes allow access, so only the sandbox prevents it.
    ::chmod(own_.c_str(), 0666);
    for (const LockFile file : kLockFiles) {
      const std::string path = LockFilePath(file, name_, LockScope::kHost);
      EXPECT_EQ(::chown(path.c_str(), GetParam().user, static_cast<gid_t>(-1)), 0);
    }
  }

  void RemoveTargets() const {
    std::error_code error;
    std::filesystem::remove_all(directory_path_, error);
    std::filesystem::remove("/dev/shm/" + name_ + ".new", error);
    for (const LockFile file : kLockFiles) {
      std::filesystem::remove(LockFilePath(file, name_, LockScope::kHost), error);
    }
  }
};

}  // namespace iperf3_exporter
