#include "supervisor/auth/authenticator.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/deadline.h"
#include "supervisor/auth/dummy_hashes.h"
#include "supervisor/config/web_config.h"

namespace iperf3_exporter {
namespace {

// bcrypt of "secret" at the lowest cost.
constexpr char kSecretHash[] = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() { authenticator_.SetUsers({{"alice", kSecretHash}}); }
  ~AuthenticatorTest() override { event_base_free(base_); }

  void Ask(const std::string& user, const std::string& password, bool* wanted = nullptr,
           const std::string& client = "192.0.2.1") {
    const std::size_t index = outcomes_.size();
    outcomes_.emplace_back();
    authenticator_.Check(
        {user, password}, client, [wanted] { return wanted == nullptr || *wanted; },
        [this, index](AuthOutcome outcome) { outcomes_[index] = outcome; });
  }
  // The loop does not run meanwhile, so that no check ends.
  void FillQueueOf(const std::string& user, bool* wanted = nullptr) {
    for (std::size_t i = 0; i < Authenticator::kMaxWaitingPerName; ++i) {
      Ask(user, "wrong " + std::to_string(i), wanted);
      ASSERT_EQ(outcomes_.back(), std::nullopt) << user << " " << i;
    }
  }
  void FillAllQueues(bool* wanted = nullptr) {
    for (std::size_t i = 0; i < Authenticator::kMaxWaiting; ++i) {
      Ask("user " + std::to_string(i), "wrong", wanted);
      ASSERT_EQ(outcomes_.back(), std::nullopt) << i;
    }
  }
  template <typename Condition>
  void RunUntil(Condition condition) {
    const Deadline deadline = Clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      ASSERT_LT(Clock::now(), deadline);
      event_base_loop(base_, EVLOOP_ONCE | EVLOOP_NONBLOCK);
      std::this_thread::yield();
    }
  }
  // Of the checks from `first` to before `last`.
  [[nodiscard]] std::size_t CountAnswered(std::size_t first, std::size_t last) const {
    std::size_t count = 0;
    for (std::size_t i = first; i < last; ++i) count += outcomes_[i] ? 1 : 0;
    return count;
  }
  [[nodiscard]] std::ptrdiff_t CountBusy() const {
    return std::ranges::count(outcomes_, AuthOutcome::kBusy);
  }
  void RunUntilAllAreAnswered() {
    RunUntil([this] {
      return std::all_of(outcomes_.begin(), outcomes_.end(),
                         [](const auto& outcome) { return outcome.has_value(); });
    });
  }

  event_base* base_ = event_base_new();
  std::vector<std::optional<AuthOutcome>> outcomes_;
  Authenticator authenticator_{base_};
};

TEST_F(AuthenticatorTest, AcceptsOnlyTheRightPassword) {
  Ask("alice", "secret");
  Ask("alice", "wrong");
  Ask("bob", "secret");
  RunUntilAllAreAnswered();
  EXPECT_EQ(outcomes_[0], AuthOutcome::kAccepted);
  EXPECT_EQ(outcomes_[1], AuthOutcome::kRefused);
  EXPECT_EQ(outcomes_[2], AuthOutcome::kRefused);
  Ask("alice", "secret");
  EXPECT_EQ(outcomes_.back(), AuthOutcome::kAccepted) << "not remembered";
}

TEST_F(AuthenticatorTest, FullQueueOfOneNameDoesNotAffectAnother) {
  FillQueueOf("nobody");
  Ask("nobody", "wrong");
  EXPECT_EQ(CountBusy(), 1);
  FillQueueOf("alice");
  Ask("alice", "wrong");
  EXPECT_EQ(CountBusy(), 2);
  // The limit is the same for known and unknown names.
  FillQueueOf("nobody else");
  RunUntilAllAreAnswered();
  Ask("nobody", "wrong again");
  EXPECT_EQ(outcomes_.back(), std::nullopt) << "the queue is still full";
}

TEST_F(AuthenticatorTest, TotalLimitAppliesToKnownAndUnknownNames) {
  FillAllQueues();
  Ask("alice", "wrong");
  EXPECT_EQ(CountBusy(), 1);
  Ask("nobody", "wrong");
  EXPECT_EQ(CountBusy(), 2);
  RunUntilAllAreAnswered();
  Ask("alice", "secret");
  Ask("nobody", "secret");
  RunUntilAllAreAnswered();
  EXPECT_EQ(outcomes_[outcomes_.size() - 2], AuthOutcome::kAccepted);
  EXPECT_EQ(outcomes_.back(), AuthOutcome::kRefused);
}

