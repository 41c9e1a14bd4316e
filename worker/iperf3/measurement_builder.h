// Builds a measurement from the numbers of a report: which sums belong to which direction and side,
// which numbers are plausible, and which ones some versions of iperf3 mix up.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/iperf3/measurement.h"
#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

// The numbers of a report that matter, as iperf3 printed them. A number is absent if the report
// lacks it or has anything but a number there.

// Sums over all streams of one direction, as counted by one side.
struct SumValues {
  std::optional<double> seconds;
  std::optional<double> bytes;
  std::optional<double> bits_per_second;
  std::optional<double> retransmits;
  std::optional<double> jitter_ms;
  std::optional<double> lost_packets;
  std::optional<double> packets;
};

// end.streams[].sender; round-trip times in microseconds.
struct StreamValues {
  std::optional<double> max_congestion_window;
  std::optional<double> max_rtt;
  std::optional<double> min_rtt;
  std::optional<double> mean_rtt;
};

struct DirectionSums {
  std::optional<SumValues> total;  // `sum`, UDP only; its bytes and packets are the sender's
  std::optional<SumValues> sent;
  std::optional<SumValues> received;
};

struct ReportValues {
  DirectionSums forward;  // the tested direction; in a bidirectional test the upload
  DirectionSums reverse;  // of a bidirectional test: the download
  // In percent, as iperf3 prints it.
  CpuUtilization local_cpu_percent;
  CpuUtilization remote_cpu_percent;
  std::optional<double> block_bytes;  // start.test_start.blksize; of UDP the size of every packet
  std::size_t stream_count = 0;
  // The streams on which this host sends. In the others, too, `sender` describes this host's
  // socket, which is the receiver there.
  std::vector<StreamValues> sending;
};

// Returns nullopt when sums of a tested direction are missing. Pure.
[[nodiscard]] std::optional<Measurement> BuildMeasurement(const ReportValues& values,
                                                          const TestOptions& test);

}  // namespace iperf3_exporter
