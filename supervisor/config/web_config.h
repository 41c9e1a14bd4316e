// The web configuration file: the format of the Prometheus exporter-toolkit, all of it.
//
// Strict: an unknown or repeated key, a wrong type or a value that can't work is an error, with
// file, line, key and reason. No secret (key, hash) is ever part of a message.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

// A value and the line that it stands in; line 0: not given.
struct ConfigText {
  std::string text;
  int line = 0;

  // As the toolkit has it, an empty text counts as not given.
  [[nodiscard]] bool given() const { return !text.empty(); }
};

// Go's crypto/tls.ClientAuthType, with RequireClientCert as another name of kRequireAny.
enum class ClientAuth { kNone, kRequest, kRequireAny, kVerifyIfGiven, kRequireAndVerify };

// As OpenSSL numbers them on the wire.
enum class TlsVersion : int { kTls10 = 0x0301, kTls11 = 0x0302, kTls12 = 0x0303, kTls13 = 0x0304 };

struct TlsConfig {
  std::string config_file;  // for messages
  int line = 0;
  ConfigText cert;       // PEM
  ConfigText key;        // PEM, secret
  ConfigText client_ca;  // PEM
  // Paths, those that were relative now relative to the configuration file's folder. Each wins over
  // its inline form, as in the toolkit.
  ConfigText cert_file;
  ConfigText key_file;
  ConfigText client_ca_file;
  ClientAuth client_auth = ClientAuth::kNone;
  int client_auth_line = 0;
  // Given but empty: no certificate is allowed.
  std::optional<std::vector<std::string>> client_allowed_sans;
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  // OpenSSL's names, in the order of the file; empty: the default. Those of TLS 1.3 can't be
  // chosen, in Go as here, and are not in the list.
  std::vector<std::string> ciphers;
  bool only_tls13_ciphers = false;  // cipher_suites names some, none of them for TLS 1.2
  int ciphers_line = 0;
  std::vector<std::string> curves;  // OpenSSL's names; empty: the default
  bool prefer_server_ciphers = true;

  // False: nothing in the section asks for TLS and plain HTTP is spoken, as the toolkit decides it.
  [[nodiscard]] bool Enabled() const;
};

struct WebConfig {
  TlsConfig tls;
  std::vector<std::pair<std::string, std::string>> headers;  // those with a value
  std::map<std::string, std::string> users;                  // name to bcrypt hash
  std::chrono::nanoseconds rate_interval{0};                 // 0: no limit
  int rate_burst = 0;
};

// Pure: `text` is the file's content, `file` its name, for messages and for relative paths.
[[nodiscard]] Result<WebConfig> ParseWebConfig(std::string_view text, const std::string& file);

// Whole files of at most this size are read; anything larger is a mistake.
inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

[[nodiscard]] Result<std::string> ReadConfigFile(const std::string& path);

}  // namespace iperf3_exporter
