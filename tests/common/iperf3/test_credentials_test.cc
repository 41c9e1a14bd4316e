#include "common/iperf3/test_credentials.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

constexpr const char* kKey = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";

std::string Error(const TestCredentials& credentials) {
  const Status checked = CheckCredentials(credentials);
  return checked ? "" : checked.error().message;
}

TEST(TestCredentialsTest, AcceptsWhatAServerCanAccept) {
  EXPECT_EQ(Error({"probe", "pa:ss,w\xc3\xb6rd", kKey}), "");
  EXPECT_EQ(Error({std::string(kMaxUsernameBytes, 'u'), std::string(kMaxPasswordBytes, 'p'),
                   std::string("a comment\n") + kKey}),
            "");
}

TEST(TestCredentialsTest, AcceptsTheLongestKey) {
  std::string key = kKey;
  key.resize(kMaxPublicKeyBytes, '\n');
  EXPECT_EQ(Error({"probe", "secret", key}), "");
  EXPECT_NE(Error({"probe", "secret", key + '\n'}), "");
}

TEST(TestCredentialsTest, RefusesOtherUserNames) {
  for (const char* name : {"", "two words", "a\nb", "a,b"}) {
    EXPECT_EQ(Error({name, "secret", kKey}),
              "the user name must have from 1 to 128 bytes without spaces and control characters, "
              "and no comma")
        << name;
  }
  EXPECT_NE(Error({std::string(kMaxUsernameBytes + 1, 'u'), "secret", kKey}), "");
}

TEST(TestCredentialsTest, RefusesOtherPasswordsWithoutNamingThem) {
  for (const std::string& password :
       {std::string(), std::string("two words"), std::string("a\0b", 3), std::string("line\n"),
        std::string(kMaxPasswordBytes + 1, 'p')}) {
    EXPECT_EQ(Error({"probe", password, kKey}),
              "the password must have from 1 to 256 bytes without spaces and control characters");
  }
}

TEST(TestCredentialsTest, RefusesKeysThatIperf3CannotRead) {
  const std::string key = kKey;
  for (const std::string& other :
       {std::string(), std::string("-----BEGIN RSA PUBLIC KEY-----\n"), key.substr(0, 30),
        key + '\0', key + std::string(kMaxPublicKeyBytes, '\n')}) {
    EXPECT_EQ(Error({"probe", "secret", other}),
              "the public key must be PEM (\"BEGIN PUBLIC KEY\") of at most 2048 bytes");
  }
}

}  // namespace
}  // namespace iperf3_exporter
