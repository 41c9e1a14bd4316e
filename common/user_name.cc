#include "common/user_name.h"

#include <pwd.h>

#include <array>

namespace iperf3_exporter {

std::string UserText(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const std::string number = std::to_string(uid);
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return "user " + number;
  }
  return std::string("user ") + entry.pw_name + " (" + number + ")";
}

}  // namespace iperf3_exporter
