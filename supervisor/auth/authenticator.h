// Basic authentication against bcrypt hashes, off the event loop.
//
// An accepted password is remembered as a keyed hash of user, stored hash and password, one per
// user, so that no flood of wrong passwords can evict it; later requests with it are accepted at
// once. Rejected passwords are remembered in a set of bounded size. Every other check costs one
// bcrypt on a low-priority thread, one at a time per user name. No password is kept.
//
// A flood of wrong passwords can't be told from a user who has not been accepted yet, except by its
// origin. So clients take turns, and when too many checks wait, one of the client with the most
// waiting checks is dropped: a random one, so that nobody behind that address is always the victim.
//
// Nothing reveals whether a user exists: unknown names wait, have limits and cost as known ones do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "supervisor/auth/dummy_hashes.h"
#include "supervisor/loop/task_pool.h"

struct event_base;

namespace iperf3_exporter {

enum class AuthOutcome : std::uint8_t {
  kAccepted,
  kRefused,
  kBusy,         // too many checks wait
  kRateLimited,  // by WebSecurity
};

struct Credentials {
  std::string user;
  std::string password;
};

// Parses the value of an Authorization field with the scheme Basic (RFC 7617).
[[nodiscard]] std::optional<Credentials> ParseBasicAuthorization(std::string_view value);

class Authenticator {
 public:
  // Checks that wait or run, of one user name and of all names. Beyond it one ends with kBusy.
  static constexpr std::size_t kMaxWaitingPerName = 16;
  static constexpr std::size_t kMaxWaiting = 256;

  explicit Authenticator(event_base* base);

  // `users`: name to bcrypt hash; without any, every check is refused. A running check finishes
  // against the hash that it began with.
  void SetUsers(std::map<std::string, std::string> users);

  // Whether Check would accept them at once. Costs as much as that: a caller need not call both.
  [[nodiscard]] bool Remembers(const Credentials& credentials) const;

  // Calls `done` once: inside this call if the outcome is known, later otherwise, or never if this
  // object is destroyed before. A check whose `wanted` has become false is skipped. `client` is the
  // origin: see ClientNetwork.
  void Check(Credentials credentials, std::string client, std::function<bool()> wanted,
             std::function<void(AuthOutcome)> done);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct PendingCheck {
    Credentials credentials;
    std::string client;
    std::string hash;
    Digest digest{};  // of user, hash and password
    bool user_exists = false;
    std::function<bool()> wanted;
    std::function<void(AuthOutcome)> done;
  };
  struct RunningCheck {
    PendingCheck check;
    TaskPool::Task task;
  };
  // Ordered by round, in which each client has one check of each name, so that all names progress
  // alike; within a round by how many checks of the same client waited before.
  using Turn = std::pair<std::uint64_t, std::size_t>;
  using Waiting = std::multimap<Turn, PendingCheck>;

  [[nodiscard]] Digest DigestOf(const Credentials& credentials, const std::string& hash) const;
  // The check without `client`, `wanted` and `done`. Requires users.
  [[nodiscard]] PendingCheck Prepare(Credentials credentials) const;
  [[nodiscard]] std::optional<AuthOutcome> CachedOutcome(const PendingCheck& check) const;
  [[nodiscard]] std::size_t CountChecks(const std::string& user) const;
  [[nodiscard]] Turn NextTurn(const PendingCheck& check) const;
  [[nodiscard]] bool ExceedsLimit(const std::string& user) const;
  // Keeps the limits after a check of `user` was added.
  void DropSurplus(const std::string& user);
  void RunNext();
  void OnVerified(const std::string& user, bool matches);
  void Remember(const PendingCheck& check, AuthOutcome outcome);

  std::array<unsigned char, 32> key_{};
  std::map<std::string, std::string> users_;
  // Null without users: hashing would load 1.5 MB of libcrypto.
  std::unique_ptr<const DummyHashes> dummies_;
  std::map<std::string, Digest> accepted_;  // by user name
  std::set<Digest> rejected_;
  Waiting waiting_;
  std::uint64_t round_ = 0;
  std::minstd_rand random_{std::random_device{}()};
  std::map<std::string, RunningCheck> running_;  // by user name
  TaskPool pool_;
};

}  // namespace iperf3_exporter
