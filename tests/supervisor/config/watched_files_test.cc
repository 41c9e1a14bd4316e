#include "supervisor/config/watched_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "supervisor/config/reloadable_file.h"
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
  EXPECT_TRUE(changed_by([this] { Write("b", "appeared"); }));
  EXPECT_TRUE(changed_by([this] { std::filesystem::remove(Path("a")); }));
  EXPECT_FALSE(changed_by([] {}));
}

TEST_F(WatchedFilesTest, ReadsRegularFilesUpToALimit) {
  Write("a", std::string(kMaxConfigBytes, 'x'));
  EXPECT_EQ(ReadConfigFile(Path("a"))->size(), kMaxConfigBytes);
  Write("a", std::string(kMaxConfigBytes + 1, 'x'));
  EXPECT_EQ(ReadConfigFile(Path("a")).error().message, Path("a") + ": larger than 1048576 bytes");
  EXPECT_EQ(ReadConfigFile(directory_.path()).error().message,
            directory_.path().string() + ": not a file");
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(ReadConfigFile(Path("fifo")).error().message, Path("fifo") + ": not a file");
}

// The state is taken before the read: the load below reads the file, then it changes, and only then
// does the load end.
TEST_F(WatchedFilesTest, LoadsAgainAfterAChangeDuringALoad) {
  Write("a", "1");
  std::vector<std::string> loaded;
  ReloadableFile file("test file", [&](const std::string& path, WatchedFiles& files) -> Status {
    loaded.push_back(files.Read(path).value_or("none"));
    if (loaded.size() == 1) Replace("a", "22");
    return {};
  });
  ASSERT_TRUE(file.LoadFirst(Path("a")));
  file.ReloadIfChanged();
  file.ReloadIfChanged();
  EXPECT_EQ(loaded, (std::vector<std::string>{"1", "22"}));
}

TEST_F(WatchedFilesTest, RetriesAFailedLoadOnlyAfterAChange) {
  Write("a", "good");
  int loads = 0;
  ReloadableFile file("test file", [&](const std::string& path, WatchedFiles& files) -> Status {
    ++loads;
    const auto text = files.Read(path);
    if (!text || *text != "good") return MakeError("bad");
    return {};
  });
  ASSERT_TRUE(file.LoadFirst(Path("a")));
  const double first = file.last_reload_success_seconds();
  Replace("a", "bad!");
  for (int i = 0; i < 3; ++i) file.ReloadIfChanged();
  EXPECT_EQ(loads, 2);
  EXPECT_FALSE(file.last_reload_successful());
  EXPECT_EQ(file.last_reload_success_seconds(), first);
  EXPECT_FALSE(file.Reload());
  Replace("a", "good");
  file.ReloadIfChanged();
  EXPECT_EQ(loads, 4);
  EXPECT_TRUE(file.last_reload_successful());
  EXPECT_GT(file.last_reload_success_seconds(), first);
}

TEST_F(WatchedFilesTest, ReloadsNothingWithoutAFile) {
  ReloadableFile file("test file", [](const auto&, auto&) -> Status { return MakeError("bad"); });
  EXPECT_TRUE(file.Reload());
  file.ReloadIfChanged();
  EXPECT_TRUE(file.last_reload_successful());
  EXPECT_GT(file.last_reload_success_seconds(), 0);
}

}  // namespace
}  // namespace iperf3_exporter
