#include "supervisor/config/reloadable_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

class ReloadableFileTest : public testing::Test {
 protected:
  // The file's text names a second file, as a web configuration names its certificate.
  ReloadableFileTest()
      : file_(
            "test file",
            [this](const std::string& path, WatchedFiles& files) -> Result<ReloadableFile::Apply> {
              ++reads_;
              const std::string text = files.Read(path).value_or("none");
              const std::string named = files.Read(Path(text)).value_or("");
              if (during_read_) during_read_();
              if (text == "bad") return MakeError("bad");
              return [this, all = text + named](ReloadTrigger trigger) -> Status {
                if (all == "refused") return MakeError("refused");
                applied_.push_back(all);
                trigger_ = trigger;
                return {};
              };
            }) {
    Write("file", "1");
    EXPECT_TRUE(file_.LoadFirst(Path("file")));
    applied_.clear();
  }

  std::string Path(const std::string& name) const { return directory_ / name; }
  // By rename: another inode each time, so that no clock has to tick between two of them.
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path("new")) << text;
    std::filesystem::rename(Path("new"), Path(name));
  }
  // A read at `time` after the start; returns what has been applied until then.
  std::vector<std::string> ReadAt(milliseconds time) {
    next_ = file_.ReloadIfChanged(Clock::time_point() + time);
    return applied_;
  }

  using Texts = std::vector<std::string>;

  const TemporaryDirectory directory_;
  int reads_ = 0;
  std::function<void()> during_read_;
  Texts applied_;
  ReloadTrigger trigger_{};
  milliseconds next_{0};
  ReloadableFile file_;
};

TEST_F(ReloadableFileTest, AppliesAChangeThatTwoReadsAgreeOn) {
  EXPECT_EQ(ReadAt(milliseconds(0)), Texts());
  EXPECT_EQ(next_, ReloadableFile::kCheckInterval);
  EXPECT_EQ(reads_, 1);
  Write("file", "2");
  EXPECT_EQ(ReadAt(milliseconds(500)), Texts());
  EXPECT_EQ(next_, ReloadableFile::kStableTime);
  EXPECT_EQ(ReadAt(milliseconds(599)), Texts());
  EXPECT_EQ(ReadAt(milliseconds(600)), Texts{"2"});
  EXPECT_EQ(trigger_, ReloadTrigger::kFileChanged);
  EXPECT_EQ(next_, ReloadableFile::kCheckInterval);
  EXPECT_EQ(ReadAt(milliseconds(1100)), Texts{"2"});
}

TEST_F(ReloadableFileTest, AReadingThatWasNotAppliedWaitsForTheNextRequest) {
  Write("file", "2");
  auto reading = file_.Read();
  reading.apply = MakeError("another file is invalid");
  EXPECT_FALSE(file_.Reload(std::move(reading)));
  ReadAt(milliseconds(500));
  EXPECT_EQ(ReadAt(milliseconds(700)), Texts());
  EXPECT_TRUE(file_.Reload(file_.Read()));
  EXPECT_EQ(applied_, Texts{"2"});
}

TEST_F(ReloadableFileTest, AppliesNothingThatChangesBetweenTheReads) {
  Write("file", "2");
  EXPECT_EQ(ReadAt(milliseconds(0)), Texts());
  Write("file", "3");
  EXPECT_EQ(ReadAt(milliseconds(100)), Texts());
  EXPECT_EQ(ReadAt(milliseconds(200)), Texts{"3"});
}

TEST_F(ReloadableFileTest, AppliesNothingIfANamedFileChangesBetweenTheReads) {
  Write("named", "A");
  Write("file", "named");
  EXPECT_EQ(ReadAt(milliseconds(0)), Texts());
  Write("named", "B");
  EXPECT_EQ(ReadAt(milliseconds(100)), Texts());
  EXPECT_EQ(ReadAt(milliseconds(200)), Texts{"namedB"});
}

