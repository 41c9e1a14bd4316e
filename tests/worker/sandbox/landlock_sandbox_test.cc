// Landlock alone, without a system call filter in front of it.
#include "worker/sandbox/landlock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

namespace fs = std::filesystem;

constexpr int kSetUpFailed = 200;

class LandlockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (LandlockAbi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
    fs::remove_all(root_);
    for (const char* name : {"read", "temporary", "other", "parent/empty"}) {
      fs::create_directories(root_ / name);
      std::ofstream(root_ / name / "file") << "content";
    }
    fs::remove(root_ / "parent/empty/file");
    // Static, because the rules allow no loader.
    for (const char* name : {"program", "read/program", "temporary/program"}) {
      fs::copy_file(BuiltProgram("static_iperf3"), root_ / name);
      ::chmod((root_ / name).c_str(), 0755);
    }
  }
  void TearDown() override { fs::remove_all(root_); }

  // The errno of `attempt` in a process under the rules; 0 if it succeeded.
  int Under(const std::function<bool()>& attempt) const {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !Enter()) ::_exit(kSetUpFailed);
      ::_exit(attempt() ? 0 : errno);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  int Open(const char* name, int flags) const {
    return Under([&] { return ::open((root_ / name).c_str(), flags, 0600) >= 0; });
  }

  const fs::path root_ = "/tmp/landlock_test." + std::to_string(::getpid());

 private:
  [[nodiscard]] bool Enter() const {
    const auto open = [this](const char* name) {
      return UniqueFd(::open((root_ / name).c_str(), O_PATH | O_CLOEXEC));
    };
    const UniqueFd read = open("read");
    const UniqueFd temporary = open("temporary");
    const UniqueFd parent = open("parent");
    const UniqueFd program = open("program");
    return EnterFileRules(LandlockAbi(), {{read.get(), FileAccess::kRead},
                                          {temporary.get(), FileAccess::kTemporaryFiles},
                                          {parent.get(), FileAccess::kRemoveDirectory},
                                          {program.get(), FileAccess::kExecute}})
        .has_value();
  }
};

TEST_F(LandlockTest, ReadsOnlyFilesWithARule) {
  EXPECT_EQ(Open("read/file", O_RDONLY), 0);
  EXPECT_EQ(Open("program", O_RDONLY), 0);
  EXPECT_EQ(Open("other/file", O_RDONLY), EACCES);
  EXPECT_EQ(Under([] { return ::open("/etc/passwd", O_RDONLY) >= 0; }), EACCES);
  EXPECT_EQ(Under([] { return ::open("/proc/self/mem", O_RDONLY) >= 0; }), EACCES);
}

TEST_F(LandlockTest, WritesOnlyTemporaryFiles) {
  EXPECT_EQ(Open("temporary/file", O_RDWR), 0);
  EXPECT_EQ(Open("temporary/new", O_RDWR | O_CREAT | O_EXCL), 0);
  EXPECT_EQ(Open("read/file", O_WRONLY), EACCES);
  EXPECT_EQ(Open("read/new", O_RDWR | O_CREAT | O_EXCL), EACCES);
  EXPECT_EQ(Open("program", O_WRONLY), EACCES);
  EXPECT_EQ(Open("other/new", O_RDWR | O_CREAT | O_EXCL), EACCES);
}

TEST_F(LandlockTest, RemovesOnlyTemporaryFilesAndTheirDirectory) {
  const auto unlink = [this](const char* name, int flags) {
    return Under([&] { return ::unlinkat(AT_FDCWD, (root_ / name).c_str(), flags) == 0; });
  };
  EXPECT_EQ(unlink("temporary/file", 0), 0);
  EXPECT_EQ(unlink("parent/empty", AT_REMOVEDIR), 0);
  EXPECT_EQ(unlink("read/file", 0), EACCES);
  EXPECT_EQ(unlink("other/file", 0), EACCES);
  EXPECT_EQ(unlink("temporary", AT_REMOVEDIR), EACCES);
}

TEST_F(LandlockTest, CreatesOnlyRegularFiles) {
  const std::string path = root_ / "temporary/new";
  EXPECT_EQ(Under([&] { return ::mkdir(path.c_str(), 0700) == 0; }), EACCES);
  EXPECT_EQ(Under([&] { return ::symlink("/", path.c_str()) == 0; }), EACCES);
  EXPECT_EQ(Under([&] { return ::mkfifo(path.c_str(), 0600) == 0; }), EACCES);
  EXPECT_NE(Under([&] {
              return ::rename((root_ / "temporary/file").c_str(), (root_ / "read/new").c_str()) ==
                     0;
            }),
            0);
}

