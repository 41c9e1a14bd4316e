#include "supervisor/probe/name_lookups.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/deadline.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {
namespace {

constexpr char kAlice[] = "192.0.2.1";
constexpr char kBob[] = "198.51.100.1";

// A resolver whose lookups of names that begin with "mute" hang until Release, and those that begin
// with "fading" from the second on. Names that begin with "bad" do not exist, those that begin with
// "gone" exist only at the first lookup. Shared with the threads, which may outlive the test.
class FakeResolver {
 public:
  Result<Resolved> Resolve(const std::string& target) {
    std::unique_lock lock(mutex_);
    const int times = ++asked_[target];
    order_.push_back(target);
    if (target.starts_with("mute") || (target.starts_with("fading") && times > 1)) {
      changed_.wait(lock, [&] { return released_ || target == released_name_; });
    }
    if (target.starts_with("bad") || (target.starts_with("gone") && times > 1)) {
      return MakeError("no such name");
    }
    return Resolved{.target = {*ParseIpAddress("192.0.2.1")}};
  }
  void Release(const std::string& target) {
    const std::lock_guard lock(mutex_);
    released_name_ = target;
    changed_.notify_all();
  }
  // The names in the order in which they were looked up.
  std::vector<std::string> Order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }
  int AskedInAll() { return static_cast<int>(Order().size()); }
  void Release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }
  int Asked(const std::string& target) {
    const std::lock_guard lock(mutex_);
    return asked_[target];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;
  std::string released_name_;
  std::map<std::string, int> asked_;
  std::vector<std::string> order_;
};

class NameLookupsTest : public testing::Test {
 protected:
  ~NameLookupsTest() override { resolver_->Release(); }

  std::unique_ptr<NameLookups> Lookups() {
    return std::make_unique<NameLookups>(
        base_.get(),
        [resolver = resolver_](const Host& target, const std::optional<Host>&, IpVersion,
                               const TargetPolicy&) { return resolver->Resolve(target.text); });
  }

  ProbeRequest Request(const std::string& target, const std::string& client = kAlice) const {
    ProbeRequest request;
    request.module = module_;
    request.host = *ParseHost(target);
    request.client = client;
    return request;
  }

  void Ask(NameLookups& lookups, NameLookups::Id id, const std::string& target,
           const std::string& client = kAlice) {
    ASSERT_TRUE(lookups.Start(id, Request(target, client),
                              [this, id](const auto& /*resolved*/) { answered_.insert(id); }));
  }
  // Asks for `count` names and waits for those that get a thread, which are `expected`.
  void AskMany(NameLookups& lookups, NameLookups::Id first, int count, const std::string& prefix,
               const std::string& client, int expected) {
    const int before = resolver_->AskedInAll();
    for (int i = 0; i < count; ++i) {
      Ask(lookups, first + static_cast<NameLookups::Id>(i), prefix + std::to_string(i), client);
    }
    RunUntil([&] { return resolver_->AskedInAll() == before + expected; });
  }

  template <typename Condition>
  void RunUntil(Condition condition) {
    const Deadline limit = Clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(Clock::now(), limit);
      event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
      std::this_thread::yield();
    }
  }

  std::shared_ptr<FakeResolver> resolver_ = std::make_shared<FakeResolver>();
  EventBase base_ = CreateEventBase();
  ModulePointer module_ = std::make_shared<const Module>();
  std::multiset<NameLookups::Id> answered_;
};

TEST_F(NameLookupsTest, OneClientCannotUseEveryThread) {
  const auto lookups = Lookups();
  AskMany(*lookups, 1, 100, "mute", kBob, NameLookups::kMaxPerClient);
  Ask(*lookups, 200, "good");
  RunUntil([&] { return answered_.contains(200); });
  EXPECT_EQ(answered_.size(), 1U);
}

