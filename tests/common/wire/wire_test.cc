#include "common/wire/wire.h"

#include <gtest/gtest.h>

#include <limits>

namespace iperf3_exporter {
namespace {

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
  job.lock_key = kMaxLockKey;
  job.deadline = Clock::now();
  job.lock_deadline = job.deadline;
  return job;
}

JobResult SampleResult() {
  JobResult result;
  result.job_id = 7;
  result.outcome = JobOutcome::kSucceeded;
  result.measurement.upload = DirectionMeasurement{.sent_bytes = 1e12, .lost_ratio = 0.5};
  result.measurement.remote_cpu.user = 0.25;
  result.period_seconds = 5;
  result.lock_wait = std::chrono::milliseconds(3);
  result.error_text = std::string("a\0b\xff", 4);
  return result;
}

TEST(WireTest, CarriesEveryMessageUnchanged) {
  const WorkerConfig config{
      .lock_name = "iperf3_exporter", .lock_scope = LockScope::kBind, .iperf3_path = "/usr/bin/iperf3"};
  EXPECT_EQ(std::get<WorkerConfig>(*wire::DecodeCommand(wire::Encode(config))), config);
  const Job job = SampleJob();
  EXPECT_EQ(std::get<Job>(*wire::DecodeCommand(wire::Encode(job))), job);
  EXPECT_EQ(std::get<wire::Cancel>(*wire::DecodeCommand(wire::Encode(wire::Cancel{9}))).job_id, 9U);
  WorkerReady ready{.iperf3_version = "3.12"};
  ready.capabilities.options.set(3);
  ready.capabilities.udp_counters_64bit = true;
  ready.sandbox.iperf3[2] = LayerState::kMissing;
  EXPECT_EQ(std::get<WorkerReady>(*wire::DecodeEvent(wire::Encode(ready))), ready);
  EXPECT_EQ(std::get<JobResult>(*wire::DecodeEvent(wire::Encode(SampleResult()))), SampleResult());
}

TEST(WireTest, RefusesEveryTruncationAndExtension) {
  const wire::Frame frame = wire::Encode(SampleResult());
  for (std::size_t length = 0; length < frame.size(); ++length) {
    EXPECT_FALSE(wire::DecodeEvent(wire::Bytes(frame).first(length))) << length;
  }
  wire::Frame longer = frame;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(wire::DecodeEvent(longer));
}

TEST(WireTest, RefusesAnotherVersionAndTheOtherDirection) {
  wire::Frame frame = wire::Encode(SampleResult());
  EXPECT_FALSE(wire::DecodeCommand(frame));
  frame[4] = std::byte{wire::kVersion + 1};
  EXPECT_EQ(wire::DecodeEvent(frame).error().message, "wrong frame: version 2, not 1");
}

TEST(WireTest, RefusesNumbersThatCannotBeTrue) {
  for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(), 1e300}) {
    JobResult result = SampleResult();
    result.measurement.upload->sent_bytes = value;
    EXPECT_FALSE(wire::DecodeEvent(wire::Encode(result))) << value;
  }
  JobResult result = SampleResult();
  result.measurement.upload->lost_ratio = 1.5;
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(result)));
  result = SampleResult();
  result.lock_wait = std::chrono::nanoseconds(-1);
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(result)));
}

TEST(WireTest, RefusesAVersionTextThatIsNotPrintable) {
  EXPECT_FALSE(wire::DecodeEvent(wire::Encode(WorkerReady{.iperf3_version = "3.12\n"})));
}

TEST(WireTest, CutsTextsToTheirFields) {
  JobResult result = SampleResult();
  result.error_text = std::string(10'000, 'x');
  EXPECT_EQ(std::get<JobResult>(*wire::DecodeEvent(wire::Encode(result))).error_text,
            std::string(kMaxErrorTextBytes, 'x'));
}

}  // namespace
}  // namespace iperf3_exporter
