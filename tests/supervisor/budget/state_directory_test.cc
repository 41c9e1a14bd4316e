#include "supervisor/budget/state_directory.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMaxBytes = 1000;

class StateDirectoryTest : public testing::Test {
 protected:
  [[nodiscard]] StateDirectory Open() const {
    return StateDirectory::Open(temporary_.path()).value();
  }
  [[nodiscard]] std::string OpenError() const {
    const auto directory = StateDirectory::Open(temporary_.path());
    return directory ? std::string() : directory.error().message;
  }
  static std::string ReadError(const StateDirectory& directory, const std::string& name) {
    const auto content = directory.Read(name, kMaxBytes);
    return content ? std::string() : content.error().message;
  }

  TemporaryDirectory temporary_;
};

TEST_F(StateDirectoryTest, ReadsWhatWasWritten) {
  const StateDirectory directory = Open();
  EXPECT_EQ(directory.Read("a", kMaxBytes).value(), std::nullopt);
  ASSERT_TRUE(directory.Write("a", "one"));
  EXPECT_EQ(directory.Read("a", kMaxBytes).value(), "one");
  ASSERT_TRUE(directory.Write("a", std::string(kMaxBytes, 'x')));
  EXPECT_EQ(directory.Read("a", kMaxBytes).value(), std::string(kMaxBytes, 'x'));
  ASSERT_TRUE(directory.Write("a", ""));
  EXPECT_EQ(directory.Read("a", kMaxBytes).value(), "");
  struct stat status {};
  ASSERT_EQ(::stat((temporary_ / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(StateDirectoryTest, OverwritesWhatACrashLeft) {
  std::ofstream(temporary_ / ".a") << "a long line that a crash has left";
  const StateDirectory directory = Open();
  ASSERT_TRUE(directory.Write("a", "one"));
  EXPECT_EQ(directory.Read("a", kMaxBytes).value(), "one");
  EXPECT_FALSE(std::filesystem::exists(temporary_ / ".a"));
}

TEST_F(StateDirectoryTest, HasOneUserAtATime) {
  {
    const StateDirectory first = Open();
    const auto second = StateDirectory::Open(temporary_.path());
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another exporter uses it"));
    EXPECT_TRUE(second.error().is_transient);
    // A check disturbs no running exporter, and does not fail because of it.
    EXPECT_TRUE(StateDirectory::Check(temporary_.path()));
  }
  EXPECT_EQ(OpenError(), "");
}

TEST_F(StateDirectoryTest, RefusesADirectoryThatOthersCanWriteTo) {
  for (const auto permissions :
       {std::filesystem::perms::group_write, std::filesystem::perms::others_write}) {
    std::filesystem::permissions(temporary_.path(), permissions,
                                 std::filesystem::perm_options::add);
    EXPECT_THAT(OpenError(), HasSubstr("other users can write to it"));
    EXPECT_FALSE(StateDirectory::Check(temporary_.path()));
    std::filesystem::permissions(temporary_.path(), permissions,
                                 std::filesystem::perm_options::remove);
  }
  EXPECT_EQ(OpenError(), "");
}

TEST_F(StateDirectoryTest, RefusesWhatIsNotItsDirectory) {
  EXPECT_THAT(StateDirectory::Open(temporary_ / "missing").error().message,
              HasSubstr("missing: No such file or directory"));
  std::ofstream(temporary_ / "file") << "x";
  EXPECT_THAT(StateDirectory::Open(temporary_ / "file").error().message,
              HasSubstr("file: Not a directory"));
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(::chown(temporary_.path().c_str(), 65534, 65534), 0);
  EXPECT_THAT(OpenError(), HasSubstr("belongs to user nobody (65534), expected user root (0)"));
}

TEST_F(StateDirectoryTest, RefusesFilesThatAreNotItsOwn) {
  const StateDirectory directory = Open();
  std::filesystem::create_directory(temporary_ / "directory");
  EXPECT_THAT(ReadError(directory, "directory"), HasSubstr("directory: not a file"));
  ASSERT_TRUE(directory.Write("a", "one"));
  std::filesystem::create_symlink("a", temporary_ / "link");
  EXPECT_THAT(ReadError(directory, "link"), HasSubstr("link: Too many levels of symbolic links"));
  ASSERT_EQ(::mkfifo((temporary_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadError(directory, "fifo"), HasSubstr("fifo: not a file"));
  std::ofstream(temporary_ / "large") << std::string(kMaxBytes + 1, 'x');
  EXPECT_THAT(ReadError(directory, "large"), HasSubstr("large: larger than 1000 bytes"));
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  std::ofstream(temporary_ / "foreign") << "x";
  ASSERT_EQ(::chown((temporary_ / "foreign").c_str(), 65534, 65534), 0);
  EXPECT_THAT(ReadError(directory, "foreign"), HasSubstr("foreign: belongs to user"));
}

TEST_F(StateDirectoryTest, SaysWhatCannotBeWritten) {
  const StateDirectory directory = Open();
  std::filesystem::create_directory(temporary_ / "a");
  const auto status = directory.Write("a", "one");
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("/a: rename: Is a directory"));
  EXPECT_FALSE(std::filesystem::exists(temporary_ / ".a"));
  std::filesystem::remove_all(temporary_.path());
  EXPECT_THAT(directory.Write("a", "one").error().message,
              HasSubstr("/a: open: No such file or directory"));
}

}  // namespace
}  // namespace iperf3_exporter
