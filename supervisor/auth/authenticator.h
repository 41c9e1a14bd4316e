// Basic authentication against bcrypt hashes, off the event loop.
//
// A password that was accepted before is accepted at once: the result is kept under a keyed hash of
// user, stored hash and password, one per user, so that no flood of wrong passwords can evict it.
// Rejected ones are kept in a table of bounded size. Everything else costs one bcrypt on a
// low-priority thread, one at a time per user name. A check for which the queue is full is refused
// as kBusy. No password is kept.
//
// Nothing here shows whether a user exists: every name that is asked for, known or not, has a queue
// of its own with the same bound, all queues share one bound, and each check costs what a check of
// some user costs.
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
  // Checks that wait, of one user name and of all names.
  static constexpr std::size_t kMaxWaitingPerName = 16;
  static constexpr std::size_t kMaxWaiting = 256;

  explicit Authenticator(event_base* base);

  // User name to bcrypt hash; without any, every check is refused. Checks in progress finish
  // against the hash that they began with.
  void SetUsers(std::map<std::string, std::string> users);

  // Calls `done` once: inside this call if the result is known or the queue is full, later
  // otherwise, or never if this object is destroyed before. A check whose `wanted` has become false
  // is skipped.
  void Check(Credentials credentials, std::function<bool()> wanted,
             std::function<void(AuthOutcome)> done);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct PendingCheck {
    Credentials credentials;
    std::string hash;
    Digest digest{};  // of user, hash and password
    bool user_exists = false;
    std::function<bool()> wanted;
    std::function<void(AuthOutcome)> done;
  };
  // The checks of one user name.
  struct NameQueue {
    std::deque<PendingCheck> checks;  // `task` works for the first
    TaskPool::Task task;
  };

  [[nodiscard]] Digest DigestOf(const std::vector<std::string_view>& parts) const;
  [[nodiscard]] bool IsAccepted(const PendingCheck& check) const;
  [[nodiscard]] bool HasRoom(const Digest& name) const;
  void DropUnwanted();
  [[nodiscard]] bool SubmitFirst(const Digest& name, NameQueue& queue);
  void RunNext(const Digest& name);
  void OnVerified(const Digest& name, bool right);
  void Remember(const PendingCheck& check, bool right);

  std::array<unsigned char, 32> key_{};
  std::map<std::string, std::string> users_;
  // Null without users: hashing would load 1.5 MB of libcrypto.
  std::unique_ptr<const DummyHashes> dummies_;
  std::map<std::string, Digest> accepted_;  // by user name
  std::set<Digest> rejected_;
  std::deque<Digest> rejected_in_order_;
  // By a digest of the user name; without empty queues.
  std::map<Digest, NameQueue> queues_;
  std::size_t waiting_ = 0;  // in all queues
  TaskPool pool_;
};

}  // namespace iperf3_exporter
