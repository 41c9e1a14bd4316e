#include "supervisor/auth/public_key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <memory>
#include <string>

#include "common/deleter.h"

namespace iperf3_exporter {

namespace {

// What iperf3 encrypts beside name and password, and what OAEP takes.
constexpr std::size_t kOtherBytes = 30 + 42;

}  // namespace

Status CheckPublicKey(const TestCredentials& credentials) {
  const std::string& pem = credentials.public_key;
  const std::unique_ptr<BIO, Deleter<BIO_free>> bio(
      ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>> key(
      ::PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ::ERR_clear_error();
  if (!key || ::EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) {
    return MakeError(
        "expected the RSA public key of the server in PEM format (-----BEGIN PUBLIC KEY-----)");
  }
  const auto block = static_cast<std::size_t>(::EVP_PKEY_size(key.get()));
  const std::size_t used = credentials.username.size() + credentials.password.size();
  if (used + kOtherBytes <= block) return {};
  return MakeError("this key of " + std::to_string(8 * block) +
                   " bits is too short for the user name and the password: together they must be "
                   "at most " +
                   std::to_string(block - std::min(block, kOtherBytes)) + " bytes long");
}

}  // namespace iperf3_exporter
