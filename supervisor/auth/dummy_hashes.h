// Hashes for unknown users, so that checking a password takes as long for them as for known users.
// Pure.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

namespace iperf3_exporter {

class DummyHashes {
 public:
  // `users`: name to bcrypt hash; at least one.
  explicit DummyHashes(const std::map<std::string, std::string>& users);

  // A bcrypt hash that no password matches. Its cost is that of one of the users, chosen by the
  // name: a name always has the same cost, also after a restart, and each cost is as frequent among
  // unknown names as among known ones. So the time of a check reveals nothing.
  [[nodiscard]] std::string For(const std::string& name) const;

 private:
  std::vector<std::string> costs_;  // of each user, sorted
  // Derived from the stored hashes, so that nobody else can compute the cost of a name.
  std::array<unsigned char, 32> key_{};
};

}  // namespace iperf3_exporter
