#include "supervisor/auth/dummy_hashes.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace iperf3_exporter {
namespace {

// The size of salt and checksum. As dots they match no password.
constexpr std::size_t kSaltAndChecksumBytes = 53;
// Of "$2b$10$...".
constexpr std::size_t kCostAt = 4;
constexpr std::size_t kCostBytes = 2;

}  // namespace

DummyHashes::DummyHashes(const std::map<std::string, std::string>& users) {
  std::string hashes;
  for (const auto& [name, hash] : users) {
    costs_.push_back(hash.substr(kCostAt, kCostBytes));
    hashes += hash;
  }
  std::ranges::sort(costs_);
  SHA256(reinterpret_cast<const unsigned char*>(hashes.data()), hashes.size(), key_.data());
}

std::string DummyHashes::For(const std::string& name) const {
  std::array<unsigned char, 32> digest{};
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data(), nullptr);
  std::uint64_t choice = 0;
  std::memcpy(&choice, digest.data(), sizeof choice);
  return "$2b$" + costs_[choice % costs_.size()] + "$" + std::string(kSaltAndChecksumBytes, '.');
}

}  // namespace iperf3_exporter
