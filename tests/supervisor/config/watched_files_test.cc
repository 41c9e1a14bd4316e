#include "supervisor/config/watched_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

class WatchedFilesTest : public testing::Test {
 protected:
  std::string Path(const char* name) const { return directory_ / name; }
  void Write(const char* name, const std::string& text) const { std::ofstream(Path(name)) << text; }
  // Another size or another inode each: no clock has to tick between two of them.
  void Replace(const char* name, const std::string& text) const {
    Write("new", text);
    std::filesystem::rename(Path("new"), Path(name));
  }

  [[nodiscard]] struct stat StatusOf(const char* name) const {
    struct stat status {};
    EXPECT_EQ(::stat(Path(name).c_str(), &status), 0);
    return status;
  }
  // In place, and sets the time of modification back as `cp -p` and `rsync --times` do. The
  // kernel's clock of such times has to tick before it shows.
  void RewriteInThePast(const char* name, const std::string& text) const {
    const struct stat before = StatusOf(name);
    const timespec times[] = {before.st_atim, before.st_mtim};
    struct stat now = before;
    while (now.st_ctim.tv_sec == before.st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == before.st_ctim.tv_nsec) {
      Write(name, text);
      ASSERT_EQ(::utimensat(AT_FDCWD, Path(name).c_str(), times, 0), 0);
      now = StatusOf(name);
    }
    ASSERT_EQ(now.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  }

  const TemporaryDirectory directory_;
};

TEST_F(WatchedFilesTest, DetectsEveryKindOfChange) {
  Write("a", "1");
  const auto changed_by = [this](auto change) {
    WatchedFiles files;
    (void)files.Read(Path("a"));
    (void)files.Read(Path("b"));
    EXPECT_FALSE(files.HaveChanged());
    change();
    return files.HaveChanged();
  };
  EXPECT_TRUE(changed_by([this] { Write("a", "12"); }));
  EXPECT_TRUE(changed_by([this] { Replace("a", "34"); }));
  EXPECT_TRUE(changed_by([this] { RewriteInThePast("a", "56"); }));
  EXPECT_TRUE(changed_by([this] { Write("b", "appeared"); }));
  EXPECT_TRUE(changed_by([this] { std::filesystem::remove(Path("a")); }));
  EXPECT_FALSE(changed_by([] {}));
}

TEST_F(WatchedFilesTest, ReadsRegularFilesUpToALimit) {
  Write("a", std::string(kMaxConfigBytes, 'x'));
  EXPECT_EQ(ReadConfigFile(Path("a"))->size(), kMaxConfigBytes);
  Write("a", std::string(kMaxConfigBytes + 1, 'x'));
  EXPECT_EQ(ReadConfigFile(Path("a")).error().message, Path("a") + ": larger than 8388608 bytes");
  EXPECT_EQ(ReadConfigFile(directory_.path()).error().message,
            directory_.path().string() + ": not a file");
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(ReadConfigFile(Path("fifo")).error().message, Path("fifo") + ": not a file");
}

// The kernel says that such a file is empty, like one that is truncated between stat(2) and
// open(2).
TEST_F(WatchedFilesTest, CountsATextOfAnotherSizeAsChanged) {
  WatchedFiles files;
  ASSERT_FALSE(files.Read("/proc/self/status")->empty());
  EXPECT_TRUE(files.HaveChanged());
}

TEST_F(WatchedFilesTest, ComparesStates) {
  const auto read = [this] {
    WatchedFiles files;
    (void)files.Read(Path("a"));
    return files;
  };
  Write("a", "1");
  const WatchedFiles before = read();
  EXPECT_EQ(read(), before);
  Replace("a", "2");
  EXPECT_NE(read(), before);
}

}  // namespace
}  // namespace iperf3_exporter
