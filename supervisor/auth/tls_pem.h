// PEM texts of the web configuration, and how a fault in one is told. Files are read here and
// block.
#pragma once

#include <openssl/bio.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "common/error.h"
#include "supervisor/config/web_config.h"

namespace iperf3_exporter {

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct CertificateDeleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;
using Certificate = std::unique_ptr<X509, CertificateDeleter>;

// An error that names the configuration file and the line; `reason` begins with the key's name.
[[nodiscard]] tl::unexpected<Error> TlsFault(const TlsConfig& config, int line,
                                             const std::string& reason);

// OpenSSL's first reason, for what our own words can't say; empties its queue.
[[nodiscard]] std::string OpensslReason();

// Reads `text`, which must live as long.
[[nodiscard]] Bio BioOf(const std::string& text);

// The server asks nobody for a passphrase.
int NoPassphrase(char* buffer, int size, int writing, void* argument);

// One of the two forms of a PEM text: the file wins, as in the toolkit.
struct Pem {
  std::string name;  // "cert_file"
  int line = 0;
  std::string text;
};

[[nodiscard]] Result<Pem> ReadPem(const TlsConfig& config, const ConfigText& file,
                                  const ConfigText& inline_text, const std::string& name);

}  // namespace iperf3_exporter
