#include "supervisor/config/web_config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>

#include "common/unique_fd.h"
#include "supervisor/auth/authenticator.h"
#include "supervisor/auth/tls_names.h"
#include "supervisor/config/yaml_document.h"

namespace iperf3_exporter {
namespace {

using yaml::ForEachPair;
using yaml::IsAbsent;
using yaml::Key;
using yaml::LineOf;
using yaml::Mistake;
using yaml::Quote;
using yaml::ReadBool;
using yaml::ReadCount;
using yaml::ReadDuration;
using yaml::Reader;
using yaml::ReadKeys;
using yaml::ReadText;
using yaml::ReadTexts;

template <typename Value>
Value Lookup(std::optional<Value> found, const YAML::Node& node, const std::string& where,
             const std::string& what) {
  if (found) return *found;
  throw Mistake{LineOf(node), where + ": unknown " + what + " " + Quote(node.Scalar())};
}

Reader Into(ConfigText& target) {
  return [&target](const YAML::Node& node, const std::string& where) {
    target = {ReadText(node, where), LineOf(node)};
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

Reader IntoVersion(TlsVersion& target) {
  return [&target](const YAML::Node& node, const std::string& where) {
    target = Lookup(FindTlsVersion(ReadText(node, where)), node, where, "TLS version");
  };
}

void ReadClientAuth(const YAML::Node& node, const std::string& where, TlsConfig& tls) {
  tls.client_auth_line = LineOf(node);
  const std::string text = ReadText(node, where);
  if (!text.empty())
    tls.client_auth = Lookup(FindClientAuth(text), node, where, "client auth type");
}

void ReadTls(const YAML::Node& node, const std::string& section, TlsConfig& tls) {
  tls.line = LineOf(node);
  const std::vector<Key> keys = {
      {"cert", Into(tls.cert)},
      {"key", Into(tls.key)},
      {"client_ca", Into(tls.client_ca)},
      {"cert_file", Into(tls.cert_file)},
      {"key_file", Into(tls.key_file)},
      {"client_ca_file", Into(tls.client_ca_file)},
      {"client_auth_type",
       [&](const auto& value, const auto& where) { ReadClientAuth(value, where, tls); }},
      {"client_allowed_sans",
       [&](const auto& value, const auto& where) {
         tls.client_allowed_sans = ReadTexts(value, where);
       }},
      {"min_version", IntoVersion(tls.min_version)},
      {"max_version", IntoVersion(tls.max_version)},
      {"cipher_suites",
       [&](const auto& value, const auto& where) { ReadCiphers(value, where, tls); }},
      {"curve_preferences",
       [&](const auto& value, const auto& where) { ReadCurves(value, where, tls); }},
      {"prefer_server_cipher_suites",
       [&](const auto& value, const auto& where) {
         tls.prefer_server_ciphers = ReadBool(value, where);
       }},
  };
  ReadKeys(node, section, keys);
}

// What the members of tls_server_config say about each other.
void JudgeTls(const TlsConfig& tls) {
  const std::string section = "tls_server_config.";
  if (tls.min_version > tls.max_version) {
    throw Mistake{tls.line, section + "min_version: is above max_version"};
  }
  if (!tls.Enabled()) return;
  const ConfigText& ca = tls.client_ca_file.given() ? tls.client_ca_file : tls.client_ca;
  if (ca.given() && tls.client_auth == ClientAuth::kNone) {
    throw Mistake{ca.line, section + "client_ca: a client CA needs a client_auth_type"};
  }
  if (tls.client_allowed_sans && tls.client_auth != ClientAuth::kRequireAny &&
      tls.client_auth != ClientAuth::kRequireAndVerify) {
    throw Mistake{tls.client_auth_line > 0 ? tls.client_auth_line : tls.line,
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
      throw Mistake{line, section + ": header " + Quote(name) + " can not be configured"};
    }
    const std::string where = section + "." + name;
    const std::string text = IsAbsent(value) ? "" : ReadText(value, where);
    const auto& values = rule->values;
    if (!values.empty() && std::find(values.begin(), values.end(), text) == values.end()) {
      std::string expected;
      for (const auto allowed : values) {
        expected += (expected.empty() ? "" : " or ") + std::string(allowed);
      }
      throw Mistake{IsAbsent(value) ? line : LineOf(value),
                    where + ": expected " + expected + ", got " + Quote(text)};
    }
    if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 0 && c < 0x20; }) ||
        text.find('\x7f') != std::string::npos) {
      throw Mistake{LineOf(value), where + ": a header value has no control characters"};
    }
    if (!text.empty()) config.headers.emplace_back(name, text);
  });
}

