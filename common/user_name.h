// How messages name a user.
#pragma once

#include <sys/types.h>

#include <string>

namespace iperf3_exporter {

// "user iperf3-exporter (998)"; without the name if the system does not know one. May block: asks
// the name service.
[[nodiscard]] std::string UserText(uid_t uid);

}  // namespace iperf3_exporter
