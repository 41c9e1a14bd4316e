// The web configuration file, in the format of the Prometheus exporter-toolkit.
//
// Strict: an unknown or repeated key, a wrong type or an invalid value is an error, with file,
// line, key and reason. No secret (key, hash) is ever part of a message.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.h"
#include "supervisor/config/watched_files.h"

namespace iperf3_exporter {

// A value and its position in the file.
struct ConfigText {
  std::string text;
  int line = 0;
  std::string key;  // "cert_file"

  // An empty text counts as not given, as in the toolkit.
  [[nodiscard]] bool given() const { return !text.empty(); }
};

// Go's crypto/tls.ClientAuthType.
enum class ClientAuth { kNone, kRequest, kRequireAny, kVerifyIfGiven, kRequireAndVerify };

// With the numbers of the protocol, which OpenSSL uses too.
enum class TlsVersion : int { kTls10 = 0x0301, kTls11 = 0x0302, kTls12 = 0x0303, kTls13 = 0x0304 };

// What a TLS client may choose; OpenSSL's names.
struct TlsChoices {
  TlsVersion min_version;
  std::vector<std::string> ciphers;  // up to TLS 1.2
  std::vector<std::string> curves;
};

struct TlsConfig {
  std::string config_file;  // for messages
  int line = 0;
  // PEM; the key is secret. LoadWebConfig replaces them by the content of the files below, which
  // have precedence as in the toolkit.
  ConfigText cert;
  ConfigText key;
  ConfigText client_ca;
  // Paths; relative ones have been resolved against the configuration file's directory.
  ConfigText cert_file;
  ConfigText key_file;
  ConfigText client_ca_file;
  ClientAuth client_auth = ClientAuth::kNone;
  int client_auth_line = 0;
  // Given but empty: no certificate is allowed.
  std::optional<std::vector<std::string>> client_allowed_sans;
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  // OpenSSL's names, in the order of the file; empty: the default. Without those of TLS 1.3, which
  // cannot be chosen (nor in Go).
  std::vector<std::string> ciphers;
  bool only_tls13_ciphers = false;  // cipher_suites lists ciphers of TLS 1.3 only
  int ciphers_line = 0;
  std::vector<std::string> curves;  // OpenSSL's names; empty: the default
  bool prefer_server_ciphers = true;

  // Whether the section asks for TLS, by the toolkit's rules; otherwise the server speaks HTTP.
  [[nodiscard]] bool Enabled() const;

  // With the defaults for what the section does not say.
  [[nodiscard]] TlsChoices Choices() const;
};

struct WebConfig {
  TlsConfig tls;
  std::vector<std::pair<std::string, std::string>> headers;  // those with a value
  std::map<std::string, std::string> users;                  // name to bcrypt hash
  std::chrono::nanoseconds rate_interval{0};                 // 0: no limit
  int rate_burst = 0;
};

// What restricts access.
struct Protections {
  // How strictly; 0: not at all.
  std::array<std::pair<std::string_view, int>, 5> levels{};
  std::optional<TlsChoices> tls;
};

// `config` is as LoadWebConfig returned it.
[[nodiscard]] Protections ProtectionsOf(const WebConfig& config);

// What is allowed in `config` but probably a mistake; empty: nothing.
[[nodiscard]] std::string WarningAbout(const WebConfig& config);

// The names, separated by ", ", of what restricts access less in `after` than in `before`. Ciphers
// and curves do if one was added, since which of two is weaker is a matter of opinion.
[[nodiscard]] std::string LostProtections(const Protections& before, const Protections& after);

// `text` is the content of `file`, whose name is used in errors and for relative paths. Pure.
[[nodiscard]] Result<WebConfig> ParseWebConfig(std::string_view text, const std::string& file);

// Reads and parses `file`, and reads the PEM files that it names. `files` watches all of them, also
// after an error.
[[nodiscard]] Result<WebConfig> LoadWebConfig(const std::string& file, WatchedFiles& files);

// An error of tls_server_config, with file and line. `reason` begins with the key.
[[nodiscard]] tl::unexpected<Error> TlsConfigError(const TlsConfig& config, int line,
                                                   const std::string& reason);
// The same for a `value` of the section.
[[nodiscard]] tl::unexpected<Error> TlsConfigError(const TlsConfig& config, const ConfigText& value,
                                                   const std::string& reason);

// The size of every bcrypt hash.
inline constexpr std::size_t kBcryptHashBytes = 60;

// Whether `hash` is a bcrypt hash that libxcrypt supports: $2a$, $2b$ or $2y$, a cost from 04 to 31
// in two digits, 53 characters. crypt_r might take anything else for DES.
[[nodiscard]] bool IsBcryptHash(std::string_view hash);

}  // namespace iperf3_exporter
