// What a client has to present: client_auth_type, client_ca and client_allowed_sans of
// tls_server_config.
#pragma once

#include "common/error.h"
#include "supervisor/config/web_config.h"

struct ssl_ctx_st;

namespace iperf3_exporter {

// Makes the connections of `context` ask for a certificate, and check it, as `config` says.
[[nodiscard]] Status UseClientAuth(ssl_ctx_st* context, const TlsConfig& config);

}  // namespace iperf3_exporter
