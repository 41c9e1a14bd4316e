#include "supervisor/probe/name_lookups.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "common/deadline.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {
namespace {

// A resolver whose lookups of names that begin with "mute" hang until Release. Shared with the
// threads, which may outlive the test.
class FakeResolver {
 public:
  Result<Resolved> Resolve(const std::string& target) {
    std::unique_lock lock(mutex_);
    ++asked_[target];
    if (target.starts_with("mute")) changed_.wait(lock, [this] { return released_; });
    return Resolved{{*ParseIpAddress("192.0.2.1")}, {}};
  }
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
  std::map<std::string, int> asked_;
};

class NameLookupsTest : public testing::Test {
 protected:
  ~NameLookupsTest() override { resolver_->Release(); }

  std::unique_ptr<NameLookups> Lookups(std::size_t max_threads = kMaxResolverThreads) {
    return std::make_unique<NameLookups>(
        base_.get(),
        [resolver = resolver_](const Host& target, const std::optional<Host>&, IpVersion) {
          return resolver->Resolve(target.text);
        },
        max_threads);
  }

  void Ask(NameLookups& lookups, NameLookups::Id id, const std::string& target) {
    ASSERT_TRUE(lookups.Start(id, *ParseHost(target), std::nullopt, IpVersion::kAny,
                              [this, id](const auto& resolved) {
                                EXPECT_TRUE(resolved);
                                answered_.insert(id);
                              }));
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
  std::multiset<NameLookups::Id> answered_;
};

TEST_F(NameLookupsTest, LookupsThatHangDelayNoOther) {
  const auto lookups = Lookups();
  for (NameLookups::Id id = 0; id < 70; ++id) Ask(*lookups, id, "mute" + std::to_string(id));
  Ask(*lookups, 100, "good");
  RunUntil([&] { return answered_.contains(100); });
  EXPECT_EQ(answered_.size(), 1U);
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
  const auto lookups = Lookups(1);
  Ask(*lookups, 1, "mute");
  RunUntil([&] { return resolver_->Asked("mute") == 1; });
  Ask(*lookups, 2, "good");
  lookups->Abandon(2);
  Ask(*lookups, 3, "better");
  resolver_->Release();
  RunUntil([&] { return answered_.contains(3); });
  EXPECT_EQ(resolver_->Asked("good"), 0);
}

TEST_F(NameLookupsTest, ACallbackMayAbandonAnotherLookup) {
  const auto lookups = Lookups();
  ASSERT_TRUE(
      lookups->Start(1, *ParseHost("mute"), std::nullopt, IpVersion::kAny, [&](const auto&) {
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
