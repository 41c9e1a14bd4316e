#include "supervisor/config/web_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/text.h"
#include "supervisor/config/tls_names.h"
#include "supervisor/config/yaml_document.h"

namespace iperf3_exporter {
namespace {

using yaml::ConfigError;
using yaml::ForEachItem;
using yaml::ForEachPair;
using yaml::Into;
using yaml::IsAbsent;
using yaml::LineOf;
using yaml::Quote;
using yaml::ReadKeys;
using yaml::ReadText;

// The value of the entry of `table` that `node` names.
template <typename Table>
auto Lookup(const Table& table, const YAML::Node& node, const std::string& where,
            const std::string& what) {
  const std::string name = ReadText(node, where);
  const auto entry = std::ranges::find(table, name, &Table::value_type::first);
  if (entry != table.end()) return entry->second;
  throw ConfigError{LineOf(node), where + ": unknown " + what + " " + Quote(name)};
}

ConfigText ReadConfigText(const YAML::Node& node, const std::string& where) {
  return {ReadText(node, where), LineOf(node), where.substr(where.rfind('.') + 1)};
}

void ReadCiphers(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  tls.ciphers_line = LineOf(node);
  ForEachItem(node, where, [&](const YAML::Node& item) {
    const std::string_view cipher = Lookup(kTlsCiphers, item, where, "cipher");
    if (!cipher.starts_with("TLS_")) tls.ciphers.emplace_back(cipher);
  });
  tls.only_tls13_ciphers = node.size() > 0 && tls.ciphers.empty();
}

void ReadCurves(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  ForEachItem(node, where, [&](const YAML::Node& item) {
    tls.curves.emplace_back(Lookup(kTlsCurves, item, where, "curve"));
  });
}

TlsVersion ReadVersion(const YAML::Node& node, const std::string& where) {
  return Lookup(kTlsVersions, node, where, "TLS version");
}

void ReadClientAuth(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  tls.client_auth_line = LineOf(node);
  tls.client_auth = Lookup(kClientAuths, node, where, "client auth type");
}

void ReadTls(const YAML::Node& node, const std::string& section, TlsConfig& tls) {
  tls.line = LineOf(node);
  ReadKeys(node, section,
           {{"cert", Into(tls.cert, ReadConfigText)},
            {"key", Into(tls.key, ReadConfigText)},
            {"client_ca", Into(tls.client_ca, ReadConfigText)},
            {"cert_file", Into(tls.cert_file, ReadConfigText)},
            {"key_file", Into(tls.key_file, ReadConfigText)},
            {"client_ca_file", Into(tls.client_ca_file, ReadConfigText)},
            {"client_auth_type", Into(tls, ReadClientAuth)},
            {"client_allowed_sans", Into(tls.client_allowed_sans, yaml::ReadTexts)},
            {"min_version", Into(tls.min_version, ReadVersion)},
            {"max_version", Into(tls.max_version, ReadVersion)},
            {"cipher_suites", Into(tls, ReadCiphers)},
            {"curve_preferences", Into(tls, ReadCurves)},
            {"prefer_server_cipher_suites", Into(tls.prefer_server_ciphers, yaml::ReadBool)}});
}

// Checks the members of tls_server_config against each other.
void CheckTls(const TlsConfig& tls) {
  const auto refuse = [](int line, const std::string& reason) {
    throw ConfigError{line, "tls_server_config." + reason};
  };
  if (tls.min_version > tls.max_version) refuse(tls.line, "min_version: is above max_version");
  if (!tls.Enabled()) return;
  const ConfigText& ca = tls.client_ca_file.given() ? tls.client_ca_file : tls.client_ca;
  if (ca.given() && tls.client_auth == ClientAuth::kNone) {
    refuse(ca.line, "client_ca: a client CA needs a client_auth_type");
  }
  if (tls.client_allowed_sans && tls.client_auth != ClientAuth::kRequireAny &&
      tls.client_auth != ClientAuth::kRequireAndVerify) {
    refuse(tls.client_auth_line > 0 ? tls.client_auth_line : tls.line,
           "client_allowed_sans: needs client_auth_type RequireAnyClientCert or "
           "RequireAndVerifyClientCert");
  }
  if (!tls.cert.given() && !tls.cert_file.given()) {
    refuse(tls.line, "cert_file: missing one of cert or cert_file");
  }
  if (!tls.key.given() && !tls.key_file.given()) {
    refuse(tls.line, "key_file: missing one of key or key_file");
  }
}

// The headers that may be configured and their valid values; without values: any.
const std::map<std::string, std::vector<std::string>> kHeaders = {
    {"Strict-Transport-Security", {}},
    {"X-Content-Type-Options", {"nosniff"}},
    {"X-Frame-Options", {"deny", "sameorigin"}},
    {"X-XSS-Protection", {}},
    {"Content-Security-Policy", {}},
};

void ReadHeaders(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ForEachPair(node, section, [&](const std::string& name, int line, const YAML::Node& value) {
    const auto header = kHeaders.find(name);
    if (header == kHeaders.end()) {
      throw ConfigError{line, section + ": header " + Quote(name) + " cannot be configured"};
    }
    const std::string where = section + "." + name;
    const std::string text = IsAbsent(value) ? "" : ReadText(value, where);
    const auto& values = header->second;
    if (!values.empty() && std::ranges::find(values, text) == values.end()) {
      throw ConfigError{IsAbsent(value) ? line : LineOf(value),
                        where + ": expected " + Join(values, " or ") + ", got " + Quote(text)};
    }
    if (std::ranges::any_of(text, IsControl)) {
      throw ConfigError{LineOf(value),
                        where + ": a header value must not contain control characters"};
    }
    if (!text.empty()) config.headers.emplace_back(name, text);
  });
}

void ReadHttp(const YAML::Node& node, const std::string& section, WebConfig& config) {
  bool http2 = false;  // accepted, but the server speaks only HTTP/1.1
  ReadKeys(node, section,
           {{"http2", Into(http2, yaml::ReadBool)}, {"headers", Into(config, ReadHeaders)}});
}

void ReadUsers(const YAML::Node& node, const std::string& section, WebConfig& config) {
  // YAML reads NAME:HASH as one plain value.
  if (node.IsScalar() && !IsAbsent(node)) {
    constexpr char kNoMap[] = ": expected a map, got a plain value: write NAME: HASH with a space";
    throw ConfigError{LineOf(node), section + kNoMap};
  }
  ForEachPair(node, section, [&](const std::string& name, int line, const YAML::Node& value) {
    const std::string where = section + "." + Quote(name);
    if (name.find(':') != std::string::npos) {
      throw ConfigError{line, where + ": a user name must not contain a colon"};
    }
    const std::string hash = IsAbsent(value) ? "" : ReadText(value, where);
    if (!IsBcryptHash(hash)) {
      throw ConfigError{IsAbsent(value) ? line : LineOf(value),
                        where + ": not a bcrypt hash ($2a$, $2b$ or $2y$)"};
    }
    config.users.emplace(name, hash);
  });
}

void ReadRateLimit(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ReadKeys(node, section,
           {{"interval", Into(config.rate_interval, yaml::ReadDuration)},
            {"burst", Into(config.rate_burst, yaml::ReadCount)}});
  if (config.rate_interval > std::chrono::nanoseconds::zero() && config.rate_burst < 1) {
    throw ConfigError{LineOf(node),
                      section + ".burst: must be at least 1, or every request is refused"};
  }
}

WebConfig ReadWebConfig(const YAML::Node& root, const std::string& file) {
  WebConfig config;
  config.tls.config_file = file;
  ReadKeys(root, "",
           {{"tls_server_config", Into(config.tls, ReadTls)},
            {"http_server_config", Into(config, ReadHttp)},
            {"basic_auth_users", Into(config, ReadUsers)},
            {"rate_limit", Into(config, ReadRateLimit)}});
  const auto directory = std::filesystem::path(file).parent_path();
  for (ConfigText* path :
       {&config.tls.cert_file, &config.tls.key_file, &config.tls.client_ca_file}) {
    if (path->given()) path->text = (directory / path->text).string();
  }
  CheckTls(config.tls);
  return config;
}

// Replaces `pem` by the content of `file`, if that is given.
Status ReadPem(const TlsConfig& tls, ConfigText& pem, const ConfigText& file, WatchedFiles& files) {
  if (!file.given()) return {};
  auto content = files.Read(file.text);
  if (!content) return TlsConfigError(tls, file, content.error().message);
  pem = {std::move(*content), file.line, file.key};
  return {};
}

// Whether `after` has a text that `before` lacks.
bool HasMore(const std::vector<std::string>& after, const std::vector<std::string>& before) {
  return std::ranges::any_of(after, [&before](const std::string& text) {
    return std::ranges::find(before, text) == before.end();
  });
}

}  // namespace

bool TlsConfig::Enabled() const {
  return cert.given() || key.given() || client_ca.given() || cert_file.given() ||
         key_file.given() || client_ca_file.given() || client_auth_line > 0;
}

TlsChoices TlsConfig::Choices() const {
  TlsChoices choices = {only_tls13_ciphers ? TlsVersion::kTls13 : min_version, ciphers, curves};
  if (ciphers.empty()) {
    // Forward secret and authenticated.
    choices.ciphers = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
                       "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
                       "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"};
    // TLS 1.0 and 1.1 have nothing better.
    if (choices.min_version < TlsVersion::kTls12) {
      choices.ciphers.insert(choices.ciphers.end(),
                             {"ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
                              "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA"});
    }
  }
  if (curves.empty()) choices.curves = {"X25519", "P-256", "P-384", "P-521"};
  return choices;
}

