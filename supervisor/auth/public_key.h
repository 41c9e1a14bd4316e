// The public key of an iperf3 server with authentication. Here, because OpenSSL belongs to this
// directory.
#pragma once

#include "common/error.h"
#include "common/iperf3/test_credentials.h"

namespace iperf3_exporter {

// Whether `public_key` begins with an RSA public key, as iperf3 reads it with
// --rsa-public-key-path, that is long enough for the user name and the password. The error quotes
// none of them.
[[nodiscard]] Status CheckPublicKey(const TestCredentials& credentials);

}  // namespace iperf3_exporter
