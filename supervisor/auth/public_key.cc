#include "supervisor/auth/public_key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

#include "common/deleter.h"

namespace iperf3_exporter {

Status CheckRsaPublicKey(const std::string& pem) {
  const std::unique_ptr<BIO, Deleter<BIO_free>> bio(
      ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>> key(
      ::PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ::ERR_clear_error();
  if (key && ::EVP_PKEY_base_id(key.get()) == EVP_PKEY_RSA) return {};
  return MakeError(
      "expected the RSA public key of the server in PEM format (-----BEGIN PUBLIC KEY-----)");
}

}  // namespace iperf3_exporter
