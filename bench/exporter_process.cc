#include "bench/exporter_process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

namespace iperf3_exporter::bench {
namespace {

struct Child {
  pid_t pid;
  UniqueFd output;
};

// `output_fd` of the child (1 or 2) goes into the pipe that is given back.
Child Spawn(const std::vector<std::string>& argv, int output_fd) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) Die("pipe");
  UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), output_fd);
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, pointers[0], &actions, nullptr, pointers.data(), environ) != 0) {
    Die("cannot start " + argv[0]);
  }
  ::posix_spawn_file_actions_destroy(&actions);
  return {pid, std::move(read_end)};
}

// Reads from `fd` until `text` holds `wanted`.
void ReadUntil(int fd, std::string& text, std::string_view wanted) {
  char buffer[4096];
  while (text.find(wanted) == std::string::npos) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got <= 0) Die("the exporter ended:\n" + text);
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

int PortIn(const std::string& log) {
  const std::size_t at = log.find("address=127.0.0.1:");
  if (at == std::string::npos) Die("no port in the log:\n" + log);
  return std::atoi(log.c_str() + at + std::strlen("address=127.0.0.1:"));
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

ExporterProcess::ExporterProcess(std::vector<std::string> flags)
    : lock_name_("iperf3_exporter_bench." + std::to_string(::getpid())) {
  std::vector<std::string> argv = {BENCH_BINARY_DIR "/iperf3_exporter",
                                   "--web.listen-address=127.0.0.1:0", "--lock.name=" + lock_name_};
  argv.insert(argv.end(), flags.begin(), flags.end());
  Child child = Spawn(argv, STDERR_FILENO);
  pid_ = child.pid;
  log_ = std::move(child.output);
  std::string log;
  ReadUntil(log_.get(), log, "msg=ready");
  port_ = PortIn(log);
  connection_.emplace(port_);
}

ExporterProcess::~ExporterProcess() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
  for (const std::string& name : {"/sem." + lock_name_, "/" + lock_name_ + "@board"}) {
    ::unlink(("/dev/shm" + name).c_str());
  }
}

const std::string& ExporterProcess::Get(const std::string& path_and_query) {
  connection_->Ask(path_and_query);
  while (!connection_->Read()) {
  }
  return connection_->answer();
}

std::size_t ExporterProcess::ProportionalBytes() const {
  std::size_t total = ProportionalBytesOf(pid_);
  const std::string task = std::to_string(pid_);
  std::ifstream children("/proc/" + task + "/task/" + task + "/children");
  pid_t child = 0;
  while (children >> child) total += ProportionalBytesOf(child);
  return total;
}

RealServer::RealServer() {
  UniqueFd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  socklen_t length = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    Die("no free port");
  }
  port_ = ntohs(address.sin_port);
  probe.Reset();
  Child child =
      Spawn({"iperf3", "-s", "--forceflush", "-B", "127.0.0.1", "-p", std::to_string(port_)},
            STDOUT_FILENO);
  pid_ = child.pid;
  output_ = std::move(child.output);
  // Nobody reads on: what it says of a thousand tests must fit, or it would wait for ever.
  constexpr int kPipeBytes = 1 << 20;
  if (::fcntl(output_.get(), F_SETPIPE_SZ, kPipeBytes) < 0) Die("size of a pipe");
  std::string greeting;
  ReadUntil(output_.get(), greeting, "Server listening");
}

RealServer::~RealServer() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::string RunProgram(const std::vector<std::string>& argv) {
  const Child child = Spawn(argv, STDOUT_FILENO);
  std::string output;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = ::read(child.output.get(), buffer, sizeof buffer)) > 0) {
    output.append(buffer, static_cast<std::size_t>(got));
  }
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  if (status != 0) Die(argv[0] + " failed");
  return output;
}

}  // namespace iperf3_exporter::bench
