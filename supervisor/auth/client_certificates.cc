#include "supervisor/auth/client_certificates.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/auth/tls_pem.h"

namespace iperf3_exporter {
namespace {

struct NamesDeleter {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// What a context needs as long as one of its connections lives: stored in the context.
struct ClientCheck {
  bool verify = false;
  std::optional<std::vector<std::string>> allowed_sans;
};

void FreeClientCheck(void*, void* check, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<ClientCheck*>(check);
}

int ClientCheckIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, FreeClientCheck);
  return index;
}

Status UseClientCa(SSL_CTX* context, const TlsConfig& config, const ConfigText& pem) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const Bio bio = BioOf(pem.text);
  int count = 0;
  while (true) {
    const Certificate ca = ReadCertificate(bio.get());
    if (!ca) break;
    if (X509_STORE_add_cert(store, ca.get()) == 1 &&
        SSL_CTX_add_client_CA(context, ca.get()) == 1) {
      ++count;
    }
  }
  ERR_clear_error();
  if (count == 0) return TlsConfigError(config, pem.line, pem.key + ": no PEM certificate in it");
  return {};
}

std::string AddressText(const ASN1_OCTET_STRING* ip) {
  char text[INET6_ADDRSTRLEN] = "";
  const int size = ASN1_STRING_length(ip);
  if (size != 4 && size != 16) return {};
  ::inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof text);
  return text;
}

// DNS name, e-mail address, URI or IP address as text; empty for any other kind.
std::string NameText(const GENERAL_NAME* name) {
  switch (name->type) {
    case GEN_DNS:
    case GEN_EMAIL:
    case GEN_URI: {
      const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.ia5));
      return {data, static_cast<std::size_t>(ASN1_STRING_length(name->d.ia5))};
    }
    case GEN_IPADD:
      return AddressText(name->d.iPAddress);
    default:
      return {};
  }
}

bool HasAllowedSan(const X509* certificate, const std::vector<std::string>& allowed) {
  const std::unique_ptr<GENERAL_NAMES, NamesDeleter> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string text = NameText(sk_GENERAL_NAME_value(names.get(), i));
    if (!text.empty() && std::find(allowed.begin(), allowed.end(), text) != allowed.end()) {
      return true;
    }
  }
  return false;
}

// In place of OpenSSL's own verification, when the client has sent a certificate.
int VerifyClient(X509_STORE_CTX* store, void* argument) {
  const auto* check = static_cast<const ClientCheck*>(argument);
  if (check->verify && X509_verify_cert(store) != 1) return 0;
  X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (check->allowed_sans && !HasAllowedSan(certificate, *check->allowed_sans)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

}  // namespace

Status UseClientAuth(SSL_CTX* context, const TlsConfig& config) {
  auto check = std::make_unique<ClientCheck>();
  check->allowed_sans = config.client_allowed_sans;
  check->verify = config.client_auth == ClientAuth::kVerifyIfGiven ||
                  config.client_auth == ClientAuth::kRequireAndVerify;
  int mode = config.client_auth == ClientAuth::kNone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
  if (config.client_auth == ClientAuth::kRequireAny ||
      config.client_auth == ClientAuth::kRequireAndVerify) {
    mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  SSL_CTX_set_verify(context, mode, nullptr);
  ClientCheck* held = check.get();
  if (SSL_CTX_set_ex_data(context, ClientCheckIndex(), held) != 1) {
    return TlsConfigError(config, config.line, "client_auth_type: " + OpensslReason());
  }
  static_cast<void>(check.release());
  SSL_CTX_set_cert_verify_callback(context, VerifyClient, held);

  // A file that is empty was given, too: it must not stand for the system's CAs.
  if (config.client_ca_file.given() || config.client_ca.given()) {
    return UseClientCa(context, config, config.client_ca);
  }
  // As in Go: without a CA of its own the system's are trusted.
  if (held->verify) SSL_CTX_set_default_verify_paths(context);
  return {};
}

}  // namespace iperf3_exporter
