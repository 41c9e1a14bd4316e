#include "worker/iperf3/traffic_count.h"

#include <malloc.h>
#include <simdjson.h>

#include <algorithm>
#include <chrono>

namespace iperf3_exporter {
namespace {

namespace dom = simdjson::dom;

using Seconds = std::chrono::duration<double>;

// Of one stream, at both ends: more than the largest buffers that Linux 6.18 chooses by itself, 4
// MiB and 32 MiB.
constexpr double kMaxBufferedBytes = 64 << 20;

// The place of an interval in the report. The seconds begin again after the omitted ones.
struct IntervalTime {
  double start = 0;
  double end = 0;
  bool is_omitted = false;

  bool operator==(const IntervalTime&) const = default;
};

// What the report says of one direction.
struct Counted {
  Payload intervals;
  double seconds = 0;        // of the intervals
  double omitted_bytes = 0;  // in `intervals`; iperf3 does not add them to its total
  double omitted_seconds = 0;
  double max_bytes_per_second = 0;
  IntervalTime last;
};

// The tested direction, or both of a bidirectional test: the upload, then the download.
using CountedDirections = Counted[2];

double ReadNumber(dom::object object, const char* key) {
  double number = 0;
  return object[key].get_double().get(number) == simdjson::SUCCESS && number > 0 ? number : 0;
}

Payload ReadPayload(dom::object sum) {
  return {ReadNumber(sum, "bytes"), ReadNumber(sum, "retransmits")};
}

void AddInterval(Counted& direction, dom::object sum) {
  bool is_omitted = false;
  if (sum["omitted"].get_bool().get(is_omitted) != simdjson::SUCCESS) is_omitted = false;
  const IntervalTime time{ReadNumber(sum, "start"), ReadNumber(sum, "end"), is_omitted};
  // An iperf3 that loses its server prints the last interval once more.
  if (time == direction.last || time.end <= time.start) return;
  direction.last = time;
  const Payload payload = ReadPayload(sum);
  const double seconds = time.end - time.start;
  direction.intervals.bytes += payload.bytes;
  direction.intervals.retransmits += payload.retransmits;
  direction.seconds += seconds;
  if (is_omitted) {
    direction.omitted_bytes += payload.bytes;
    direction.omitted_seconds += seconds;
  }
  direction.max_bytes_per_second =
      std::max(direction.max_bytes_per_second, payload.bytes / seconds);
}

// Up to 3.10, the second sum under a key is the reverse direction's.
void ReadIntervals(dom::object report, CountedDirections& directions) {
  dom::array intervals;
  if (report["intervals"].get_array().get(intervals) != simdjson::SUCCESS) return;
  for (const dom::element element : intervals) {
    dom::object interval;
    if (element.get_object().get(interval) != simdjson::SUCCESS) continue;
    std::size_t sums = 0;
    for (const auto [key, value] : interval) {
      const bool is_reverse = key == "sum_bidir_reverse";
      dom::object sum;
      if ((key != "sum" && !is_reverse) || value.get_object().get(sum) != simdjson::SUCCESS) {
        continue;
      }
      AddInterval(directions[is_reverse || sums > 0 ? 1 : 0], sum);
      ++sums;
    }
  }
}

// The first sum under each key.
struct EndSums {
  std::optional<Payload> forward;
  std::optional<Payload> reverse;
  bool has_any = false;
};

// This host's own count: of an upload what it sent, of a download what it received. Up to 3.10 the
// second sums are the reverse direction's, and UDP has one sum, the sender's.
EndSums ReadEnd(dom::object report, const TestOptions& test) {
  EndSums sums;
  std::optional<Payload> only;
  std::size_t received = 0;
  const bool sends = test.direction != Direction::kDownload;
  dom::object end;
  if (report["end"].get_object().get(end) != simdjson::SUCCESS) return sums;
  for (const auto [key, value] : end) {
    dom::object sum;
    if (!key.starts_with("sum") || value.get_object().get(sum) != simdjson::SUCCESS) continue;
    sums.has_any = true;
    const bool is_reverse =
        key == "sum_received_bidir_reverse" || (key == "sum_received" && sends && ++received == 2);
    if (is_reverse && !sums.reverse) sums.reverse = ReadPayload(sum);
    if (key == (sends ? "sum_sent" : "sum_received") && !sums.forward) {
      sums.forward = ReadPayload(sum);
    }
    if (key == "sum" && sends && !only) only = ReadPayload(sum);
  }
  if (!sums.forward) sums.forward = only;
  return sums;
}

// The time in which data was transferred that neither `counted` nor the total has.
double UncountedSeconds(const Counted& counted, bool is_ended, const RunFacts& run) {
  if (!is_ended) return Seconds(run.run_time).count() - counted.seconds;
  // iperf3 3.12 leaves out the last omitted interval in about every fourth test. The ones that it
  // prints differ from whole seconds by milliseconds.
  constexpr double kMaxDeviationSeconds = 0.1;
  const double missing = run.test.omit_seconds - counted.omitted_seconds;
  return missing > kMaxDeviationSeconds ? missing : 0;
}

// nullopt if the rate in the uncounted time is unknown.
std::optional<Payload> Complete(const Counted& counted, const std::optional<Payload>& total,
                                bool is_ended, const RunFacts& run) {
  Payload payload = counted.intervals;
  if (total) {
    payload.bytes = std::max(payload.bytes, total->bytes + counted.omitted_bytes);
    payload.retransmits = std::max(payload.retransmits, total->retransmits);
  }
  const double seconds = UncountedSeconds(counted, is_ended, run);
  if (seconds <= 0) return payload;
  double rate = counted.max_bytes_per_second;
  if (const auto limit = LimitOf(run.test)) rate = *limit / 8;
  if (rate == 0) return std::nullopt;
  payload.bytes += rate * seconds;
  return payload;
}

std::optional<Traffic> CountFromReport(dom::object report, const RunFacts& run, bool is_v6) {
  CountedDirections counted;
  ReadIntervals(report, counted);
  const EndSums end = ReadEnd(report, run.test);
  dom::object started;
  const bool has_begun =
      report["start"]["test_start"].get_object().get(started) == simdjson::SUCCESS;
  if (!has_begun && counted[0].seconds == 0 && !end.has_any) return Traffic{};
  const auto forward = Complete(counted[0], end.forward, end.has_any, run);
  if (!forward) return std::nullopt;
  const double datagram = has_begun ? ReadNumber(started, "blksize") : 0;
  if (run.test.direction == Direction::kDownload) {
    return EstimateTraffic(run.test, is_v6, {}, {.bytes = forward->bytes}, datagram);
  }
  Payload download;
  if (run.test.direction == Direction::kBidirectional) {
    const auto reverse = Complete(counted[1], end.reverse, end.has_any, run);
    if (!reverse) return std::nullopt;
    download.bytes = reverse->bytes;
  }
  return EstimateTraffic(run.test, is_v6, *forward, download, datagram);
}

double DatagramBytes(const DirectionMeasurement& direction) {
  const double packets = direction.sent_packets.value_or(0);
  return packets > 0 ? direction.sent_bytes.value_or(0) / packets : 0;
}

// What a TCP server has sent and iperf3 has not read may have arrived nevertheless. The server's
// word counts only as far as that can be.
double DownloadedBytes(const DirectionMeasurement& download, const TestOptions& test) {
  const double received = *download.received_bytes;
  if (test.protocol == Protocol::kUdp) return received;
  const double unread = test.parallel * kMaxBufferedBytes;
  return std::clamp(download.sent_bytes.value_or(0), received, received + unread);
}

// Without a second look at the report. nullopt if a number is missing.
std::optional<Traffic> CountFromMeasurement(const Measurement& measurement, const RunFacts& run,
                                            bool is_v6) {
  const auto& upload = measurement.upload;
  const auto& download = measurement.download;
  Payload sent;
  Payload received;
  if (run.test.omit_seconds != 0) return std::nullopt;
  if (upload) {
    if (!upload->sent_bytes) return std::nullopt;
    sent = {*upload->sent_bytes, upload->retransmits.value_or(0)};
  }
  if (download) {
    if (!download->received_bytes) return std::nullopt;
    received.bytes = DownloadedBytes(*download, run.test);
  }
  return EstimateTraffic(run.test, is_v6, sent, received,
                         DatagramBytes(upload ? *upload : *download));
}

}  // namespace

std::optional<Traffic> CountTraffic(const TestResult& result, std::string_view report,
                                    const RunFacts& run, bool is_v6) {
  if (result) {
    if (const auto traffic = CountFromMeasurement(*result, run, is_v6)) return traffic;
  }
  std::optional<Traffic> traffic;
  {
    dom::parser parser;
    dom::object object;
    if (parser.parse(report.data(), report.size(), /*realloc_if_needed=*/false)
            .get_object()
            .get(object) != simdjson::SUCCESS) {
      return std::nullopt;
    }
    traffic = CountFromReport(object, run, is_v6);
  }
  // malloc would keep the memory that the parser has freed.
  if (report.size() > kMaxReusedReportBytes) ::malloc_trim(0);
  return traffic;
}

}  // namespace iperf3_exporter