void ReadHttp(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ReadKeys(node, section,
           {{"http2", [](const auto& value, const auto& where) { (void)ReadBool(value, where); }},
            {"headers",
             [&](const auto& value, const auto& where) { ReadHeaders(value, where, config); }}});
}

void ReadUsers(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ForEachPair(node, section, [&](const std::string& name, int line, const YAML::Node& value) {
    const std::string where = section + "." + Quote(name);
    if (name.find(':') != std::string::npos) {
      throw Mistake{line, where + ": a user name has no colon"};
    }
    const std::string hash = IsAbsent(value) ? "" : ReadText(value, where);
    if (!IsBcryptHash(hash)) {
      throw Mistake{IsAbsent(value) ? line : LineOf(value),
                    where + ": not a bcrypt hash ($2a$, $2b$ or $2y$)"};
    }
    config.users.emplace(name, hash);
  });
}

void ReadRateLimit(const YAML::Node& node, const std::string& section, WebConfig& config) {
  ReadKeys(
      node, section,
      {{"interval", [&](const auto& value,
                        const auto& where) { config.rate_interval = ReadDuration(value, where); }},
       {"burst", [&](const auto& value, const auto& where) {
          config.rate_burst = ReadCount(value, where);
        }}});
  if (config.rate_interval > std::chrono::nanoseconds::zero() && config.rate_burst < 1) {
    throw Mistake{LineOf(node), section + ".burst: must be at least 1, or nothing is let in"};
  }
}

void ResolvePath(ConfigText& path, const std::filesystem::path& folder) {
  if (path.given()) path.text = (folder / path.text).string();
}

WebConfig Read(std::string_view text, const std::string& file) {
  WebConfig config;
  config.tls.config_file = file;
  yaml::RefuseSecondDocument(std::string(text));
  ReadKeys(YAML::Load(std::string(text)), "",
           {{"tls_server_config",
             [&](const auto& value, const auto& where) { ReadTls(value, where, config.tls); }},
            {"http_server_config",
             [&](const auto& value, const auto& where) { ReadHttp(value, where, config); }},
            {"basic_auth_users",
             [&](const auto& value, const auto& where) { ReadUsers(value, where, config); }},
            {"rate_limit",
             [&](const auto& value, const auto& where) { ReadRateLimit(value, where, config); }}});
  const auto folder = std::filesystem::path(file).parent_path();
  for (ConfigText* path :
       {&config.tls.cert_file, &config.tls.key_file, &config.tls.client_ca_file}) {
    ResolvePath(*path, folder);
  }
  JudgeTls(config.tls);
  return config;
}

}  // namespace

bool TlsConfig::Enabled() const {
  return cert.given() || key.given() || client_ca.given() || cert_file.given() ||
         key_file.given() || client_ca_file.given() || client_auth_line > 0;
}

Result<WebConfig> ParseWebConfig(std::string_view text, const std::string& file) {
  const auto fault = [&](int line, const std::string& reason) {
    return MakeError(file + ":" + std::to_string(line) + ": " + reason);
  };
  try {
    return Read(text, file);
  } catch (const Mistake& mistake) {
    return fault(mistake.line, mistake.text);
  } catch (const YAML::Exception& error) {
    return fault(error.mark.line + 1, error.msg);
  } catch (const std::exception& error) {
    return fault(1, error.what());
  }
}

Result<std::string> ReadConfigFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError(path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return ErrnoError(path);
  if (!S_ISREG(status.st_mode)) return MakeError(path + ": not a file");
  std::string text;
  std::array<char, 16384> chunk;
  while (true) {
    const auto got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0) return ErrnoError(path);
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxConfigBytes) {
      return MakeError(path + ": larger than " + std::to_string(kMaxConfigBytes) + " bytes");
    }
  }
}

}  // namespace iperf3_exporter
