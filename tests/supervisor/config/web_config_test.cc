#include "supervisor/config/web_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/text.h"
#include "supervisor/auth/web_security.h"
#include "supervisor/loop/event_loop.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

const std::filesystem::path kDirectory = TestData("web_config");

std::vector<std::string> FilesOf(const char* directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory / directory)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string FirstLine(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string Replace(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

WebConfig MustParse(const std::string& text) {
  auto config = ParseWebConfig(text, "/etc/web.yml");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(WebConfig());
}

// As a start does.
Status Check(const std::string& file) {
  WatchedFiles files;
  const auto config = LoadWebConfig(file, files);
  if (!config) return tl::unexpected(config.error());
  const EventBase base = CreateEventBase();
  return WebSecurity(base.get()).Apply(*config);
}

// The first line of each file in bad/ is the expected error.
TEST(WebConfigTest, RefusesBadFilesWithFileLineAndReason) {
  const auto files = FilesOf("bad");
  ASSERT_GE(files.size(), 60U);
  for (const std::string& file : files) {
    const std::string head = "# refused: ";
    const std::string line = FirstLine(file);
    ASSERT_TRUE(line.starts_with(head)) << file;
    const std::string directory = (kDirectory / "bad").string();
    const std::string expected =
        file + ":" + Replace(line.substr(head.size()), "{directory}", directory);
    const auto status = Check(file);
    ASSERT_FALSE(status) << file;
    EXPECT_EQ(status.error().message, expected);
  }
}

TEST(WebConfigTest, AcceptsWhatTheToolkitAccepts) {
  const auto files = FilesOf("good");
  ASSERT_GE(files.size(), 9U);
  for (const std::string& file : files) {
    const auto status = Check(file);
    EXPECT_TRUE(status) << file << ": " << status.error().message;
  }
}

TEST(WebConfigTest, NamesAMissingFile) {
  const auto status = Check("/nonexistent/web.yml");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "/nonexistent/web.yml: No such file or directory");
}

TEST(WebConfigTest, NeverShowsASecret) {
  for (const char* text : {"tls_server_config:\n  key: [sesame]\n", "basic_auth_users: {a: sesame}",
                           "basic_auth_users: {a: [sesame]}"}) {
    const auto config = ParseWebConfig(text, "web.yml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().message.find("sesame"), std::string::npos) << config.error().message;
  }
}

TEST(WebConfigTest, HasTheToolkitsDefaults) {
  const WebConfig config = MustParse("");
  EXPECT_FALSE(config.tls.Enabled());
  EXPECT_EQ(config.tls.min_version, TlsVersion::kTls12);
  EXPECT_EQ(config.tls.max_version, TlsVersion::kTls13);
  EXPECT_TRUE(config.tls.prefer_server_ciphers);
  EXPECT_TRUE(config.users.empty());
  EXPECT_EQ(config.rate_interval.count(), 0);
}

TEST(WebConfigTest, ResolvesPathsRelativeToTheFile) {
  const WebConfig config =
      MustParse("tls_server_config: {cert_file: a.pem, key_file: /b.key, client_ca_file: ''}");
  EXPECT_EQ(config.tls.cert_file.text, "/etc/a.pem");
  EXPECT_EQ(config.tls.key_file.text, "/b.key");
  EXPECT_FALSE(config.tls.client_ca_file.given());
}

TEST(WebConfigTest, KeepsTheOrderOfCiphersAndTranslatesThem) {
  const WebConfig config = MustParse(
      "tls_server_config: {cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "
      "TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]}");
  EXPECT_EQ(config.tls.ciphers,
            (std::vector<std::string>{"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"}));
  EXPECT_FALSE(config.tls.only_tls13_ciphers);
}

TEST(WebConfigTest, DistinguishesAnEmptyListOfSansFromNone) {
  EXPECT_FALSE(MustParse("tls_server_config: {min_version: TLS12}").tls.client_allowed_sans);
  const auto tls = MustParse("tls_server_config: {client_allowed_sans: []}").tls;
  ASSERT_TRUE(tls.client_allowed_sans);
  EXPECT_TRUE(tls.client_allowed_sans->empty());
}

TEST(WebConfigTest, LeavesOutEmptyHeaders) {
  const WebConfig config =
      MustParse("http_server_config: {headers: {X-XSS-Protection: '', X-Frame-Options: deny}}");
  ASSERT_EQ(config.headers.size(), 1U);
  EXPECT_EQ(config.headers.front().first, "X-Frame-Options");
}

TEST(WebConfigTest, SurvivesDeepNesting) {
  const std::string deep(100'000, '[');
  EXPECT_FALSE(ParseWebConfig(deep, "web.yml"));
  std::string maps;
  for (int i = 0; i < 20'000; ++i) maps += "{a: ";
  EXPECT_FALSE(ParseWebConfig(maps, "web.yml"));
}

TEST(WebConfigTest, NamesWhatRestrictsAccessLess) {
  const std::string tls = "tls_server_config: {cert: c, key: k";
  const std::string verify = ", client_auth_type: RequireAndVerifyClientCert";
  const std::string users =
      "basic_auth_users: {a: $2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u}\n";
  const auto lost = [](const std::string& before, const std::string& after) {
    return LostProtections(ProtectionsOf(MustParse(before)), ProtectionsOf(MustParse(after)));
  };
  EXPECT_EQ(lost(users + tls + "}", "# comment"), "TLS, basic authentication");
  EXPECT_EQ(lost(users + tls + "}", tls + "}"), "basic authentication");
  EXPECT_EQ(lost(users + tls + "}", users), "TLS");
  EXPECT_EQ(lost("", users + tls + verify + "}"), "");
  EXPECT_EQ(lost(users, users + "rate_limit: {}"), "");
  EXPECT_EQ(lost(tls + verify + ", client_ca: c}", tls + verify + "}"), "client CA");
  EXPECT_EQ(lost(tls + verify + ", client_allowed_sans: [a]}", tls + verify + "}"),
            "client_allowed_sans");
  for (const char* type : {"NoClientCert", "RequestClientCert", "RequireAnyClientCert"}) {
    EXPECT_EQ(
        lost(tls + verify + "}", Replace(tls + verify + "}", "RequireAndVerifyClientCert", type)),
        "client certificates");
  }
  EXPECT_EQ(lost(tls + ", client_auth_type: RequireAnyClientCert}",
                 tls + ", client_auth_type: VerifyClientCertIfGiven}"),
            "client certificates");
}

TEST(WebConfigTest, NamesWhatTlsAllowsInAddition) {
  const auto lost = [](const std::string& before, const std::string& after) {
    const auto protections = [](const std::string& keys) {
      return ProtectionsOf(MustParse("tls_server_config: {cert: c, key: k, " + keys + "}"));
    };
    return LostProtections(protections(before), protections(after));
  };
  const std::string cbc = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]";
  const std::string gcm = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]";
  EXPECT_EQ(lost("min_version: TLS13", ""), "minimum TLS version");
  EXPECT_EQ(lost("", "min_version: TLS11"), "minimum TLS version, cipher_suites");
  EXPECT_EQ(lost("cipher_suites: [TLS_AES_256_GCM_SHA384]", ""), "minimum TLS version");
  EXPECT_EQ(lost("", "min_version: TLS13"), "");
  EXPECT_EQ(lost(gcm, ""), "cipher_suites");
  EXPECT_EQ(lost("", gcm), "");
  EXPECT_EQ(lost("", cbc), "cipher_suites");
  EXPECT_EQ(lost(gcm, cbc), "cipher_suites");
  EXPECT_EQ(lost("curve_preferences: [CurveP521]", ""), "curve_preferences");
  EXPECT_EQ(lost("curve_preferences: [CurveP521]", "curve_preferences: [X25519, CurveP521]"),
            "curve_preferences");
  EXPECT_EQ(lost("curve_preferences: [X25519, CurveP521]", "curve_preferences: [CurveP521]"), "");
  EXPECT_EQ(lost("", "curve_preferences: [CurveP256]"), "");
  // Plain HTTP restricts nothing.
  const Protections tls10 =
      ProtectionsOf(MustParse("tls_server_config: {cert: c, key: k, min_version: TLS10}"));
  EXPECT_EQ(LostProtections(ProtectionsOf({}), tls10), "");
  EXPECT_EQ(LostProtections(tls10, ProtectionsOf({})), "TLS");
}

TEST(WebConfigTest, WarnsThatEveryCaOfTheSystemIsTrusted) {
  const auto warning = [](const std::string& keys) {
    return WarningAbout(
        MustParse("tls_server_config:\n  cert: c\n  key: k\n  client_auth_type: " + keys + '\n'));
  };
  for (const char* type : {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}) {
    EXPECT_EQ(warning(type),
              "/etc/web.yml:4: client_auth_type without client_ca_file accepts the certificates of "
              "every CA that this system trusts");
    for (const char* key : {"client_ca: c", "client_ca_file: c"}) {
      EXPECT_EQ(warning(type + std::string("\n  ") + key), "") << key;
    }
  }
  EXPECT_EQ(warning("RequireAndVerifyClientCert\n  client_allowed_sans: [a]"), "");
  for (const char* type : {"NoClientCert", "RequestClientCert", "RequireAnyClientCert"}) {
    EXPECT_EQ(warning(type), "") << type;
  }
}

// Each prefix is what a reader may find of a file that is being saved.
TEST(WebConfigTest, EveryPrefixThatLacksAProtectionIsNoticed) {
  const std::string users =
      "basic_auth_users:\n"
      "  alice: $2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u\n";
  std::vector<std::string> keys = {"  cert: c\n  key: k\n",
                                   "  client_auth_type: RequireAndVerifyClientCert\n",
                                   "  client_ca: c\n",
                                   "  client_allowed_sans: [a]\n",
                                   "  min_version: TLS13\n",
                                   "  cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n",
                                   "  curve_preferences:\n  - CurveP521\n"};
  int accepted = 0;
  // Each key is the last one once.
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::rotate(keys.begin(), keys.begin() + 1, keys.end());
    const std::string text = users + "tls_server_config:\n" + Join(keys, "");
    const Protections all = ProtectionsOf(MustParse(text));
    for (const auto& [name, level] : all.levels) EXPECT_GT(level, 0) << name;
    for (std::size_t size = 0; size < text.size() - 1; ++size) {  // without the last line feed
      const auto config = ParseWebConfig(text.substr(0, size), "web.yml");
      if (!config) continue;
      ++accepted;
      EXPECT_NE(LostProtections(all, ProtectionsOf(*config)), "") << text.substr(0, size);
    }
  }
  EXPECT_GE(accepted, 50);
}

TEST(WebConfigTest, RecognizesBcryptHashes) {
  const std::string hash = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
  EXPECT_TRUE(IsBcryptHash(hash));
  for (const char* cost : {"03", "32", "4$", "a4", "99", "3:"}) {
    EXPECT_FALSE(IsBcryptHash("$2b$" + std::string(cost) + hash.substr(6))) << cost;
  }
  for (const char* version : {"$2x$", "$2$0", "$1b$", "2b$0"}) {
    EXPECT_FALSE(IsBcryptHash(version + hash.substr(4))) << version;
  }
  EXPECT_FALSE(IsBcryptHash(hash + "a"));
  EXPECT_FALSE(IsBcryptHash(hash.substr(1)));
  EXPECT_FALSE(IsBcryptHash(hash.substr(0, 59) + ":"));
}

}  // namespace
}  // namespace iperf3_exporter
