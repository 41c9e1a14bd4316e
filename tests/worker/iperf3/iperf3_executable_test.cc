#include "worker/iperf3/iperf3_executable.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

class Iperf3ExecutableTest : public testing::Test {
 protected:
  Iperf3ExecutableTest() {
    std::filesystem::remove(path_);
    std::filesystem::copy_file(BuiltProgram("fake_iperf3"), path_);
    ::chmod(path_.c_str(), 0755);
  }
  ~Iperf3ExecutableTest() override { std::filesystem::remove(path_); }

  std::string Error() const {
    const auto program = OpenIperf3(path_);
    return program ? "" : program.error().message;
  }

  const std::string path_ = "/tmp/iperf3_executable_test." + std::to_string(::getpid());
};

TEST_F(Iperf3ExecutableTest, MayBelongToThisUser) { EXPECT_EQ(Error(), ""); }

TEST_F(Iperf3ExecutableTest, MustNotBelongToAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to change the owner";
  ASSERT_EQ(::chown(path_.c_str(), 60399, 0), 0);
  EXPECT_EQ(Error(), path_ + ": belongs to another user");
}

TEST_F(Iperf3ExecutableTest, MustNotBeWritableByOthers) {
  for (const mode_t mode : {0775, 0757}) {
    ::chmod(path_.c_str(), mode);
    EXPECT_EQ(Error(), path_ + ": is writable by group or others");
  }
}

// As rsync --times --inplace does.
TEST_F(Iperf3ExecutableTest, HasAnotherIdentityIfRewrittenWithItsOldTime) {
  const UniqueFd program = OpenIperf3(path_).value();
  const FileIdentity before = IdentityOf(program.get()).value();
  struct stat status = {};
  ::stat(path_.c_str(), &status);
  const timespec times[] = {status.st_atim, status.st_mtim};
  const UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  // Until the kernel's clock, which is a coarse one, has advanced.
  do {
    ASSERT_EQ(::pwrite(file.get(), "\x7f", 1, 0), 1);
    ASSERT_EQ(::futimens(file.get(), times), 0);
    ASSERT_EQ(::fstat(file.get(), &status), 0);
  } while (status.st_ctim.tv_nsec == before.changed_ns % 1'000'000'000);
  const FileIdentity after = IdentityOf(program.get()).value();
  EXPECT_EQ(after.modified_ns, before.modified_ns);
  EXPECT_NE(after, before);
}

}  // namespace
}  // namespace iperf3_exporter
