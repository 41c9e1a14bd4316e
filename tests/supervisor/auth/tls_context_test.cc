// Handshakes in memory between a TlsContext and a client of OpenSSL. tests/e2e/http_tls_test.py
// covers what is on the wire.
#include "supervisor/auth/tls_context.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/deleter.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

std::string Pem(const std::string& name) { return TestData("web_config/pem/" + name); }

ConfigText Read(const std::string& name) {
  WatchedFiles files;
  return {*files.Read(Pem(name)), 1, name};
}

using Session = std::unique_ptr<SSL, Deleter<SSL_free>>;

// A client with the certificate `name`.pem, or none if it is empty.
Session MakeClient(const std::string& name) {
  const std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
  if (!name.empty()) {
    EXPECT_EQ(
        SSL_CTX_use_certificate_file(context.get(), Pem(name + ".pem").c_str(), SSL_FILETYPE_PEM),
        1);
    EXPECT_EQ(
        SSL_CTX_use_PrivateKey_file(context.get(), Pem(name + ".key").c_str(), SSL_FILETYPE_PEM),
        1);
  }
  return Session(SSL_new(context.get()));
}

// Whether the server accepts the client.
bool Shake(const TlsConfig& config, const std::string& client_certificate) {
  const auto context = TlsContext::Create(config);
  if (!context) {
    ADD_FAILURE() << context.error().message;
    return false;
  }
  const Session server((*context)->NewSession());
  const Session client = MakeClient(client_certificate);
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  EXPECT_EQ(BIO_new_bio_pair(&server_end, 0, &client_end, 0), 1);
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set_accept_state(server.get());
  SSL_set_connect_state(client.get());
  constexpr int kMaxTurns = 10;  // more than a handshake needs
  for (int turn = 0; turn < kMaxTurns; ++turn) {
    SSL_do_handshake(client.get());
    SSL_do_handshake(server.get());
  }
  ERR_clear_error();
  return SSL_is_init_finished(server.get()) == 1;
}

class TlsContextTest : public testing::Test {
 protected:
  TlsContextTest() {
    config_.cert = Read("server.pem");
    config_.key = Read("server.key");
  }

  TlsConfig config_;
};

TEST_F(TlsContextTest, AsksForTheCertificatesOfItsClientAuthType) {
  struct Case {
    ClientAuth type;
    bool accepts_none;
    bool accepts_other;  // a certificate of another CA
  };
  for (const Case& each :
       {Case{ClientAuth::kNone, true, true}, Case{ClientAuth::kRequest, true, true},
        Case{ClientAuth::kRequireAny, false, true}, Case{ClientAuth::kVerifyIfGiven, true, false},
        Case{ClientAuth::kRequireAndVerify, false, false}}) {
    SCOPED_TRACE(static_cast<int>(each.type));
    config_.client_auth = each.type;
    config_.client_ca = Read("server.pem");  // signed by itself
    EXPECT_EQ(Shake(config_, ""), each.accepts_none);
    EXPECT_EQ(Shake(config_, "other"), each.accepts_other);
    EXPECT_TRUE(Shake(config_, "server"));
  }
}

TEST_F(TlsContextTest, ChecksNamesOfCertificatesThatItDoesNotVerify) {
  config_.client_auth = ClientAuth::kRequireAny;
  EXPECT_TRUE(Shake(config_, "other"));
  config_.client_allowed_sans = {"test-only-other"};  // the subject is no subject alternative name
  EXPECT_FALSE(Shake(config_, "other"));
  config_.client_allowed_sans->clear();
  EXPECT_FALSE(Shake(config_, "other"));
}

TEST_F(TlsContextTest, TrustsNoCaOfTheSystemBesideItsOwn) {
  config_.client_auth = ClientAuth::kRequireAndVerify;
  ::setenv("SSL_CERT_FILE", Pem("other.pem").c_str(), /*overwrite=*/1);
  EXPECT_TRUE(Shake(config_, "other")) << "without client_ca the system's are trusted, as in Go";
  config_.client_ca = Read("server.pem");
  EXPECT_FALSE(Shake(config_, "other"));
  ::unsetenv("SSL_CERT_FILE");
}

}  // namespace
}  // namespace iperf3_exporter
