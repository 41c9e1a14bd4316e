#include "supervisor/config/web_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "common/text.h"
#include "supervisor/config/tls_names.h"
#include "supervisor/config/yaml_document.h"

namespace iperf3_exporter {
namespace {

using yaml::ConfigError;
using yaml::ForEachPair;
using yaml::Into;
using yaml::IsAbsent;
using yaml::LineOf;
using yaml::Quote;
using yaml::Reader;
using yaml::ReadKeys;
using yaml::ReadText;
using yaml::ReadTexts;

template <typename Value>
Value Lookup(std::optional<Value> found, const YAML::Node& node, const std::string& where,
             const std::string& what) {
  if (found) return *found;
  throw ConfigError{LineOf(node), where + ": unknown " + what + " " + Quote(node.Scalar())};
}

Reader IntoText(ConfigText& target) {
  return [&target](const YAML::Node& node, const std::string& where) {
    target = {ReadText(node, where), LineOf(node), where.substr(where.rfind('.') + 1)};
  };
}

void ReadCiphers(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  tls.ciphers_line = LineOf(node);
  bool any = false;
  (void)ReadTexts(node, where);  // Refuses what is no list of texts.
  for (const auto& item : node) {
    const auto cipher = Lookup(FindCipher(item.Scalar()), item, where, "cipher");
    any = true;
    if (!cipher.tls13) tls.ciphers.emplace_back(cipher.openssl);
  }
  tls.only_tls13_ciphers = any && tls.ciphers.empty();
}

void ReadCurves(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  (void)ReadTexts(node, where);  // Refuses what is no list of texts.
  for (const auto& item : node) {
    tls.curves.emplace_back(Lookup(FindCurve(item.Scalar()), item, where, "curve"));
  }
}

void ReadVersion(const YAML::Node& node, const std::string& where, TlsVersion& version) {
  version = Lookup(FindTlsVersion(ReadText(node, where)), node, where, "TLS version");
}

void ReadClientAuth(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  tls.client_auth_line = LineOf(node);
  const std::string text = ReadText(node, where);
  if (!text.empty())
    tls.client_auth = Lookup(FindClientAuth(text), node, where, "client auth type");
}

void ReadTls(const YAML::Node& node, const std::string& section, TlsConfig& tls) {
  tls.line = LineOf(node);
  ReadKeys(node, section,
           {{"cert", IntoText(tls.cert)},
            {"key", IntoText(tls.key)},
            {"client_ca", IntoText(tls.client_ca)},
            {"cert_file", IntoText(tls.cert_file)},
            {"key_file", IntoText(tls.key_file)},
            {"client_ca_file", IntoText(tls.client_ca_file)},
            {"client_auth_type", Into(tls, ReadClientAuth)},
            {"client_allowed_sans", Into(tls.client_allowed_sans)},
            {"min_version", Into(tls.min_version, ReadVersion)},
            {"max_version", Into(tls.max_version, ReadVersion)},
            {"cipher_suites", Into(tls, ReadCiphers)},
            {"curve_preferences", Into(tls, ReadCurves)},
            {"prefer_server_cipher_suites", Into(tls.prefer_server_ciphers)}});
}

// Checks the members of tls_server_config against each other.
void EvaluateTls(const TlsConfig& tls) {
  const std::string section = "tls_server_config.";
  if (tls.min_version > tls.max_version) {
    throw ConfigError{tls.line, section + "min_version: is above max_version"};
  }
  if (!tls.Enabled()) return;
  const ConfigText& ca = tls.client_ca_file.given() ? tls.client_ca_file : tls.client_ca;
  if (ca.given() && tls.client_auth == ClientAuth::kNone) {
    throw ConfigError{ca.line, section + "client_ca: a client CA needs a client_auth_type"};
  }
  if (tls.client_allowed_sans && tls.client_auth != ClientAuth::kRequireAny &&
      tls.client_auth != ClientAuth::kRequireAndVerify) {
    throw ConfigError{tls.client_auth_line > 0 ? tls.client_auth_line : tls.line,
                      section +
                          "client_allowed_sans: needs client_auth_type RequireAnyClientCert or "
                          "RequireAndVerifyClientCert"};
  }
}

struct HeaderRule {
  std::string_view name;
  std::vector<std::string_view> values;  // empty: any
};

const std::array<HeaderRule, 5>& HeaderRules() {
  static const std::array<HeaderRule, 5> rules = {{
      {"Strict-Transport-Security", {}},
      {"X-Content-Type-Options", {"nosniff"}},
      {"X-Frame-Options", {"deny", "sameorigin"}},
      {"X-XSS-Protection", {}},
      {"Content-Security-Policy", {}},
  }};
  return rules;
}

void ReadHeaders(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ForEachPair(node, section, [&](const std::string& name, int line, const YAML::Node& value) {
    const auto& rules = HeaderRules();
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [&](const HeaderRule& r) { return r.name == name; });
    if (rule == rules.end()) {
      throw ConfigError{line, section + ": header " + Quote(name) + " can not be configured"};
    }
    const std::string where = section + "." + name;
    const std::string text = IsAbsent(value) ? "" : ReadText(value, where);
    const auto& values = rule->values;
    if (!values.empty() && std::find(values.begin(), values.end(), text) == values.end()) {
      throw ConfigError{IsAbsent(value) ? line : LineOf(value),
                        where + ": expected " + Join(values, " or ") + ", got " + Quote(text)};
    }
    if (std::any_of(text.begin(), text.end(), IsControl)) {
      throw ConfigError{LineOf(value), where + ": a header value has no control characters"};
    }
    if (!text.empty()) config.headers.emplace_back(name, text);
  });
}

void ReadHttp(const YAML::Node& node, const std::string& section, WebConfig& config) {
  bool http2 = false;  // accepted, but HTTP/1.1 is what is spoken
  ReadKeys(node, section, {{"http2", Into(http2)}, {"headers", Into(config, ReadHeaders)}});
}

void ReadUsers(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ForEachPair(node, section, [&](const std::string& name, int line, const YAML::Node& value) {
    const std::string where = section + "." + Quote(name);
    if (name.find(':') != std::string::npos) {
      throw ConfigError{line, where + ": a user name has no colon"};
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
           {{"interval", Into(config.rate_interval)}, {"burst", Into(config.rate_burst)}});
  if (config.rate_interval > std::chrono::nanoseconds::zero() && config.rate_burst < 1) {
    throw ConfigError{LineOf(node), section + ".burst: must be at least 1, or nothing is let in"};
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
  EvaluateTls(config.tls);
  return config;
}

// Reads all files, also after the first error, so that a change of any of them is noticed.
Status ReadPemFiles(TlsConfig& tls, WatchedFiles& files) {
  struct Row {
    std::string name;
    ConfigText& pem;
    ConfigText& file;
    bool required;
  };
  Status status;
  for (const Row& row :
       {Row{"cert", tls.cert, tls.cert_file, true}, Row{"key", tls.key, tls.key_file, true},
        Row{"client_ca", tls.client_ca, tls.client_ca_file, false}}) {
    Status read;
    if (row.file.given()) {
      auto content = files.Read(row.file.text);
      if (!content) {
        read = TlsConfigError(tls, row.file.line, row.file.key + ": " + content.error().message);
      } else {
        row.pem = {std::move(*content), row.file.line, row.file.key};
      }
    } else if (row.required && !row.pem.given()) {
      read = TlsConfigError(
          tls, tls.line,
          row.name + "_file: missing one of " + row.name + " or " + row.name + "_file");
    }
    if (status && !read) status = read;
  }
  return status;
}

}  // namespace

bool TlsConfig::Enabled() const {
  return cert.given() || key.given() || client_ca.given() || cert_file.given() ||
         key_file.given() || client_ca_file.given() || client_auth_line > 0;
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
  if (Status status = ReadPemFiles(config->tls, files); !status) {
    return tl::unexpected(status.error());
  }
  return config;
}

tl::unexpected<Error> TlsConfigError(const TlsConfig& config, int line, const std::string& reason) {
  return MakeError(config.config_file + ":" + std::to_string(line) + ": tls_server_config." +
                   reason);
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
