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

Status CheckUsername(std::string_view username) {
  // A server's file of users has a comma behind the name.
  if (IsWord(username, kMaxUsernameBytes) && username.find(',') == username.npos) return {};
  return MakeError("the user name must have " + LengthLimit(kMaxUsernameBytes) + ", and no comma");
}

Status CheckPassword(std::string_view password) {
  if (IsWord(password, kMaxPasswordBytes)) return {};
  return MakeError("the password must have " + LengthLimit(kMaxPasswordBytes));
}

Status CheckPublicKeyText(std::string_view key) {
  if (key.size() > kMaxPublicKeyBytes || key.find('\0') != key.npos ||
      key.find("-----BEGIN PUBLIC KEY-----") == key.npos ||
      key.find("-----END PUBLIC KEY-----") == key.npos) {
    return MakeError("the public key must be PEM (\"BEGIN PUBLIC KEY\") of at most " +
                     std::to_string(kMaxPublicKeyBytes) + " bytes");
  }
  return {};
}

Status CheckCredentials(const TestCredentials& credentials) {
  if (Status status = CheckUsername(credentials.username); !status) return status;
  if (Status status = CheckPassword(credentials.password); !status) return status;
  return CheckPublicKeyText(credentials.public_key);
}

}  // namespace iperf3_exporter
