// What a client of iperf3's own authentication presents: `iperf3 --username NAME
// --rsa-public-key-path FILE`, and the password in IPERF3_PASSWORD.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/error.h"

namespace iperf3_exporter {

// iperf3 encrypts user, password and 30 further bytes as one RSA block. A key of 8192 bits leaves
// room for 952 bytes with OAEP (iperf3 3.17 and newer) and 983 with PKCS#1; one of 2048 bits for
// 184 and 215.
inline constexpr std::size_t kMaxUsernameBytes = 128;
inline constexpr std::size_t kMaxPasswordBytes = 256;
inline constexpr std::size_t kMaxPublicKeyBytes = 2048;  // PEM; 1491 for a key of 8192 bits

struct TestCredentials {
  std::string username;
  std::string password;
  std::string public_key;  // the server's, as PEM
  // For a server that pads with PKCS#1: iperf3 up to 3.16, or with --use-pkcs1-padding. iperf3 3.17
  // to 3.19.1 can do so as a client, older versions always do, newer ones refuse.
  bool pkcs1_padding = false;

  bool operator==(const TestCredentials&) const = default;
};

// Fail if no server can accept the part, whatever its users, or if iperf3 can't read the key. The
// message names the part and what it must be, but never its value. The key is not decoded. Pure.
[[nodiscard]] Status CheckUsername(std::string_view username);
[[nodiscard]] Status CheckPassword(std::string_view password);
[[nodiscard]] Status CheckPublicKeyText(std::string_view pem);
// All parts.
[[nodiscard]] Status CheckCredentials(const TestCredentials& credentials);

}  // namespace iperf3_exporter
