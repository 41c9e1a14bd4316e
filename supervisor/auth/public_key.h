// The public key of an iperf3 server with authentication.
#pragma once

#include <string>

#include "common/error.h"

namespace iperf3_exporter {

// Whether `pem` is one RSA public key, as iperf3 reads it with --rsa-public-key-path. The error
// does not quote it.
[[nodiscard]] Status CheckRsaPublicKey(const std::string& pem);

}  // namespace iperf3_exporter
