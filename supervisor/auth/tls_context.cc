#include "supervisor/auth/tls_context.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <string_view>

#include "common/text.h"
#include "supervisor/auth/client_certificates.h"
#include "supervisor/auth/tls_pem.h"

namespace iperf3_exporter {
namespace {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

Status UseCertificate(SSL_CTX* context, const TlsConfig& config, const ConfigText& pem) {
  const Bio bio = BioOf(pem.text);
  const Certificate leaf(PEM_read_bio_X509_AUX(bio.get(), nullptr, NoPassphrase, nullptr));
  if (!leaf) {
    ERR_clear_error();
    return TlsConfigError(config, pem.line, pem.key + ": no PEM certificate in it");
  }
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return TlsConfigError(config, pem.line,
                          pem.key + ": certificate not usable: " + OpensslReason());
  }
  while (const Certificate chained = ReadCertificate(bio.get())) {
    if (SSL_CTX_add1_chain_cert(context, chained.get()) != 1) {
      return TlsConfigError(config, pem.line, pem.key + ": chain not usable: " + OpensslReason());
    }
  }
  const unsigned long end = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_REASON(end) != PEM_R_NO_START_LINE) {
    return TlsConfigError(config, pem.line, pem.key + ": a certificate of the chain is damaged");
  }
  return {};
}

Status UseKey(SSL_CTX* context, const TlsConfig& config, const ConfigText& pem) {
  const Bio bio = BioOf(pem.text);
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!key)
    return TlsConfigError(config, pem.line, pem.key + ": no unencrypted PEM private key in it");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return TlsConfigError(config, pem.line, pem.key + ": the key does not match the certificate");
  }
  return {};
}

// What is offered up to TLS 1.2 when the file does not say: forward secret and authenticated.
std::string DefaultCiphers(TlsVersion min_version) {
  std::string list =
      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
      "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
  // TLS 1.0 and 1.1 know nothing better; whoever asks for them gets them.
  if (min_version < TlsVersion::kTls12) {
    list +=
        ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
        ":ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";
  }
  return list;
}

Status UseVersionsAndCiphers(SSL_CTX* context, const TlsConfig& config) {
  TlsVersion min_version = config.min_version;
  if (config.only_tls13_ciphers) min_version = TlsVersion::kTls13;
  if (min_version > config.max_version) {
    return TlsConfigError(config, config.ciphers_line, "cipher_suites: none is for max_version");
  }
  SSL_CTX_set_min_proto_version(context, static_cast<int>(min_version));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(config.max_version));

  std::string list =
      config.ciphers.empty() ? DefaultCiphers(min_version) : Join(config.ciphers, ":");
  // OpenSSL 3 does TLS 1.0 and 1.1 only at level 0, because they sign with SHA-1.
  if (min_version < TlsVersion::kTls12) list += ":@SECLEVEL=0";
  if (SSL_CTX_set_cipher_list(context, list.c_str()) != 1) {
    return TlsConfigError(config, config.ciphers_line, "cipher_suites: " + OpensslReason());
  }
  const std::string curves =
      config.curves.empty() ? "X25519:P-256:P-384:P-521" : Join(config.curves, ":");
  if (SSL_CTX_set1_groups_list(context, curves.c_str()) != 1) {
    return TlsConfigError(config, config.line, "curve_preferences: " + OpensslReason());
  }
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
  // No resumption: each connection is checked against the present configuration. Scrapers keep
  // their connections.
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
  const std::shared_ptr<TlsContext> result(new TlsContext());
  result->context_ = SSL_CTX_new(TLS_server_method());
  if (result->context_ == nullptr) return MakeError("OpenSSL: " + OpensslReason());
  SSL_CTX* context = result->context_;
  SetModes(context, config);
  if (auto done = UseVersionsAndCiphers(context, config); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = UseCertificate(context, config, config.cert); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = UseKey(context, config, config.key); !done) return tl::unexpected(done.error());
  if (auto done = UseClientAuth(context, config); !done) return tl::unexpected(done.error());
  return std::shared_ptr<const TlsContext>(result);
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

ssl_st* TlsContext::NewSession() const { return SSL_new(context_); }

std::string AnswerFailedHandshake(bufferevent* bev) {
  unsigned long cause = 0;
  // libevent returns OpenSSL's first error last. Before that comes a code of SSL_get_error(3),
  // which belongs to no library.
  while (const unsigned long code = bufferevent_get_openssl_error(bev)) {
    if (ERR_GET_LIB(code) != 0) cause = code;
  }
  if (ERR_GET_LIB(cause) == ERR_LIB_SSL && ERR_GET_REASON(cause) == SSL_R_HTTP_REQUEST) {
    static constexpr std::string_view kAnswer =
        "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 48\r\nConnection: close\r\n\r\n"
        "Client sent an HTTP request to an HTTPS server.\n";
    static_assert(kAnswer.size() - kAnswer.find("\r\n\r\n") - 4 == 48, "Content-Length");
    [[maybe_unused]] const auto sent =
        ::send(bufferevent_getfd(bev), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  const char* words = ERR_reason_error_string(cause);
  std::string reason = words != nullptr ? words : "unknown";
  const long verdict = SSL_get_verify_result(bufferevent_openssl_get_ssl(bev));
  if (verdict != X509_V_OK) {
    reason += std::string(": ") + X509_verify_cert_error_string(verdict);
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