Result<WebConfig> ParseWebConfig(std::string_view text, const std::string& file) {
  WebConfig config;
  const Status read = yaml::ReadDocument(
      text, file, [&](const YAML::Node& root) { config = ReadWebConfig(root, file); });
  if (!read) return tl::unexpected(read.error());
  return config;
}

Result<WebConfig> LoadWebConfig(const std::string& file, WatchedFiles& files) {
  const auto text = files.Read(file);
  if (!text) return tl::unexpected(text.error());
  auto config = ParseWebConfig(*text, file);
  if (!config || !config->tls.Enabled()) return config;
  TlsConfig& tls = config->tls;
  // All files are read, also after an error, so that a change of any of them is noticed.
  for (const Status& read :
       {ReadPem(tls, tls.cert, tls.cert_file, files), ReadPem(tls, tls.key, tls.key_file, files),
        ReadPem(tls, tls.client_ca, tls.client_ca_file, files)}) {
    if (!read) return tl::unexpected(read.error());
  }
  return config;
}

Protections ProtectionsOf(const WebConfig& config) {
  const TlsConfig& tls = config.tls;
  // The other types accept a client without a certificate.
  const bool verified = tls.client_auth == ClientAuth::kRequireAndVerify;
  const bool required = verified || tls.client_auth == ClientAuth::kRequireAny;
  Protections protections;
  protections.levels = {{{"TLS", tls.Enabled()},
                         {"client certificates", int{required} + int{verified}},
                         // Without it, every CA of the system is trusted.
                         {"client CA", verified && tls.client_ca.given()},
                         {"client_allowed_sans", tls.client_allowed_sans.has_value()},
                         {"basic authentication", !config.users.empty()}}};
  if (tls.Enabled()) protections.tls = tls.Choices();
  return protections;
}

