#include "common/wire/wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TestCredentials SampleCredentials() {
  return {.username = "probe",
          .password = "secret",
          .public_key = "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
          .pkcs1_padding = true};
}

Job SampleJob() {
  Job job;
  job.id = 7;
  job.target = "server.example";
  job.address = *ParseIpAddress("fe80::1%1");
  job.port = 5202;
  job.test.protocol = Protocol::kUdp;
  job.test.direction = Direction::kBidirectional;
  job.test.bitrate_bits_per_second = 1'500'000;
  job.test.bind_address = ParseIpAddress("127.0.0.1");
  job.test.bind_device = "lo";
  job.credentials = SampleCredentials();
  job.connect_timeout = milliseconds(1500);
  job.lock_key = kMaxLockKey;
  const Deadline now = Clock::now();
  job.times = {now,
               now + seconds(1),
               now + seconds(2),
               now + seconds(3),
               now + seconds(4),
               now + seconds(5),
               milliseconds(2500)};
  return job;
}

wire::Started SampleStarted() {
  return {.job_id = 7, .period_seconds = 5, .lock_wait = milliseconds(3), .recovered_lock = true};
}

wire::Finished SampleMeasured() {
  Measurement measurement;
  measurement.upload = DirectionMeasurement{.sent_bytes = 1e12, .lost_ratio = 0.5};
  measurement.remote_cpu.user = 0.25;
  measurement.implausible_values = 2;
  return {7, measurement, Traffic{.upload_bytes = 1000, .download_bytes = kMaxTrafficBytes}};
}

wire::Finished SampleFailed() {
  return {7, tl::unexpected(TestFailure{FailureReason::kServerBusy, std::string("a\0b\xff", 4)}),
          std::nullopt};
}

template <typename Message>
void ExpectCarried(const Message& message) {
  const auto event = wire::DecodeEvent(wire::Encode(message));
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_EQ(std::get<Message>(*event), message);
}

TEST(WireTest, CarriesEveryCommandUnchanged) {
  const WorkerConfig config{.lock_name = "iperf3_exporter",
                            .lock_scope = LockScope::kBind,
                            .iperf3_path = "/usr/bin/iperf3",
                            .sandbox = SandboxMode::kDiagnose,
                            .log_level = 3,
                            .log_json = true,
                            .known_iperf3 = Iperf3Description{.version = "3.12"}};
  EXPECT_EQ(std::get<WorkerConfig>(*wire::DecodeCommand(wire::Encode(config))), config);
  const Job job = SampleJob();
  EXPECT_EQ(std::get<Job>(*wire::DecodeCommand(wire::Encode(job))), job);
  EXPECT_TRUE(
      std::holds_alternative<wire::Cancel>(*wire::DecodeCommand(wire::Encode(wire::Cancel{}))));
}

TEST(WireTest, CarriesEveryEventUnchanged) {
  WorkerReady ready{.iperf3 = {.version = "3.12"}};
  ready.iperf3.capabilities.options.set(3);
  ready.iperf3.capabilities.authentication = true;
  ready.iperf3.capabilities.pkcs1_padding = true;
  ready.iperf3.capabilities.udp_counters_64bit = true;
  ready.sandbox.iperf3[2] = LayerState::kMissing;
  ExpectCarried(ready);
  ExpectCarried(wire::SetUpFailed{"no such iperf3", true});
  ExpectCarried(SampleStarted());
  ExpectCarried(SampleMeasured());
  ExpectCarried(SampleFailed());
  ExpectCarried(wire::NotStarted{.job_id = 7, .reason = wire::NotStarted::Reason::kNoTime});
}

// Otherwise the fuzzer begins with bytes that are refused at the header.
TEST(WireTest, DecodesTheSeedsOfItsFuzzer) {
  int seeds = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(SourceFile("tests/fuzz/corpus/wire_fuzzer"))) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    const wire::Bytes frame = std::as_bytes(std::span(bytes));
    EXPECT_TRUE(wire::DecodeCommand(frame) || wire::DecodeEvent(frame)) << entry.path();
    ++seeds;
  }
  EXPECT_GE(seeds, 10);
}

TEST(WireTest, RefusesEveryTruncationAndExtension) {
  for (const wire::Frame& frame :
       {wire::Encode(SampleStarted()), wire::Encode(SampleMeasured()), wire::Encode(SampleFailed()),
        wire::Encode(wire::NotStarted{}), wire::Encode(wire::SetUpFailed{})}) {
    for (std::size_t length = 0; length < frame.size(); ++length) {
      EXPECT_FALSE(wire::DecodeEvent(wire::Bytes(frame).first(length))) << length;
    }
    wire::Frame longer = frame;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(wire::DecodeEvent(longer));
  }
}

