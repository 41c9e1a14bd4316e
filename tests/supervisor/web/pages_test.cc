#include "supervisor/web/pages.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

namespace iperf3_exporter {
namespace {

using nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SystemTime = std::chrono::system_clock::time_point;

constexpr SystemTime kNow{std::chrono::milliseconds(1'700'000'000'250)};

LockHolder Holder(const std::string& target) {
  LockHolder holder;
  holder.ours = true;
  holder.exporter_pid = 41;
  holder.worker_pid = 42;
  holder.target = target;
  holder.port = 5201;
  holder.held_for = milliseconds(1500);
  return holder;
}

LockStatus WithWaiting(std::size_t waiting) {
  LockStatus status;
  status.name = "iperf3_exporter";
  status.lock.holders.emplace_back(Holder("192.0.2.1"));
  status.queue_size = waiting;
  for (std::size_t i = 0; i < std::min(waiting, kMaxListedWaiting); ++i) {
    status.waiting.push_back({"target-" + std::to_string(i), static_cast<std::uint16_t>(i + 1),
                              milliseconds(i), seconds(60)});
  }
  return status;
}

ordered_json Parse(const LockStatus& status) {
  return ordered_json::parse(BuildLockStatus(status, kNow));
}

std::vector<std::string> Keys(const ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(PagesTest, LockStatusKeepsTheOrderOfItsKeys) {
  const std::vector<std::string> expected = {
      "is_locked", "locked_by", "locked_at", "lock_duration", "queue_size",      "scope",
      "name",      "holder",    "holders",   "recoveries",    "waiting_omitted", "waiting"};
  EXPECT_EQ(Keys(Parse(LockStatus{})), expected);
  EXPECT_EQ(Keys(Parse(WithWaiting(2))), expected);
}

TEST(PagesTest, LockStatusOfAFreeLockHasNulls) {
  LockStatus status;
  status.name = "a";
  status.lock.recoveries = 3;
  const ordered_json page = Parse(status);
  EXPECT_EQ(page["is_locked"], false);
  for (const char* key : {"locked_by", "locked_at", "lock_duration", "holder"}) {
    EXPECT_TRUE(page[key].is_null()) << key;
  }
  EXPECT_EQ(page["queue_size"], 0);
  EXPECT_EQ(page["scope"], "host");
  EXPECT_EQ(page["name"], "a");
  EXPECT_EQ(page["holders"], ordered_json::array());
  EXPECT_EQ(page["waiting"], ordered_json::array());
  EXPECT_EQ(page["waiting_omitted"], 0);
  EXPECT_EQ(page["recoveries"], 3);
}

TEST(PagesTest, LockStatusNamesTheHolder) {
  const ordered_json page = Parse(WithWaiting(0));
  EXPECT_EQ(page["is_locked"], true);
  EXPECT_EQ(page["locked_by"], "192.0.2.1:5201");
  EXPECT_EQ(page["locked_at"], "2023-11-14T22:13:18.750Z");
  EXPECT_EQ(page["lock_duration"], 1.5);
  const ordered_json expected = {
      {"pid", 42},    {"exporter_pid", 41}, {"target", "192.0.2.1"},
      {"port", 5201}, {"own", true},        {"since", "2023-11-14T22:13:18.750Z"}};
  EXPECT_EQ(page["holder"], expected);
  EXPECT_EQ(page["holders"], ordered_json::array({expected}));
}

TEST(PagesTest, LockStatusOfAnUnknownHolderHasNulls) {
  LockStatus status;
  status.lock.holders.emplace_back(std::nullopt);
  const ordered_json page = Parse(status);
  EXPECT_EQ(page["is_locked"], true);
  for (const char* key : {"locked_by", "locked_at", "lock_duration"}) {
    EXPECT_TRUE(page[key].is_null()) << key;
  }
  for (const char* key : {"pid", "exporter_pid", "target", "port", "since"}) {
    EXPECT_TRUE(page["holder"][key].is_null()) << key;
  }
  EXPECT_EQ(page["holder"]["own"], false);
}

TEST(PagesTest, LockStatusDescribesTheFirstOfSeveralHolders) {
  LockStatus status = WithWaiting(0);
  status.lock.holders.emplace_back(Holder("second"));
  const ordered_json page = Parse(status);
  EXPECT_EQ(page["holder"]["target"], "192.0.2.1");
  EXPECT_EQ(page["holders"].size(), 2U);
  EXPECT_EQ(page["holders"][1]["target"], "second");
}

TEST(PagesTest, LockStatusListsWaitingProbesInOrder) {
  const ordered_json page = Parse(WithWaiting(3));
  EXPECT_EQ(page["queue_size"], 3);
  EXPECT_EQ(page["waiting_omitted"], 0);
  ASSERT_EQ(page["waiting"].size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const ordered_json expected = {{"target", "target-" + std::to_string(i)},
                                   {"port", i + 1},
                                   {"waited", static_cast<double>(i) / 1000},
                                   {"left", 60.0}};
    EXPECT_EQ(page["waiting"][i], expected);
    EXPECT_EQ(Keys(page["waiting"][i]), Keys(expected));
    EXPECT_TRUE(page["waiting"][i]["waited"].is_number_float());
  }
}

TEST(PagesTest, LockStatusCountsUnlistedProbes) {
  const ordered_json page = Parse(WithWaiting(5000));
  EXPECT_EQ(page["queue_size"], 5000);
  EXPECT_EQ(page["waiting"].size(), kMaxListedWaiting);
  EXPECT_EQ(page["waiting_omitted"], 5000 - kMaxListedWaiting);
  EXPECT_EQ(page["waiting"].back()["target"], "target-99");
}

TEST(PagesTest, LockStatusIsValidJsonForAnyText) {
  for (const std::string& text : {std::string("\"},\\ \n\x1b\x7f"), std::string("\xff\xc3("),
                                  std::string("a\0b", 3), std::string("</script>é\xe2\x80\xa8")}) {
    LockStatus status = WithWaiting(1);
    status.lock.holders[0]->target = text;
    status.waiting[0].target = text;
    status.name = text;
    const ordered_json page = Parse(status);
    EXPECT_TRUE(page["waiting"][0]["target"].is_string());
    EXPECT_EQ(page["waiting"][0]["port"], 1);
    EXPECT_EQ(page["queue_size"], 1);
  }
}

TEST(PagesTest, LandingPageEscapesForeignValues) {
  Options options;
  options.telemetry_path = "/<m>\"'&";
  options.probe_path = "/probe";
  options.results_path = "/results";
  const SandboxReport sandbox;
  const std::string page = BuildLandingPage(options, "<script>", &sandbox);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_EQ(page.find("<m>"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(page.find("\"&lt;m&gt;&quot;&#39;&amp;\""), std::string::npos);
  EXPECT_EQ(page.find("href=\"/"), std::string::npos) << "absolute links ignore a proxy's prefix";
  EXPECT_NE(BuildLandingPage(options, "", nullptr).find("version not yet known"),
            std::string::npos);
}

// It would be refused.
TEST(PagesTest, LandingPageHasNoExampleProbeIfAModuleIsRequired) {
  Options options;
  options.telemetry_path = "/metrics";
  options.probe_path = "/probe";
  options.results_path = "/results";
  EXPECT_NE(BuildLandingPage(options, "3.12", nullptr).find("probe?target="), std::string::npos);
  options.requires_module = true;
  EXPECT_EQ(BuildLandingPage(options, "3.12", nullptr).find("probe?target="), std::string::npos);
}

TEST(PagesTest, LandingPageShowsTheSandboxOfBothProcesses) {
  Options options;
  options.telemetry_path = "/metrics";
  options.probe_path = "/probe";
  options.results_path = "/results";
  SandboxReport sandbox;
  const auto seccomp = static_cast<std::size_t>(SandboxLayer::kSeccomp);
  sandbox.worker[seccomp] = LayerState::kEnabled;
  sandbox.iperf3[seccomp] = LayerState::kMissing;
  const std::string page = BuildLandingPage(options, "3.12", &sandbox);
  EXPECT_NE(page.find("<th>layer</th><th>worker</th><th>iperf3</th>"), std::string::npos);
  EXPECT_NE(page.find("<td>seccomp</td><td>enabled</td><td>missing</td>"), std::string::npos);
  EXPECT_EQ(BuildLandingPage(options, "3.12", nullptr).find("<table>"), std::string::npos);
}

}  // namespace
}  // namespace iperf3_exporter
