// TLS of the server side, on OpenSSL: one context per loaded configuration. Connections keep the
// context that they began with.
#pragma once

#include <memory>
#include <string>

#include "common/error.h"
#include "supervisor/config/web_config.h"

struct bufferevent;
struct ssl_ctx_st;
struct ssl_st;

namespace iperf3_exporter {

class TlsContext {
 public:
  // Checks that the certificate, key and client CA of `config`, which LoadWebConfig has filled in,
  // belong together. Errors name the configuration file and the line. `config.Enabled()`.
  [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> Create(const TlsConfig& config);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A new server session, owned by the caller; null when memory is short.
  [[nodiscard]] ssl_st* NewSession() const;

 private:
  TlsContext() = default;

  ssl_ctx_st* context_ = nullptr;
};

// After a handshake that failed: why, in words. The peer has its alert from OpenSSL; one that spoke
// plain HTTP is told that this is an HTTPS server.
[[nodiscard]] std::string AnswerFailedHandshake(bufferevent* bev);

// Ends the TLS of a connection that is about to be closed: says so to the peer (close_notify).
void EndTls(ssl_st* ssl);

}  // namespace iperf3_exporter