TEST_F(AuthenticatorTest, RememberedUserDoesNotWait) {
  Ask("alice", "secret");
  RunUntilAllAreAnswered();
  FillAllQueues();
  Ask("alice", "secret");
  EXPECT_EQ(outcomes_.back(), AuthOutcome::kAccepted);
}

TEST_F(AuthenticatorTest, DropsChecksThatAreNoLongerWanted) {
  bool wanted = true;
  FillQueueOf("alice", &wanted);
  wanted = false;
  outcomes_.clear();
  Ask("alice", "secret");
  RunUntilAllAreAnswered();
  EXPECT_EQ(outcomes_.back(), AuthOutcome::kAccepted);

  wanted = true;
  FillAllQueues(&wanted);
  wanted = false;
  outcomes_.clear();
  for (int i = 0; i < 100; ++i) Ask("other " + std::to_string(i), "wrong");
  RunUntilAllAreAnswered();
  EXPECT_EQ(std::count(outcomes_.begin(), outcomes_.end(), AuthOutcome::kRefused), 100);
}

// A name whose checks keep a thread busy does not delay the only check of another name.
TEST_F(AuthenticatorTest, ServesNamesInTurn) {
  FillQueueOf("first");
  FillQueueOf("second");
  Ask("alice", "secret");
  const std::size_t alice = outcomes_.size() - 1;
  while (!outcomes_[alice]) {
    event_base_loop(base_, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    std::this_thread::yield();
  }
  EXPECT_EQ(outcomes_[alice], AuthOutcome::kAccepted);
  EXPECT_GT(std::count(outcomes_.begin(), outcomes_.end(), std::nullopt), 20);
}

// Those that came first are in later rounds by now.
TEST_F(AuthenticatorTest, ANewClientTakesTurnsWithThoseThatWait) {
  constexpr std::size_t kEach = Authenticator::kMaxWaitingPerName / 2;
  for (std::size_t i = 0; i < kEach; ++i) Ask("alice", "first " + std::to_string(i));
  RunUntil([&] { return CountAnswered(0, kEach) >= 4; });
  for (std::size_t i = 0; i < kEach; ++i) {
    Ask("alice", "second " + std::to_string(i), nullptr, "198.51.100.1");
  }
  RunUntil([&] { return CountAnswered(0, kEach) == kEach; });
  EXPECT_LT(CountAnswered(kEach, 2 * kEach), 6U);
  RunUntilAllAreAnswered();
}

TEST_F(AuthenticatorTest, AnExpensiveHashDelaysNoOtherUser) {
  const std::string costs_a_second = "$2b$14$" + std::string(53, 'a');
  authenticator_.SetUsers({{"alice", kSecretHash}, {"bob", costs_a_second}});
  Ask("bob", "wrong");
  Ask("alice", "secret");
  RunUntil([&] { return outcomes_[1].has_value(); });
  EXPECT_EQ(outcomes_[1], AuthOutcome::kAccepted);
  EXPECT_EQ(outcomes_[0], std::nullopt);
}

TEST_F(AuthenticatorTest, ForgetsWrongPasswordsWhenThereAreTooMany) {
  constexpr std::size_t kRemembered = 1024;
  const auto is_remembered = [this](std::size_t i) {
    Ask("user " + std::to_string(i), "wrong");
    return outcomes_.back().has_value();
  };
  std::size_t asked = 0;
  const auto ask_many = [&] {
    for (std::size_t i = 0; i < Authenticator::kMaxWaiting; ++i) is_remembered(asked++);
    RunUntilAllAreAnswered();
  };
  ask_many();
  EXPECT_TRUE(is_remembered(0));
  while (asked <= kRemembered) ask_many();
  EXPECT_FALSE(is_remembered(0));
  EXPECT_TRUE(is_remembered(asked - 1));
}

TEST_F(AuthenticatorTest, DropsARandomCheckWhenTooManyWait) {
  std::deque<bool> wanted;
  std::set<std::size_t> dropped;
  for (int round = 0; round < 30; ++round) {
    outcomes_.clear();
    wanted.push_back(true);
    for (int i = 0; outcomes_.empty() || CountBusy() == 0; ++i) {
      ASSERT_LE(i, 17);
      Ask("nobody", "wrong " + std::to_string(round) + "." + std::to_string(i), &wanted.back());
    }
    dropped.insert(static_cast<std::size_t>(std::ranges::find(outcomes_, AuthOutcome::kBusy) -
                                            outcomes_.begin()));
    wanted.back() = false;
  }
  EXPECT_GT(dropped.size(), 5U);
}

// Whether the flood is for one name or for many.
TEST_F(AuthenticatorTest, AFloodFromOneClientNeitherDropsNorDelaysAnother) {
  for (const bool one_name : {true, false}) {
    authenticator_.SetUsers({{"alice", kSecretHash}});
    outcomes_.clear();
    const auto flood = [&] {
      for (int i = 0; i < 400; ++i) {
        const std::string number = std::to_string(one_name) + std::to_string(outcomes_.size());
        Ask(one_name ? "alice" : "user " + number, number);
      }
    };
    flood();
    const std::size_t alice = outcomes_.size();
    Ask("alice", "secret", nullptr, "198.51.100.1");
    flood();
    while (!outcomes_[alice]) {
      event_base_loop(base_, EVLOOP_ONCE | EVLOOP_NONBLOCK);
      std::this_thread::yield();
    }
    EXPECT_EQ(outcomes_[alice], AuthOutcome::kAccepted);
    EXPECT_GT(std::count(outcomes_.begin(), outcomes_.end(), std::nullopt), 8);
    RunUntilAllAreAnswered();
    authenticator_.SetUsers({});  // forgets alice
  }
}

TEST_F(AuthenticatorTest, RemembersOnlyWhomItHasAccepted) {
  EXPECT_FALSE(authenticator_.Remembers({"alice", "secret"}));
  Ask("alice", "secret");
  Ask("bob", "wrong");
  RunUntilAllAreAnswered();
  EXPECT_TRUE(authenticator_.Remembers({"alice", "secret"}));
  EXPECT_FALSE(authenticator_.Remembers({"alice", "other"}));
  EXPECT_FALSE(authenticator_.Remembers({"bob", "wrong"}));
  authenticator_.SetUsers({});
  EXPECT_FALSE(authenticator_.Remembers({"alice", "secret"}));
}

std::string HashOfCost(const std::string& cost) {
  return "$2b$" + cost + "$" + std::string(53, 'a');
}

TEST(DummyHashesTest, HaveTheCostOfAUserAndAreStable) {
  const DummyHashes dummies({{"a", HashOfCost("05")},
                             {"b", HashOfCost("05")},
                             {"c", HashOfCost("05")},
                             {"d", HashOfCost("12")}});
  std::map<std::string, int> names_by_cost;
  for (int i = 0; i < 4000; ++i) {
    const std::string hash = dummies.For("name " + std::to_string(i));
    ASSERT_TRUE(IsBcryptHash(hash)) << hash;
    EXPECT_EQ(hash, dummies.For("name " + std::to_string(i)));
    ++names_by_cost[hash.substr(4, 2)];
  }
  ASSERT_EQ(names_by_cost.size(), 2U);
  // As among the users: 3,000 to 1,000.
  EXPECT_NEAR(names_by_cost["05"], 3000, 200);
}

TEST(DummyHashesTest, DependOnTheStoredHashes) {
  const std::string other = HashOfCost("05").replace(20, 1, "b");
  const DummyHashes first({{"a", HashOfCost("05")}, {"b", HashOfCost("12")}});
  const DummyHashes same({{"a", HashOfCost("05")}, {"b", HashOfCost("12")}});
  const DummyHashes second({{"a", other}, {"b", HashOfCost("12")}});
  int changed = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = std::to_string(i);
    EXPECT_EQ(first.For(name), same.For(name));
    changed += first.For(name) != second.For(name) ? 1 : 0;
  }
  EXPECT_NEAR(changed, 500, 100);
}

TEST_F(AuthenticatorTest, RefusesEverybodyWithoutUsers) {
  authenticator_.SetUsers({});
  Ask("alice", "secret");
  EXPECT_EQ(outcomes_.back(), AuthOutcome::kRefused);
}

TEST(CredentialsTest, AreParsedFromTheHeaderField) {
  const auto aladdin = ParseBasicAuthorization("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  ASSERT_TRUE(aladdin);
  EXPECT_EQ(aladdin->user, "Aladdin");
  EXPECT_EQ(aladdin->password, "open sesame");
  const auto colon = ParseBasicAuthorization("bAsIc YTpiOmM=");
  ASSERT_TRUE(colon);
  EXPECT_EQ(colon->password, "b:c");
  for (const char* bad : {"", "Basic", "Basic ", "Basic YWJj", "Basic YTpi=", "Basic ====",
                          "Bearer YTpi", "Basic YT:i", "BasicYTpi", "Basic YTpi YTpi"}) {
    EXPECT_FALSE(ParseBasicAuthorization(bad)) << bad;
  }
}

}  // namespace
}  // namespace iperf3_exporter