TEST_F(ReloadableFileTest, AppliesNothingThatChangesDuringARead) {
  for (const int changing_read : {1, 2}) {
    applied_.clear();
    Write("file", "2");
    for (int read = 1; read <= 2; ++read) {
      if (read == changing_read) during_read_ = [this] { Write("file", "3"); };
      EXPECT_EQ(ReadAt(milliseconds(100 * read)), Texts());
      during_read_ = nullptr;
    }
    (void)ReadAt(milliseconds(300));
    EXPECT_EQ(ReadAt(milliseconds(400)), Texts{"3"});
  }
}

TEST_F(ReloadableFileTest, ForgetsAReadAfterTheChangeWasUndone) {
  const auto point_to = [this](const std::string& name) {
    std::filesystem::create_symlink(Path(name), Path("new"));
    std::filesystem::rename(Path("new"), Path("link"));
  };
  Write("other", "2");
  point_to("file");
  ASSERT_TRUE(file_.LoadFirst(Path("link")));
  applied_.clear();
  point_to("other");
  EXPECT_EQ(ReadAt(milliseconds(500)), Texts());
  point_to("file");
  EXPECT_EQ(ReadAt(milliseconds(600)), Texts());
  point_to("other");
  EXPECT_EQ(ReadAt(milliseconds(700)), Texts()) << "one read since the change";
  EXPECT_EQ(ReadAt(milliseconds(800)), Texts{"2"});
}

TEST_F(ReloadableFileTest, ForgetsAReadAfterAReload) {
  std::filesystem::remove(Path("file"));
  (void)ReadAt(milliseconds(0));
  Write("file", "2");
  ASSERT_TRUE(file_.Reload(file_.Read()));
  EXPECT_EQ(applied_, Texts{"2"});
  EXPECT_EQ(trigger_, ReloadTrigger::kRequested);
  std::filesystem::remove(Path("file"));
  EXPECT_EQ(ReadAt(milliseconds(1000)), Texts{"2"});
  EXPECT_EQ(ReadAt(milliseconds(1100)), (Texts{"2", "none"}));
}

TEST_F(ReloadableFileTest, ReadsAgainOnRequestIfTheFileChangesMeanwhile) {
  Write("file", "2");
  during_read_ = [this] {
    Write("file", "3");
    during_read_ = nullptr;
  };
  ASSERT_TRUE(file_.Reload(file_.Read()));
  EXPECT_EQ(applied_, Texts{"3"});
}

TEST_F(ReloadableFileTest, RefusesOnRequestAFileThatNeverStaysTheSame) {
  during_read_ = [this] { Write("file", "2"); };
  const Status status = file_.Reload(file_.Read());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, Path("file") + ": keeps changing while it is being read");
  EXPECT_EQ(applied_, Texts());
  EXPECT_FALSE(file_.last_reload_successful());
  during_read_ = nullptr;
  (void)ReadAt(milliseconds(0));
  EXPECT_EQ(ReadAt(milliseconds(100)), Texts{"2"});
  EXPECT_TRUE(file_.last_reload_successful());
}

TEST_F(ReloadableFileTest, RetriesAFailureOnlyAfterAChange) {
  const double first = file_.last_reload_success_seconds();
  for (const char* text : {"bad", "refused"}) {
    Write("file", text);
    reads_ = 0;
    for (int i = 0; i < 5; ++i) (void)ReadAt(milliseconds(100 * i));
    EXPECT_EQ(reads_, 2);
    EXPECT_FALSE(file_.last_reload_successful());
    EXPECT_EQ(file_.last_reload_success_seconds(), first);
    EXPECT_FALSE(file_.Reload(file_.Read()));
  }
  Write("file", "2");
  (void)ReadAt(milliseconds(500));
  EXPECT_EQ(ReadAt(milliseconds(600)), Texts{"2"});
  EXPECT_TRUE(file_.last_reload_successful());
  EXPECT_GT(file_.last_reload_success_seconds(), first);
}

TEST_F(ReloadableFileTest, ReloadsNothingWithoutAFile) {
  ReloadableFile file("test file", [](const auto&, auto&) -> Result<ReloadableFile::Apply> {
    return MakeError("bad");
  });
  EXPECT_TRUE(file.Reload(file.Read()));
  (void)file.ReloadIfChanged({});
  EXPECT_TRUE(file.last_reload_successful());
  EXPECT_GT(file.last_reload_success_seconds(), 0);
}

}  // namespace
}  // namespace iperf3_exporter
