// TLS of the server, with OpenSSL: one context per loaded configuration. Existing connections keep
// their context.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "common/error.h"
#include "supervisor/config/web_config.h"

struct bufferevent;
struct ssl_ctx_st;
struct ssl_st;

namespace iperf3_exporter {

class TlsContext {
 public:
  // Checks the certificate, key, client CA and ciphers of `config`, as LoadWebConfig returned it
  // with TLS enabled. Errors name the configuration file and the line.
  [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> Create(const TlsConfig& config);

  // A new server session, owned by the caller; null if out of memory.
  [[nodiscard]] ssl_st* NewSession() const;

 private:
  struct FreeContext {
    void operator()(ssl_ctx_st* context) const noexcept;
  };
  using Handle = std::unique_ptr<ssl_ctx_st, FreeContext>;

  explicit TlsContext(Handle context) : context_(std::move(context)) {}

  Handle context_;
};

// Returns the reason of a failed handshake. OpenSSL has sent its alert; a peer that spoke plain
// HTTP is sent a 400 that says so.
[[nodiscard]] std::string RespondToFailedHandshake(bufferevent* bev);

// Sends close_notify before a connection is closed.
void EndTls(ssl_st* ssl);

}  // namespace iperf3_exporter
