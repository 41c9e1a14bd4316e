// What the password of a user who does not exist is checked against, so that it takes as long as
// that of one who does. Pure.
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

  // A bcrypt hash that no password gives. Its cost is that of one of the users, chosen by the name:
  // a name always costs the same, also after a restart, and costs are as frequent among names that
  // don't exist as among those that do, so that a cost tells nothing.
  [[nodiscard]] std::string For(const std::string& name) const;

 private:
  std::vector<std::string> costs_;  // of each user, sorted
  // Made of the stored hashes: who does not know them can't tell which cost a name would get.
  std::array<unsigned char, 32> key_{};
};

}  // namespace iperf3_exporter
