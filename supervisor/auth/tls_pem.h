// PEM texts as OpenSSL reads them.
#pragma once

#include <openssl/bio.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace iperf3_exporter {

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct CertificateDeleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;
using Certificate = std::unique_ptr<X509, CertificateDeleter>;

// Reads `text`, which must outlive the Bio.
[[nodiscard]] Bio BioOf(const std::string& text);

// The next certificate of a PEM text; null at its end or where it is damaged.
[[nodiscard]] Certificate ReadCertificate(BIO* bio);

// OpenSSL's first reason, for what our own words can't say; empties its queue.
[[nodiscard]] std::string OpensslReason();

// A password callback: the server asks nobody for a passphrase.
int NoPassphrase(char* buffer, int size, int writing, void* argument);

}  // namespace iperf3_exporter
