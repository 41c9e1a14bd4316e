#include "supervisor/auth/tls_pem.h"

#include <openssl/err.h>

#include <utility>

namespace iperf3_exporter {

tl::unexpected<Error> TlsFault(const TlsConfig& config, int line, const std::string& reason) {
  return MakeError(config.config_file + ":" + std::to_string(line) + ": tls_server_config." +
                   reason);
}

std::string OpensslReason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

Bio BioOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int NoPassphrase(char*, int, int, void*) { return -1; }

Result<Pem> ReadPem(const TlsConfig& config, const ConfigText& file, const ConfigText& inline_text,
                    const std::string& name) {
  if (!file.given()) return Pem{name, inline_text.line, inline_text.text};
  auto text = ReadConfigFile(file.text);
  if (!text) return TlsFault(config, file.line, name + "_file: " + text.error().message);
  return Pem{name + "_file", file.line, std::move(*text)};
}

}  // namespace iperf3_exporter
