#include "bench/exporter_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

#include "bench/measure.h"

namespace iperf3_exporter::bench {
namespace {

// Ends what still runs when Die exits.
struct RunningChildren {
  ~RunningChildren() {
    for (const pid_t pid : pids) ::kill(pid, SIGTERM);
  }
  std::set<pid_t> pids;
};
RunningChildren g_children;

int PortIn(const std::string& log) {
  constexpr std::string_view kBefore = "address=127.0.0.1:";
  const std::size_t at = log.find(kBefore);
  if (at == std::string::npos) Die("no port in the log:\n" + log);
  return std::atoi(log.c_str() + at + kBefore.size());
}

int FreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = LoopbackAddress(0);
  socklen_t length = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), name, length) != 0 || ::getsockname(fd.get(), name, &length) != 0) {
    Die("no free port");
  }
  return ntohs(address.sin_port);
}

std::size_t ProportionalBytesOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (file >> word) {
    std::size_t kibibytes = 0;
    if (word == "Pss:" && file >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& argv, int output_fd) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) Die("pipe");
  output_ = UniqueFd(ends[0]);
  const UniqueFd write_end(ends[1]);
  // The parent may stop reading, and a full pipe would block the child: room for 1,000 tests.
  constexpr int kPipeBytes = 1 << 20;
  if (::fcntl(output_.get(), F_SETPIPE_SZ, kPipeBytes) < 0) Die("size of a pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), output_fd);
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  if (::posix_spawnp(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ) != 0) {
    Die("cannot start " + argv[0]);
  }
  g_children.pids.insert(pid_);
  ::posix_spawn_file_actions_destroy(&actions);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  g_children.pids.erase(pid_);
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::string ChildProcess::ReadUntil(std::string_view expected) {
  std::string text;
  char buffer[4096];
  while (text.find(expected) == std::string::npos) {
    const ssize_t bytes = ::read(output_.get(), buffer, sizeof buffer);
    if (bytes <= 0) Die("a program exited early:\n" + text);
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
  return text;
}

std::string ChildProcess::ReadToEnd() {
  std::string text;
  char buffer[16384];
  ssize_t bytes = 0;
  while ((bytes = ::read(output_.get(), buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  g_children.pids.erase(std::exchange(pid_, -1));
  if (status != 0) Die("a program failed:\n" + text);
  return text;
}

ExporterProcess::ExporterProcess(const std::vector<std::string>& flags, std::string_view started)
    : lock_name_("iperf3_exporter_bench." + std::to_string(::getpid())) {
  std::vector<std::string> argv = {BENCH_BINARY_DIR "/iperf3_exporter",
                                   "--web.listen-address=127.0.0.1:0", "--lock.name=" + lock_name_};
  argv.insert(argv.end(), flags.begin(), flags.end());
  child_.emplace(argv, STDERR_FILENO);
  port_ = PortIn(child_->ReadUntil(started));
  connection_.emplace(port_);
}

ExporterProcess::~ExporterProcess() {
  child_.reset();
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().find(lock_name_) != std::string::npos) {
      ::unlink(entry.path().c_str());
    }
  }
}

const std::string& ExporterProcess::Get(const std::string& path_and_query) {
  connection_->Ask(path_and_query);
  while (!connection_->Read()) {
  }
  return connection_->response();
}

std::size_t ExporterProcess::ProportionalBytes() const {
  std::size_t total = ProportionalBytesOf(pid());
  const std::string task = std::to_string(pid());
  std::ifstream children("/proc/" + task + "/task/" + task + "/children");
  pid_t child = 0;
  while (children >> child) total += ProportionalBytesOf(child);
  return total;
}

RealServer::RealServer() : port_(FreePort()) {
  child_.emplace(std::vector<std::string>{"iperf3", "-s", "--forceflush", "-B", "127.0.0.1", "-p",
                                          std::to_string(port_)},
                 STDOUT_FILENO);
  (void)child_->ReadUntil("Server listening");
}

std::string RunProgram(const std::vector<std::string>& argv) {
  return ChildProcess(argv, STDOUT_FILENO).ReadToEnd();
}

}  // namespace iperf3_exporter::bench
