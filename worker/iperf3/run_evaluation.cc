#include "worker/iperf3/run_evaluation.h"

#include <malloc.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "worker/iperf3/failure_text.h"
#include "worker/iperf3/iperf3_argv.h"
#include "worker/iperf3/udp_loss.h"

namespace iperf3_exporter {
namespace {

using Seconds = std::chrono::duration<double>;

// A peer's clock may run slow, or be stepped a little. (iperf3's own timer never fires early.)
constexpr double kMinShareOfPeriod = 0.9;
// The end of the test is planned at its start. On a busy host the omitted seconds end late, at the
// cost of the measured ones: with 64 streams 0.70 of 1 s and 1.51 of 2 s were seen.
constexpr double kMaxLateOmitSeconds = 0.5;
constexpr double kMinShareAfterOmit = 0.6;
// A peer's clock may run fast; kClockSlack allows for a step.
constexpr double kMaxShareOfRunTime = 1.01;
constexpr Seconds kClockSlack{1};
// A test with `bytes` has no fixed length. The server's duration must be at least half of this
// host's, less the time by which the path may delay the first and the last data.
constexpr double kMinShareOfOwnSeconds = 0.5;
constexpr double kMaxShiftSeconds = 0.05;

// A sender since 3.16 does not count the block that each stream writes while the test ends. One
// block was observed.
constexpr double kUncountedBlocks = 2;
constexpr std::uint64_t kMinBlockBytes = 16 << 10;  // shorter ones are written several at a time
// Longer than the exchange of the results takes on any path.
constexpr std::chrono::seconds kMaxResponseTime{3};
// A network may deliver a UDP packet twice.
constexpr double kMaxUdpCopies = 2;
// Of one stream, at both ends: more than the largest buffers that Linux 6.18 chooses by itself, 4
// MiB and 32 MiB.
constexpr double kMaxBufferedBytes = 64 << 20;

template <typename... Arguments>
std::string Format(const char* format, Arguments... arguments) {
  char text[160];
  std::snprintf(text, sizeof text, format, arguments...);
  return text;
}

double MinSeconds(double own_seconds, const RunFacts& run) {
  if (run.test.bytes) return kMinShareOfOwnSeconds * own_seconds - kMaxShiftSeconds;
  const double period = Seconds(run.period).count();
  if (run.test.omit_seconds == 0) return kMinShareOfPeriod * period;
  return std::max(kMinShareAfterOmit * period, kMinShareOfPeriod * period - kMaxLateOmitSeconds);
}

std::optional<std::string> CheckSeconds(double seconds, double own_seconds, const RunFacts& run) {
  const double period = Seconds(run.period).count();
  const double min = MinSeconds(own_seconds, run);
  const Seconds run_time = run.run_time;
  const double max = (kMaxShareOfRunTime * run_time + kClockSlack).count();
  if (seconds > 0 && seconds >= min && seconds <= max) return std::nullopt;
  if (run.test.bytes && seconds < min) {
    return Format("the report says %g s for one side and %g s for the other", own_seconds, seconds);
  }
  return Format("the report says %g s for a period of %g s, and iperf3 ran for %g s", seconds,
                period, run_time.count());
}

// The maximum that a receiver can have received of `sent` bytes. The two sides stop omitting at
// different moments, so the receiver may count bytes of the omitted seconds: at most as many as
// were sent in that time at the measured rate, and what the buffers of both ends hold.
double MaxReceivedBytes(double sent, const RunFacts& run) {
  const TestOptions& test = run.test;
  const std::uint64_t block = std::max(BlockBytes(test), kMinBlockBytes);
  double max = test.protocol == Protocol::kUdp
                   ? kMaxUdpCopies * sent
                   : sent + kUncountedBlocks * static_cast<double>(block * test.parallel);
  if (test.omit_seconds != 0) {
    max *= 1 + test.omit_seconds / Seconds(run.period).count();
    const double window = 2 * static_cast<double>(test.window_bytes.value_or(0));
    double buffered = kMaxBufferedBytes + window;
    if (test.bitrate_bits_per_second.value_or(0) != 0) {
      const double bytes_per_second = static_cast<double>(*test.bitrate_bits_per_second) / 8;
      buffered = std::min(buffered, bytes_per_second * test.omit_seconds);
    }
    max += buffered * test.parallel;
  }
  return max;
}

std::optional<std::string> CheckBytes(const DirectionMeasurement& direction, const RunFacts& run) {
  const auto& sent = direction.sent_bytes;
  const auto& received = direction.received_bytes;
  if (sent && received && *received > MaxReceivedBytes(*sent, run)) {
    return Format("the report says %.0f bytes received of %.0f sent", *received, *sent);
  }
  if (received > 0 && direction.received_packets == 0) {
    return Format("the report says %.0f bytes received in no packet", *received);
  }
  return std::nullopt;
}

// `own_seconds`: by this host's clock.
std::optional<std::string> CheckDirection(const DirectionMeasurement& direction, double own_seconds,
                                          const RunFacts& run) {
  for (const auto& seconds : {direction.sent_seconds, direction.received_seconds}) {
    if (!seconds) continue;
    if (auto contradiction = CheckSeconds(*seconds, own_seconds, run)) return contradiction;
  }
  return CheckBytes(direction, run);
}

// Without results of the server, or of its streams, iperf3 prints zeros in their place. A real
// server used some processor time, and did not measure this host's seconds to the microsecond.
bool LacksServerResults(const Measurement& measurement) {
  constexpr double kPrintedResolution = 1e-6;
  const auto& upload = measurement.upload;
  const auto& server_bytes = upload ? upload->received_bytes : measurement.download->sent_bytes;
  if (server_bytes != 0) return false;
  if (measurement.remote_cpu.total == 0) return true;
  const DirectionMeasurement& direction = upload ? *upload : *measurement.download;
  return direction.sent_seconds && direction.received_seconds &&
         std::abs(*direction.sent_seconds - *direction.received_seconds) < kPrintedResolution / 2;
}

// What this host itself sent or received, the larger of both directions.
double OwnBytes(const Measurement& measurement) {
  const auto& upload = measurement.upload;
  const auto& download = measurement.download;
  return std::max(upload ? upload->sent_bytes.value_or(0) : 0,
                  download ? download->received_bytes.value_or(0) : 0);
}

// iperf3 ends a test of a number of bytes when this host has sent or received as many, in either
// direction. Received ones of the omitted seconds count too, although the report lacks them, and
// nothing bounds them: a path may let a burst through first.
std::optional<std::string> CheckAmount(const Measurement& measurement, const TestOptions& test) {
  const bool receives = test.direction != Direction::kUpload;
  if (!test.bytes || (test.omit_seconds != 0 && receives)) return std::nullopt;
  const double own_bytes = OwnBytes(measurement);
  if (own_bytes >= static_cast<double>(*test.bytes)) return std::nullopt;
  return Format("the report counts %.0f bytes of the %.0f that end the test", own_bytes,
                static_cast<double>(*test.bytes));
}

bool ReceivedNothing(const DirectionMeasurement& direction, Protocol protocol, bool is_short) {
  if (direction.received_bytes != 0) return false;
  return protocol == Protocol::kTcp || direction.sent_bytes == 0 || is_short;
}

// Why nothing may have been received, other than that the path drops it.
std::string NothingReceivedText(double own_seconds, const TestOptions& test) {
  if (own_seconds < kMaxInFlightSeconds) {
    return Format(": the test ended after %.2g s, too soon to measure", own_seconds);
  }
  if (test.protocol != Protocol::kTcp) return {};
  return Format(", or less than a block of %.0f bytes: iperf3 3.16 and newer counts whole ones",
                static_cast<double>(BlockBytes(test)));
}

std::string KilledText(int signal_number, std::string_view error_line) {
  const char* const name = ::sigabbrev_np(signal_number);
  std::string text = "iperf3 was ended by signal " + std::to_string(signal_number);
  if (name != nullptr) text += std::string(" (SIG") + name + ')';
  if (!error_line.empty()) text.append(": ").append(error_line);
  return text;
}

// What the server did not do; empty if more time might have helped. --connect-timeout ends before
// SIGTERM (job_runner.cc), so in any phase the connection was established.
std::string_view SilenceText(const ReportParser& parser, const RunFacts& run) {
  switch (parser.phase()) {
    case TestPhase::kConnecting:
      return "connected, but the server did not answer: is it an iperf3 server?";
    case TestPhase::kAgreed:
      return "connected, but the server did not begin the test";
    case TestPhase::kCreatingStreams:
      if (parser.connected_streams() > 0) return {};
      return "the server did not answer on the connections for data: does a firewall drop them?";
    case TestPhase::kUnknown:  // killed before it could report
    case TestPhase::kRunning:
      break;
  }
  const auto needed = std::chrono::seconds(run.test.omit_seconds) + run.period + kMaxResponseTime +
                      kMaxRoundTrip * CountFurtherStreams(run.test);
  if (run.test.bytes || run.run_time < needed) return {};
  return "the test should have ended, but the server did not send its results";
}

std::string OverheadText(const RunFacts& run) {
  if (run.test.bytes) {
    return Format(": %.2f s with the round trips to begin and to end were too few for its bytes",
                  Seconds(run.run_time).count());
  }
  const Seconds left = run.run_time - run.period - std::chrono::seconds(run.test.omit_seconds);
  const std::uint32_t streams = CountFurtherStreams(run.test);
  const std::string further =
      streams == 0 ? "" : Format(", with one for each of %u further streams", streams);
  return Format(
      ": a test of this kind needs %u round trips beyond its period%s, and %.2f s were "
      "left for them",
      CountRoundTrips(run.test) + streams, further.c_str(), std::max(0.0, left.count()));
}

tl::unexpected<TestFailure> Failed(FailureReason reason, std::string_view detail) {
  return tl::unexpected(TestFailure{reason, std::string(detail.substr(0, kMaxErrorTextBytes))});
}

TestResult Parse(std::string_view report, const RunFacts& run, ReportParser& parser) {
  TestResult result = parser.Parse(report, run.test);
  // malloc would keep the memory that the parser has freed.
  if (report.size() > kMaxReusedReportBytes) ::malloc_trim(0);
  return result;
}

TestResult ParseAndCheck(std::string_view report, const RunFacts& run, ReportParser& parser) {
  TestResult result = Parse(report, run, parser);
  if (!result) return result;
  if (auto failure = CheckMeasurement(*result, run)) {
    return tl::unexpected(std::move(*failure));
  }
  return result;
}

}  // namespace

std::optional<TestFailure> CheckMeasurement(const Measurement& measurement, const RunFacts& run) {
  const auto bad_output = [](std::string detail) {
    return TestFailure{FailureReason::kBadOutput, std::move(detail)};
  };
  const auto& upload = measurement.upload;
  const auto& download = measurement.download;
  // By this host's own clock: no peer can make iperf3 omit it from a real test. For a test that
  // never began, iperf3 prints 0 or the host's uptime.
  const auto seconds = upload ? upload->sent_seconds : download->received_seconds;
  if (!seconds) return bad_output("the report lacks the length of the test");
  if (LacksServerResults(measurement)) return bad_output("the server did not send its results");
  const bool is_short = *seconds < kMaxInFlightSeconds;
  if (run.test.bytes && run.test.omit_seconds != 0 && (is_short || OwnBytes(measurement) == 0)) {
    return TestFailure{FailureReason::kNoData,
                       "too few bytes were left after the omitted seconds to measure"};
  }
  // A server can end a test with its omitted seconds: then they count as measured.
  const Seconds omit = std::chrono::seconds(run.test.omit_seconds);
  if (Seconds(*seconds) + omit > Seconds(run.run_time) && omit.count() > 0) {
    return bad_output(Format("the report says %g s after %g omitted ones, and iperf3 ran for %g s",
                             *seconds, omit.count(), Seconds(run.run_time).count()));
  }
  for (const auto& direction : {upload, download}) {
    if (!direction) continue;
    if (auto contradiction = CheckDirection(*direction, *seconds, run)) {
      return bad_output(std::move(*contradiction));
    }
  }
  if (auto too_few = CheckAmount(measurement, run.test)) return bad_output(*too_few);
  const Protocol protocol = run.test.protocol;
  const std::string detail = NothingReceivedText(*seconds, run.test);
  if (upload && ReceivedNothing(*upload, protocol, is_short)) {
    return TestFailure{FailureReason::kNoData, "the server received nothing" + detail};
  }
  if (download && ReceivedNothing(*download, protocol, is_short)) {
    return TestFailure{FailureReason::kNoData, "nothing was received from the server" + detail};
  }
  return std::nullopt;
}

TestResult EvaluateRun(int wait_status, std::string_view report, std::string_view stderr_text,
                       const RunFacts& run, ReportParser& parser) {
  const std::string_view error_line = ExtractErrorLine(stderr_text);
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS) {
    return Failed(FailureReason::kSandboxViolation,
                  "iperf3 was killed by its system call filter; the call's number is only in the "
                  "kernel's audit log (type 1326), --sandbox=diagnose logs its name");
  }
  if (WIFSIGNALED(wait_status)) {
    return Failed(FailureReason::kKilled, KilledText(WTERMSIG(wait_status), error_line));
  }
  TestResult result = ParseAndCheck(report, run, parser);
  const auto failed = [&](std::string_view text) {
    const FailureReason reason = ReasonOfText(text, run.test, parser.phase());
    const bool is_refused =
        reason == FailureReason::kAccessDenied || ClosedAtCredentials(text, parser.phase());
    if (run.has_credentials && is_refused) {
      return Failed(FailureReason::kAccessDenied, ExplainRefusal(stderr_text));
    }
    if (reason == FailureReason::kAccessDenied) {
      return Failed(reason, std::string(text) +
                                ": the server requires a user name and a password "
                                "(`auth` of a module)");
    }
    if (reason == FailureReason::kConnectTimeout && run.connect_was_cut) {
      return Failed(FailureReason::kDeadline, "the deadline left too little time to connect");
    }
    return Failed(reason, text);
  };
  if (!result && result.error().reason == FailureReason::kServerError) {
    return failed(result.error().detail);
  }
  if (!result && result.error().reason != FailureReason::kBadOutput) return result;
  const int exit_code = WEXITSTATUS(wait_status);
  if (exit_code != 0 && !error_line.empty()) return failed(error_line);
  if (exit_code != 0 && result) {
    return Failed(FailureReason::kBadOutput,
                  "iperf3 exited with status " + std::to_string(exit_code) + " after its report");
  }
  return result;
}

TestFailure ExplainStop(TestFailure stopped, std::string_view report, const RunFacts& run,
                        ReportParser& parser) {
  if (stopped.reason != FailureReason::kDeadline) return stopped;
  static_cast<void>(Parse(report, run, parser));
  const std::string_view silence = SilenceText(parser, run);
  if (!silence.empty()) {
    // The server may as well be far away.
    const bool had_time = run.run_time >= kMaxResponseTime;
    if (had_time) return {FailureReason::kNoResponse, std::string(silence)};
    stopped.detail.append(": ").append(silence);
  }
  if (parser.phase() == TestPhase::kRunning) stopped.detail += OverheadText(run);
  if (parser.phase() == TestPhase::kCreatingStreams && parser.connected_streams() > 0) {
    stopped.detail += Format(": %zu of %u streams were connected, one after the other",
                             parser.connected_streams(), CountStreams(run.test));
  }
  return stopped;
}

}  // namespace iperf3_exporter