std::string WarningAbout(const WebConfig& config) {
  const TlsConfig& tls = config.tls;
  const bool verifies = tls.client_auth == ClientAuth::kRequireAndVerify ||
                        tls.client_auth == ClientAuth::kVerifyIfGiven;
  if (!verifies || tls.client_allowed_sans || tls.client_ca.given() || tls.client_ca_file.given()) {
    return {};
  }
  return tls.config_file + ":" + std::to_string(tls.client_auth_line) +
         ": client_auth_type without client_ca_file accepts the certificates of every CA that this "
         "system trusts";
}

std::string LostProtections(const Protections& before, const Protections& after) {
  std::vector<std::string_view> lost;
  for (std::size_t i = 0; i < before.levels.size(); ++i) {
    if (after.levels[i].second < before.levels[i].second) lost.push_back(before.levels[i].first);
  }
  if (before.tls && after.tls) {
    if (after.tls->min_version < before.tls->min_version) lost.emplace_back("minimum TLS version");
    if (HasMore(after.tls->ciphers, before.tls->ciphers)) lost.emplace_back("cipher_suites");
    if (HasMore(after.tls->curves, before.tls->curves)) lost.emplace_back("curve_preferences");
  }
  return Join(lost, ", ");
}

tl::unexpected<Error> TlsConfigError(const TlsConfig& config, int line, const std::string& reason) {
  return MakeError(config.config_file + ":" + std::to_string(line) + ": tls_server_config." +
                   reason);
}

tl::unexpected<Error> TlsConfigError(const TlsConfig& config, const ConfigText& value,
                                     const std::string& reason) {
  return TlsConfigError(config, value.line, value.key + ": " + reason);
}

bool IsBcryptHash(std::string_view hash) {
  if (hash.size() != kBcryptHashBytes) return false;
  const std::string_view prefix = hash.substr(0, 4);
  if (prefix != "$2a$" && prefix != "$2b$" && prefix != "$2y$") return false;
  const std::string_view cost = hash.substr(4, 2);
  if (cost < "04" || cost > "31" || !IsDigit(cost[1]) || hash[6] != '$') return false;
  return HasOnlyAlnumOr(hash.substr(7), "./");
}

}  // namespace iperf3_exporter
