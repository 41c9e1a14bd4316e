#include "supervisor/auth/public_key.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

// The file has a key of 1024 bits.
TestCredentials WithShortKey(std::size_t username_bytes, std::size_t password_bytes) {
  std::ifstream file(TestData("config/short.pub"));
  return {std::string(username_bytes, 'u'), std::string(password_bytes, 'p'),
          std::string(std::istreambuf_iterator<char>(file), {})};
}

TEST(PublicKeyTest, NameAndPasswordMustFitTogether) {
  EXPECT_TRUE(CheckPublicKey(WithShortKey(16, 40)));
  for (const auto& [username, password] : {std::pair(17U, 40U), std::pair(16U, 41U)}) {
    const Status checked = CheckPublicKey(WithShortKey(username, password));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().message,
              "this key of 1024 bits is too short for the user name and the password: together "
              "they must be at most 56 bytes long");
  }
}

// The next call of OpenSSL that fails would report them.
TEST(PublicKeyTest, LeavesNoErrorsInTheQueueOfOpenssl) {
  EXPECT_FALSE(CheckPublicKey({"user", "password", "-----BEGIN PUBLIC KEY-----\nAAAA\n"}));
  EXPECT_EQ(::ERR_peek_error(), 0U);
}

}  // namespace
}  // namespace iperf3_exporter