TEST(WireTest, RefusesAnotherVersionAndTheOtherDirection) {
  wire::Frame frame = wire::Encode(SampleMeasured());
  EXPECT_FALSE(wire::DecodeCommand(frame));
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(SampleJob())));
  frame[4] = std::byte{wire::kVersion + 1};
  EXPECT_EQ(wire::DecodeEvent(frame).error().message, "malformed frame: version 8, not 7");
}

TEST(WireTest, RefusesNumbersOutOfRange) {
  for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(), 1e300}) {
    wire::Finished finished = SampleMeasured();
    finished.result->upload->sent_bytes = value;
    EXPECT_FALSE(wire::DecodeEvent(wire::Encode(finished))) << value;
  }
  wire::Finished finished = SampleMeasured();
  finished.result->upload->lost_ratio = 1.5;
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(finished)));
  finished = SampleMeasured();
  finished.result->local_cpu.total = kMaxCpuRatio * 1.01;
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(finished)));
  finished = SampleMeasured();
  ++finished.traffic->download_bytes;
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(finished)));
  wire::Started started = SampleStarted();
  started.lock_wait = std::chrono::nanoseconds(-1);
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(started)));
  for (const std::uint32_t period : {0U, 86401U}) {
    started = SampleStarted();
    started.period_seconds = period;
    EXPECT_FALSE(wire::DecodeEvent(wire::Encode(started))) << period;
  }
}

TEST(WireTest, RefusesUnknownReasonsAndStates) {
  const auto past = static_cast<FailureReason>(kFailureReasonNames.size());
  EXPECT_FALSE(wire::DecodeEvent(
      wire::Encode(wire::Finished{7, tl::unexpected(TestFailure{past, ""}), {}})));
  const auto reason = static_cast<wire::NotStarted::Reason>(4);
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(wire::NotStarted{7, reason})));
  WorkerReady ready;
  ready.sandbox.iperf3.back() = static_cast<LayerState>(3);
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(ready)));
}

TEST(WireTest, RefusesUnprintableTextsOfTheSetUp) {
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(WorkerReady{.iperf3 = {.version = "3.12\n"}})));
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(wire::SetUpFailed{"\x1b[31m"})));
}

TEST(WireTest, RefusesUnknownCapabilities) {
  constexpr std::size_t kCapabilities = 12 + 2 + kMaxVersionTextBytes;  // after header and version
  for (const TestOption& option : kTestOptions) {
    ExpectCarried(WorkerReady{.iperf3 = {.capabilities = ParseIperf3Help(option.help_word)}});
  }
  wire::Frame frame = wire::Encode(WorkerReady{});
  std::fill_n(frame.begin() + kCapabilities, 8, std::byte{0xff});
  EXPECT_EQ(wire::DecodeEvent(frame).error().message, "malformed frame: bad capabilities");
}

TEST(WireTest, CarriesJobsWithoutAndWithTheLongestCredentials) {
  Job job = SampleJob();
  job.credentials.reset();
  EXPECT_EQ(std::get<Job>(*wire::DecodeCommand(wire::Encode(job))), job);
  job.credentials = SampleCredentials();
  job.credentials->username.assign(kMaxUsernameBytes, 'u');
  job.credentials->password.assign(kMaxPasswordBytes, 'p');
  job.credentials->public_key.resize(kMaxPublicKeyBytes, 'k');
  EXPECT_EQ(std::get<Job>(*wire::DecodeCommand(wire::Encode(job))), job);
}

TEST(WireTest, RefusesInvalidCredentials) {
  Job job = SampleJob();
  job.credentials->password = "two words";
  EXPECT_EQ(wire::DecodeCommand(wire::Encode(job)).error().message,
            "malformed frame: bad credentials");
}

TEST(WireTest, CutsTextsToTheirFields) {
  const wire::Finished finished{
      7, tl::unexpected(TestFailure{FailureReason::kServerError, std::string(10'000, 'x')}), {}};
  const auto event = wire::DecodeEvent(wire::Encode(finished));
  EXPECT_EQ(std::get<wire::Finished>(*event).result.error().detail,
            std::string(kMaxErrorTextBytes, 'x'));
}

}  // namespace
}  // namespace iperf3_exporter
