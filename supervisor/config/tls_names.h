// Go's names of TLS settings, as in crypto/tls of Go 1.24, and OpenSSL's names for them.
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

// Those of tls.CipherSuites(). What Go calls insecure is unknown here too.
[[nodiscard]] std::optional<CipherName> FindCipher(std::string_view go_name);
[[nodiscard]] std::optional<std::string_view> FindCurve(std::string_view go_name);
[[nodiscard]] std::optional<TlsVersion> FindTlsVersion(std::string_view go_name);
[[nodiscard]] std::optional<ClientAuth> FindClientAuth(std::string_view go_name);

}  // namespace iperf3_exporter
