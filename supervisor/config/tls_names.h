// Go's names for what TLS can be told to use, and OpenSSL's. As in crypto/tls of Go 1.24.
#pragma once

#include <optional>
#include <string_view>

#include "supervisor/config/web_config.h"

namespace iperf3_exporter {

struct CipherName {
  std::string_view go;
  std::string_view openssl;
  bool tls13 = false;
};

// Those of tls.CipherSuites(): what Go calls insecure is unknown here too.
[[nodiscard]] std::optional<CipherName> FindCipher(std::string_view go_name);
[[nodiscard]] std::optional<std::string_view> FindCurve(std::string_view go_name);
[[nodiscard]] std::optional<TlsVersion> FindTlsVersion(std::string_view go_name);
[[nodiscard]] std::optional<ClientAuth> FindClientAuth(std::string_view go_name);

}  // namespace iperf3_exporter
