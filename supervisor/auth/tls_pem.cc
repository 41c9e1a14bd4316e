#include "supervisor/auth/tls_pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace iperf3_exporter {

Bio BioOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate ReadCertificate(BIO* bio) {
  return Certificate(PEM_read_bio_X509(bio, nullptr, NoPassphrase, nullptr));
}

std::string OpensslReason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace iperf3_exporter
