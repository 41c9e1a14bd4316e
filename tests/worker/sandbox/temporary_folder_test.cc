#include "worker/sandbox/temporary_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace iperf3_exporter {
namespace {

class TemporaryFolderTest : public ::testing::Test {
 protected:
  TemporaryFolderTest() {
    char path[] = "/tmp/temporary_folder_test.XXXXXX";
    EXPECT_NE(::mkdtemp(path), nullptr);
    parent_ = path;
    fd_.Reset(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~TemporaryFolderTest() override { std::filesystem::remove_all(parent_); }

  std::filesystem::path MakeFolder(const char* name) const {
    std::filesystem::path folder = parent_ / name;
    std::filesystem::create_directory(folder);
    for (const char* file : {"a", "b", "c"}) std::ofstream(folder / file) << "x";
    return folder;
  }

  std::filesystem::path parent_;
  UniqueFd fd_;
};

TEST_F(TemporaryFolderTest, RemovesFoldersThatNobodyUses) {
  const auto abandoned = MakeFolder("iperf3_exporter.0");
  const auto used = MakeFolder("iperf3_exporter.1");
  const auto foreign = MakeFolder("other");
  const UniqueFd user(::open(used.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(user.get(), LOCK_EX), 0);
  RemoveAbandonedFolders(parent_.c_str(), fd_.get(), Deadline::max());
  EXPECT_FALSE(std::filesystem::exists(abandoned));
  EXPECT_TRUE(std::filesystem::exists(used / "a"));
  EXPECT_TRUE(std::filesystem::exists(foreign / "a"));
}

// However much there is.
TEST_F(TemporaryFolderTest, RemovesNothingWhenTheTimeForItIsOver) {
  const auto abandoned = MakeFolder("iperf3_exporter.0");
  RemoveAbandonedFolders(parent_.c_str(), fd_.get(), Clock::now());
  EXPECT_TRUE(std::filesystem::exists(abandoned / "a"));
}

TEST_F(TemporaryFolderTest, HoldsTooMuchWithOneFileAboveTheMost) {
  for (unsigned i = 0; i < kMostFiles; ++i) std::ofstream(parent_ / std::to_string(i)) << "";
  EXPECT_FALSE(HoldsTooMuch(fd_.get()));
  std::ofstream(parent_ / "more") << "";
  EXPECT_TRUE(HoldsTooMuch(fd_.get()));
}

TEST_F(TemporaryFolderTest, HoldsTooMuchByWhatItsFilesTakeNotByTheirLength) {
  const auto path = parent_ / "file";
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::ftruncate(file.get(), off_t{1} << 34), 0);
  EXPECT_FALSE(HoldsTooMuch(fd_.get()));
  ASSERT_EQ(::posix_fallocate(file.get(), 0, static_cast<off_t>(kMostFileBytes) + 1), 0);
  EXPECT_TRUE(HoldsTooMuch(fd_.get()));
}

}  // namespace
}  // namespace iperf3_exporter