TEST_F(NameLookupsTest, AnotherModuleHasALookupOfItsOwn) {
  const auto lookups = Lookups();
  Ask(*lookups, 1, "good");
  Ask(*lookups, 2, "good");
  module_ = std::make_shared<const Module>();
  Ask(*lookups, 3, "good");
  RunUntil([&] { return answered_.size() == 3; });
  EXPECT_EQ(resolver_->Asked("good"), 2);
}

TEST_F(NameLookupsTest, LookupsThatHungUpLeaveThreadsForOthers) {
  const auto lookups = Lookups();
  AskMany(*lookups, 1, 100, "mute", kBob, NameLookups::kMaxPerClient);
  for (NameLookups::Id id = 1; id <= 100; ++id) lookups->Abandon(id);
  AskMany(*lookups, 200, 1, "good", kAlice, 1);
  RunUntil([&] { return answered_.contains(200); });
  EXPECT_EQ(resolver_->AskedInAll(), static_cast<int>(NameLookups::kMaxPerClient) + 1);
}

TEST_F(NameLookupsTest, NamesThatWereResolvedBeforeComeFirst) {
  const auto lookups = Lookups();
  Ask(*lookups, 1, "good");
  RunUntil([&] { return answered_.contains(1); });
  // New names of many clients, and more of the client itself, use up their threads.
  NameLookups::Id id = 100;
  for (const std::string client : {"a", "b", "c"}) {
    AskMany(*lookups, id += 100, 100, "mute-" + client, client, NameLookups::kMaxPerClient);
  }
  AskMany(*lookups, id + 100, 100, "mute-alice", kAlice, 0);
  Ask(*lookups, 1000, "better");
  Ask(*lookups, 1001, "good");
  RunUntil([&] { return answered_.contains(1001); });
  EXPECT_FALSE(answered_.contains(1000));
}

// Memory does not grow with the names that clients make up.
TEST_F(NameLookupsTest, ForgetsKnownNamesWhenThereAreTooMany) {
  constexpr int kRemembered = 4096;
  constexpr int kAtOnce = 128;
  const auto lookups = Lookups();
  AskMany(*lookups, 1, 1, "good", kAlice, 1);
  NameLookups::Id id = 2;
  for (int asked = 0; asked <= kRemembered; asked += kAtOnce) {
    AskMany(*lookups, id, kAtOnce, std::to_string(asked) + "-name", kBob, kAtOnce);
    id += kAtOnce;
    RunUntil([&] { return answered_.size() == id - 1; });
  }
  for (const std::string client : {"a", "b", "c"}) {
    AskMany(*lookups, id, NameLookups::kMaxPerClient, "mute-" + client, client,
            NameLookups::kMaxPerClient);
    id += NameLookups::kMaxPerClient;
  }
  Ask(*lookups, id, "good0");  // as any new name, it waits for a thread
  Ask(*lookups, id + 1, std::to_string(kRemembered) + "-name0");
  RunUntil([&] { return answered_.contains(id + 1); });
  EXPECT_FALSE(answered_.contains(id));
}

TEST_F(NameLookupsTest, OneClientCannotUseTheThreadsOfKnownNames) {
  const auto lookups = Lookups();
  AskMany(*lookups, 1, 1, "good", kAlice, 1);
  AskMany(*lookups, 100, 40, "fading", kBob, 40);
  RunUntil([&] { return answered_.size() == 41; });
  AskMany(*lookups, 200, 40, "fading", kBob, NameLookups::kMaxPerClient);
  Ask(*lookups, 300, "good0");
  RunUntil([&] { return answered_.contains(300); });
}

TEST_F(NameLookupsTest, NamesThatFailedComeLast) {
  const auto lookups = Lookups();
  Ask(*lookups, 1, "bad");
  Ask(*lookups, 2, "gone");
  RunUntil([&] { return answered_.size() == 2; });
  Ask(*lookups, 3, "gone");
  RunUntil([&] { return answered_.contains(3); });
  AskMany(*lookups, 100, NameLookups::kMaxPerClient, "mute", kAlice, NameLookups::kMaxPerClient);
  Ask(*lookups, 200, "bad");
  Ask(*lookups, 201, "gone");
  Ask(*lookups, 202, "new");
  resolver_->Release("mute0");  // one thread for all three
  RunUntil([&] { return answered_.contains(200) && answered_.contains(201); });
  const auto order = resolver_->Order();
  EXPECT_EQ(std::vector(order.end() - 3, order.end()),
            (std::vector<std::string>{"new", "bad", "gone"}));
}

