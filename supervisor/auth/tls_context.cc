#include "supervisor/auth/tls_context.h"

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "common/deleter.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using GeneralNames = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;

// OpenSSL's first error; empties its queue.
std::string OpensslReason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

// A password callback: the server asks nobody for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

// `text` must outlive the result.
Bio OpenBio(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The next certificate of a PEM text; null at its end or where it is damaged.
Certificate ReadCertificate(const Bio& bio) {
  return Certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
}

Status UseCertificate(SSL_CTX* context, const TlsConfig& config) {
  const Bio bio = OpenBio(config.cert.text);
  const Certificate leaf(PEM_read_bio_X509_AUX(bio.get(), nullptr, NoPassphrase, nullptr));
  if (!leaf) {
    ERR_clear_error();
    return TlsConfigError(config, config.cert, "no PEM certificate in it");
  }
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return TlsConfigError(config, config.cert, "certificate not usable: " + OpensslReason());
  }
  while (const Certificate chained = ReadCertificate(bio)) {
    if (SSL_CTX_add1_chain_cert(context, chained.get()) != 1) {
      return TlsConfigError(config, config.cert, "chain not usable: " + OpensslReason());
    }
  }
  const unsigned long end = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_REASON(end) != PEM_R_NO_START_LINE) {
    return TlsConfigError(config, config.cert, "a certificate of the chain is damaged");
  }
  return {};
}

Status UseKey(SSL_CTX* context, const TlsConfig& config) {
  const Bio bio = OpenBio(config.key.text);
  const PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!key) return TlsConfigError(config, config.key, "no unencrypted PEM private key in it");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return TlsConfigError(config, config.key, "the key does not match the certificate");
  }
  return {};
}

Status UseVersionsAndCiphers(SSL_CTX* context, const TlsConfig& config) {
  const TlsChoices choices = config.Choices();
  if (choices.min_version > config.max_version) {
    return TlsConfigError(config, config.ciphers_line,
                          "cipher_suites: there is none for max_version");
  }
  SSL_CTX_set_min_proto_version(context, static_cast<int>(choices.min_version));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(config.max_version));

  std::string ciphers = Join(choices.ciphers, ":");
  // OpenSSL 3 allows TLS 1.0 and 1.1 only at level 0, because they sign with SHA-1.
  if (choices.min_version < TlsVersion::kTls12) ciphers += ":@SECLEVEL=0";
  if (SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1) {
    return TlsConfigError(config, config.ciphers_line, "cipher_suites: " + OpensslReason());
  }
  if (SSL_CTX_set1_groups_list(context, Join(choices.curves, ":").c_str()) != 1) {
    return TlsConfigError(config, config.line, "curve_preferences: " + OpensslReason());
  }
  return {};
}

// Owned by the SSL_CTX, because the connections of a context may outlive the TlsContext.
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

Status UseClientCa(SSL_CTX* context, const TlsConfig& config) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const Bio bio = OpenBio(config.client_ca.text);
  int count = 0;
  while (const Certificate ca = ReadCertificate(bio)) {
    if (X509_STORE_add_cert(store, ca.get()) == 1 &&
        SSL_CTX_add_client_CA(context, ca.get()) == 1) {
      ++count;
    }
  }
  ERR_clear_error();
  if (count == 0) return TlsConfigError(config, config.client_ca, "no PEM certificate in it");
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
  const GeneralNames names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string text = NameText(sk_GENERAL_NAME_value(names.get(), i));
    if (!text.empty() && std::ranges::find(allowed, text) != allowed.end()) return true;
  }
  return false;
}

// Replaces OpenSSL's own verification of a certificate that the client has sent.
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
  if (SSL_CTX_set_ex_data(context, ClientCheckIndex(), check.get()) != 1) {
    return TlsConfigError(config, config.line, "client_auth_type: " + OpensslReason());
  }
  ClientCheck* owned = check.release();
  SSL_CTX_set_cert_verify_callback(context, VerifyClient, owned);

  // An empty file counts as given: it must not mean the system's CAs.
  if (config.client_ca_file.given() || config.client_ca.given()) {
    return UseClientCa(context, config);
  }
  // As in Go, the system's CAs are trusted by default.
  if (owned->verify) SSL_CTX_set_default_verify_paths(context);
  return {};
}

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* out = nullptr;
  if (SSL_select_next_proto(&out, chosen_size, kHttp11, sizeof kHttp11 - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *chosen = out;
  return SSL_TLSEXT_ERR_OK;
}

void SetModes(SSL_CTX* context, const TlsConfig& config) {
  // No resumption: each connection is checked against the current configuration.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (config.prefer_server_ciphers) {
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  // A waiting probe keeps no read buffer.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, ChooseProtocol, nullptr);
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::Create(const TlsConfig& config) {
  ERR_clear_error();
  Handle context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return MakeError("OpenSSL: " + OpensslReason());
  SetModes(context.get(), config);
  using Step = Status (*)(SSL_CTX*, const TlsConfig&);
  for (const Step step : {UseVersionsAndCiphers, UseCertificate, UseKey, UseClientAuth}) {
    if (Status done = step(context.get(), config); !done) return tl::unexpected(done.error());
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context)));
}

void TlsContext::FreeContext::operator()(ssl_ctx_st* context) const noexcept {
  SSL_CTX_free(context);
}

ssl_st* TlsContext::NewSession() const { return SSL_new(context_.get()); }

std::string RespondToFailedHandshake(bufferevent* bev) {
  unsigned long cause = 0;
  // libevent returns OpenSSL's first error last, after a code of SSL_get_error(3), which belongs to
  // no library.
  while (const unsigned long code = bufferevent_get_openssl_error(bev)) {
    if (ERR_GET_LIB(code) != 0) cause = code;
  }
  if (ERR_GET_LIB(cause) == ERR_LIB_SSL && ERR_GET_REASON(cause) == SSL_R_HTTP_REQUEST) {
    static constexpr std::string_view kResponse =
        "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 48\r\nConnection: close\r\n\r\n"
        "Client sent an HTTP request to an HTTPS server.\n";
    static_assert(kResponse.size() - kResponse.find("\r\n\r\n") - 4 == 48, "Content-Length");
    [[maybe_unused]] const auto sent = ::send(bufferevent_getfd(bev), kResponse.data(),
                                              kResponse.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  const char* words = ERR_reason_error_string(cause);
  std::string reason = words != nullptr ? words : "unknown";
  const long verify_result = SSL_get_verify_result(bufferevent_openssl_get_ssl(bev));
  if (verify_result != X509_V_OK) {
    reason += std::string(": ") + X509_verify_cert_error_string(verify_result);
  }
  return reason;
}

void EndTls(ssl_st* ssl) {
  if (SSL_is_init_finished(ssl) == 1) {
    SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
    SSL_shutdown(ssl);
  }
  ERR_clear_error();
}

}  // namespace iperf3_exporter