TEST_F(LandlockTest, TruncatesOnlyTemporaryFiles) {
  if (LandlockAbi() < 3) GTEST_SKIP() << "this kernel has no rule for it";
  const auto truncate = [this](const char* name) {
    return Under([&] { return ::truncate((root_ / name).c_str(), 0) == 0; });
  };
  EXPECT_EQ(truncate("temporary/file"), 0);
  EXPECT_EQ(truncate("read/file"), EACCES);
  EXPECT_EQ(truncate("other/file"), EACCES);
}

TEST_F(LandlockTest, ExecutesNothingWithoutARule) {
  const auto execute = [this](const std::string& path) {
    return Under([&] {
      char* const argv[] = {const_cast<char*>("iperf3"), const_cast<char*>("--version"), nullptr};
      return ::execv(path.c_str(), argv) == 0;
    });
  };
  EXPECT_EQ(execute(root_ / "program"), 0);
  EXPECT_EQ(execute("/bin/true"), EACCES);
  EXPECT_EQ(execute(root_ / "read/program"), EACCES);
  EXPECT_EQ(execute(root_ / "temporary/program"), EACCES);
}

TEST_F(LandlockTest, CannotSignalProcessesOutside) {
  if (LandlockAbi() < 6) GTEST_SKIP() << "this kernel has no rule for it";
  const pid_t outside = ::getpid();
  EXPECT_EQ(Under([&] { return ::kill(outside, 0) == 0; }), EPERM);
  EXPECT_EQ(Under([] { return ::kill(::getpid(), 0) == 0; }), 0);
}

TEST_F(LandlockTest, CannotConnectToAbstractSocketsOutside) {
  if (LandlockAbi() < 6) GTEST_SKIP() << "this kernel has no rule for it";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "landlock_test.%d", ::getpid());
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  const UniqueFd server(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(server.get(), name, sizeof address), 0);
  EXPECT_EQ(
      Under([&] { return ::connect(::socket(AF_UNIX, SOCK_DGRAM, 0), name, sizeof address) == 0; }),
      EPERM);
}

// The rules of one job.
class LandlockPortsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (LandlockAbi() < kLandlockAbiWithPorts) GTEST_SKIP() << "this kernel has no port rules";
    for (int i = 0; i < 2; ++i) {
      listeners_[i].Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in address = Loopback(0);
      socklen_t size = sizeof address;
      auto* const name = reinterpret_cast<sockaddr*>(&address);
      ASSERT_EQ(::bind(listeners_[i].get(), name, size), 0);
      ASSERT_EQ(::listen(listeners_[i].get(), 8), 0);
      ASSERT_EQ(::getsockname(listeners_[i].get(), name, &size), 0);
      ports_[i] = ntohs(address.sin_port);
    }
  }

  static sockaddr_in Loopback(std::uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  // The errno of connecting or binding a socket under the rules; 0: it succeeded.
  template <typename Call>
  static int Under(std::uint16_t allowed, bool binds_port, Call call, std::uint16_t port) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto rules = CreatePortRules(allowed, binds_port);
      if (!rules || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !RestrictSelf(rules->get())) {
        ::_exit(kSetUpFailed);
      }
      const sockaddr_in address = Loopback(port);
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      const auto* const name = reinterpret_cast<const sockaddr*>(&address);
      ::_exit(call(fd, name, sizeof address) == 0 ? 0 : errno);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  UniqueFd listeners_[2];
  std::uint16_t ports_[2] = {};
};

TEST_F(LandlockPortsTest, ConnectToOnlyOnePort) {
  EXPECT_EQ(Under(ports_[0], false, ::connect, ports_[0]), 0);
  EXPECT_EQ(Under(ports_[0], false, ::connect, ports_[1]), EACCES);
  EXPECT_EQ(Under(ports_[0], true, ::connect, ports_[1]), EACCES);
}

TEST_F(LandlockPortsTest, ConnectNowhereWithoutAPort) {
  EXPECT_EQ(Under(0, false, ::connect, ports_[0]), EACCES);
}

TEST_F(LandlockPortsTest, BindOnlyIfRequested) {
  EXPECT_EQ(Under(ports_[0], false, ::bind, 0), EACCES);
  EXPECT_EQ(Under(ports_[0], true, ::bind, 0), 0);
}

}  // namespace
}  // namespace iperf3_exporter
