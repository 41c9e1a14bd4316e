#include "common/iperf3/test_credentials.h"

#include <algorithm>
#include <string_view>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

// A server reads both with scanf's %s, which stops at white space.
bool IsWord(std::string_view text, std::size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes &&
         std::ranges::none_of(text, [](char c) { return c == ' ' || IsControl(c); });
}

std::string LengthLimit(std::size_t max_bytes) {
  return "from 1 to " + std::to_string(max_bytes) + " bytes without spaces and control characters";
}

}  // namespace

Status CheckCredentials(const TestCredentials& credentials) {
  // A server's file of users has a comma behind the name.
  if (!IsWord(credentials.username, kMaxUsernameBytes) ||
      credentials.username.find(',') != std::string::npos) {
    return MakeError("the user name must have " + LengthLimit(kMaxUsernameBytes) +
                     ", and no comma");
  }
  if (!IsWord(credentials.password, kMaxPasswordBytes)) {
    return MakeError("the password must have " + LengthLimit(kMaxPasswordBytes));
  }
  const std::string_view key = credentials.public_key;
  if (key.size() > kMaxPublicKeyBytes || key.find('\0') != key.npos ||
      key.find("-----BEGIN PUBLIC KEY-----") == key.npos ||
      key.find("-----END PUBLIC KEY-----") == key.npos) {
    return MakeError("the public key must be PEM (\"BEGIN PUBLIC KEY\") of at most " +
                     std::to_string(kMaxPublicKeyBytes) + " bytes");
  }
  return {};
}

}  // namespace iperf3_exporter
