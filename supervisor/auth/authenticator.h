// Basic authentication against bcrypt hashes, off the event loop.
//
// A password that was right before is known at once: the answer is remembered under a keyed hash of
// user, stored hash and password together, one per user, so that no flood of wrong ones can push it
// out. Wrong ones are remembered in a table of bounded size. Everything else costs one bcrypt on a
// low-priority thread, one at a time per user name. Who has to wait in too long a queue is told to
// come back. No password is kept.
//
// Nothing here tells whether a user exists: every name that is asked for, known or not, has a line
// of its own with the same bound, all share one bound, and each costs what some user costs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/auth/dummy_hashes.h"
#include "supervisor/loop/task_pool.h"

struct event_base;

namespace iperf3_exporter {

enum class AuthOutcome : std::uint8_t { kAccepted, kRefused, kBusy };

struct Credentials {
  std::string user;
  std::string password;
};

// The value of an Authorization field with the scheme Basic (RFC 7617). False when it is anything
// else.
[[nodiscard]] bool ParseBasicAuthorization(std::string_view value, Credentials& credentials);

class Authenticator {
 public:
  // Checks that wait for their turn, of one user name and of all names.
  static constexpr std::size_t kMaxWaitingPerName = 16;
  static constexpr std::size_t kMaxWaiting = 256;

  explicit Authenticator(event_base* base);

  // User name to bcrypt hash; without any, everybody is refused. Checks that are under way finish
  // against the hash they began with.
  void SetUsers(std::map<std::string, std::string> users);

  // Calls `done` once: inside this call if the answer is known or too many wait, later otherwise,
  // or never if this object ends before. A check whose `wanted` has become false is skipped.
  void Check(Credentials credentials, std::function<bool()> wanted,
             std::function<void(AuthOutcome)> done);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Question {
    Credentials credentials;
    std::string hash;
    Digest digest{};
    bool exists = false;
    std::function<bool()> wanted;
    std::function<void(AuthOutcome)> done;
  };
  struct Line {
    std::deque<Question> waiting;  // the first is being checked when `task` is pending
    TaskPool::Task task;
  };

  [[nodiscard]] Digest DigestOf(const std::vector<std::string_view>& parts) const;
  [[nodiscard]] bool HasRoom(const Digest& name) const;
  void DropUnwanted();
  void Start(const Digest& name);
  void OnChecked(const Digest& name, bool right);
  void Remember(const Question& question, bool right);

  std::array<unsigned char, 32> key_{};
  std::map<std::string, std::string> users_;
  // None without users: hashing would bring 1.5 MB of libcrypto to life.
  std::unique_ptr<const DummyHashes> dummies_;
  std::map<std::string, Digest> known_right_;
  std::set<Digest> known_wrong_;
  std::deque<Digest> wrong_in_order_;
  // By a digest of the user name; only those in which somebody waits.
  std::map<Digest, Line> lines_;
  std::size_t waiting_ = 0;  // in all lines
  TaskPool pool_;
};

}  // namespace iperf3_exporter
