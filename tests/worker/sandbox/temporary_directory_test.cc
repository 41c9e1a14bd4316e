#include "worker/sandbox/temporary_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "worker/sandbox/identity.h"

namespace iperf3_exporter {
namespace {

class TemporaryDirectoryTest : public ::testing::Test {
 protected:
  TemporaryDirectoryTest() {
    char path[] = "/tmp/temporary_directory_test.XXXXXX";
    EXPECT_NE(::mkdtemp(path), nullptr);
    parent_ = path;
    directory_.reset(::opendir(path));
  }
  ~TemporaryDirectoryTest() override { std::filesystem::remove_all(parent_); }

  std::filesystem::path MakeDirectory(const char* name) const {
    std::filesystem::path directory = parent_ / name;
    std::filesystem::create_directory(directory);
    for (const char* file : {"a", "b", "c"}) std::ofstream(directory / file) << "x";
    return directory;
  }

  std::filesystem::path parent_;
  Directory directory_;
};

TEST_F(TemporaryDirectoryTest, RemovesUnusedDirectories) {
  const auto abandoned = MakeDirectory("iperf3_exporter.0");
  const auto used = MakeDirectory("iperf3_exporter.1");
  const auto foreign = MakeDirectory("other");
  const UniqueFd user(::open(used.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(user.get(), LOCK_EX), 0);
  // Anybody may give a link such a name.
  std::filesystem::create_directory_symlink(foreign, parent_ / "iperf3_exporter.2");
  RemoveAbandonedDirectories(parent_.c_str(), Deadline::max());
  EXPECT_FALSE(std::filesystem::exists(abandoned));
  EXPECT_TRUE(std::filesystem::exists(used / "a"));
  EXPECT_TRUE(std::filesystem::exists(foreign / "a"));
}

TEST_F(TemporaryDirectoryTest, KeepsAFileForIperf3UntilItIsCleaned) {
  const auto temporary = TemporaryDirectory::CreatePrivate();
  ASSERT_TRUE(temporary);
  const auto path = temporary->Write("key", "text");
  ASSERT_TRUE(path) << path.error().message;
  std::string text;
  std::ifstream(*path) >> text;
  EXPECT_EQ(text, "text");
  EXPECT_EQ(temporary->Write("key", "other").error().message,
            "temporary directory: create: File exists");
  temporary->Clean();
  EXPECT_FALSE(std::filesystem::exists(*path));
}

TEST_F(TemporaryDirectoryTest, RootRemovesThoseOfTheWorkersUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto of_worker = MakeDirectory("iperf3_exporter.0");
  const auto of_user = MakeDirectory("iperf3_exporter.1");
  ASSERT_EQ(::chown(of_worker.c_str(), kFirstWorkerUid + kWorkerUids - 1, 0), 0);
  ASSERT_EQ(::chown(of_user.c_str(), kFirstWorkerUid + kWorkerUids, 0), 0);
  RemoveAbandonedDirectories(parent_.c_str(), Deadline::max());
  EXPECT_FALSE(std::filesystem::exists(of_worker));
  EXPECT_TRUE(std::filesystem::exists(of_user / "a"));
}

TEST_F(TemporaryDirectoryTest, RemovesNothingAfterTheDeadline) {
  const auto abandoned = MakeDirectory("iperf3_exporter.0");
  RemoveAbandonedDirectories(parent_.c_str(), Clock::now());
  EXPECT_TRUE(std::filesystem::exists(abandoned / "a"));
}

TEST_F(TemporaryDirectoryTest, MountAllowsNoPrograms) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount";
  const auto mounted = TemporaryDirectory::CreateMount();
  ASSERT_TRUE(mounted) << mounted.error().message;
  EXPECT_TRUE(mounted->IsNoExec());
  struct statvfs status = {};
  ASSERT_EQ(::fstatvfs(mounted->directory_fd(), &status), 0);
  EXPECT_TRUE((status.f_flag & ST_NOSUID) != 0 && (status.f_flag & ST_NODEV) != 0);
}

// In a child, which has its own mounts.
TEST_F(TemporaryDirectoryTest, PrefersAPrivateDirectoryWithoutPrograms) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", "/tmp", "tmpfs", 0, nullptr) != 0 ||
        ::mount("none", "/var/tmp", "tmpfs", MS_NOEXEC, nullptr) != 0) {
      ::_exit(1);
    }
    ::_exit(TemporaryDirectory::CreatePrivate().value().path().starts_with("/var/tmp/") ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0) << status;
}

TEST_F(TemporaryDirectoryTest, ExceedsQuotaWithOneFileAboveTheMaximum) {
  for (unsigned i = 0; i < kQuotaFiles; ++i) std::ofstream(parent_ / std::to_string(i)) << "";
  EXPECT_FALSE(ExceedsQuota(directory_.get()));
  std::ofstream(parent_ / "more") << "";
  EXPECT_TRUE(ExceedsQuota(directory_.get()));
}

TEST_F(TemporaryDirectoryTest, QuotaCountsAllocatedBytesNotLength) {
  const auto path = parent_ / "file";
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::ftruncate(file.get(), off_t{1} << 34), 0);
  EXPECT_FALSE(ExceedsQuota(directory_.get()));
  ASSERT_EQ(::posix_fallocate(file.get(), 0, static_cast<off_t>(kQuotaTotalBytes) + 1), 0);
  EXPECT_TRUE(ExceedsQuota(directory_.get()));
}

}  // namespace
}  // namespace iperf3_exporter