TEST_F(NameLookupsTest, ANameThatWaitsForOneClientBeginsForAnother) {
  const auto lookups = Lookups();
  AskMany(*lookups, 1, NameLookups::kMaxPerClient, "mute", kBob, NameLookups::kMaxPerClient);
  Ask(*lookups, 200, "good", kBob);
  Ask(*lookups, 201, "good", kAlice);
  RunUntil([&] { return answered_.contains(200) && answered_.contains(201); });
  EXPECT_EQ(resolver_->Asked("good"), 1);
}

TEST_F(NameLookupsTest, TooManyNamesAreRefused) {
  const auto lookups = Lookups();
  NameLookups::Id id = 0;
  const auto ask = [&](const std::string& name) {
    return lookups->Start(++id, Request(name), [](const auto&) {});
  };
  for (int i = 0; i < 1024; ++i) ASSERT_TRUE(ask("mute" + std::to_string(i)));
  EXPECT_FALSE(ask("one-more"));
  EXPECT_TRUE(ask("mute7")) << "joins the one that waits";
}

TEST_F(NameLookupsTest, LookupsOfOneNameShareOneThread) {
  const auto lookups = Lookups();
  for (NameLookups::Id id = 0; id < 1000; ++id) {
    Ask(*lookups, id, "mute");
    if (id == 0) RunUntil([&] { return resolver_->Asked("mute") == 1; });
    if (id % 2 == 0) lookups->Abandon(id);
  }
  EXPECT_EQ(lookups->ThreadCount(), 1U);
  resolver_->Release();
  RunUntil([&] { return answered_.size() == 500; });
  EXPECT_EQ(resolver_->Asked("mute"), 1);
  EXPECT_FALSE(answered_.contains(0));
  EXPECT_EQ(answered_.count(1), 1U);
}

TEST_F(NameLookupsTest, ResolvesANameAgainAfterItsLookup) {
  const auto lookups = Lookups();
  Ask(*lookups, 1, "good");
  RunUntil([&] { return answered_.contains(1); });
  Ask(*lookups, 2, "good");
  RunUntil([&] { return answered_.contains(2); });
  EXPECT_EQ(resolver_->Asked("good"), 2);
}

TEST_F(NameLookupsTest, AnAbandonedLookupThatHasNotBegunIsDropped) {
  const auto lookups = Lookups();
  AskMany(*lookups, 1, NameLookups::kMaxPerClient, "mute", kAlice, NameLookups::kMaxPerClient);
  Ask(*lookups, 200, "good");
  lookups->Abandon(200);
  Ask(*lookups, 201, "better");
  resolver_->Release();
  RunUntil([&] { return answered_.contains(201); });
  EXPECT_EQ(resolver_->Asked("good"), 0);
}

TEST_F(NameLookupsTest, ACallbackMayAbandonAnotherLookup) {
  const auto lookups = Lookups();
  ASSERT_TRUE(lookups->Start(1, Request("mute"), [&](const auto&) {
    answered_.insert(1);
    lookups->Abandon(2);
    lookups->Abandon(1);
  }));
  Ask(*lookups, 2, "mute");
  Ask(*lookups, 3, "mute");
  resolver_->Release();
  RunUntil([&] { return answered_.contains(3); });
  EXPECT_FALSE(answered_.contains(2));
}

TEST_F(NameLookupsTest, ItsThreadsMayOutliveIt) {
  auto lookups = Lookups();
  Ask(*lookups, 1, "mute");
  RunUntil([&] { return resolver_->Asked("mute") == 1; });
  lookups.reset();
  resolver_->Release();
  EXPECT_TRUE(answered_.empty());
}

}  // namespace
}  // namespace iperf3_exporter
