// Counts the UDP packets that were lost, from numbers some of which certain versions of iperf3
// print wrong. Pure.
#pragma once

#include <optional>

namespace iperf3_exporter {

// More than a packet takes on a long path with full queues. What arrives in a shorter test says
// nothing about the rest. Only a number of bytes makes a test so short: iperf3 up to 3.15 ends it
// as soon as the socket has taken the data.
inline constexpr double kMaxInFlightSeconds = 0.2;

// One direction of a test, over all its streams.
struct UdpCounts {
  // In packets, but counted by bytes, which every version counts correctly.
  double sent = 0;
  double received = 0;
  double sent_seconds = 0;  // at least kMaxInFlightSeconds
  double received_seconds = 0;
  // The receiver's numbers as iperf3 printed them: how many packets it knows of by their sequence
  // numbers, and the gaps in these.
  std::optional<double> known;
  std::optional<double> gaps;
  bool has_omit = false;  // the test began with seconds that are not measured
};

// The lost packets, at most `sent`. The gaps, if they agree with the bytes received and, with omit,
// with those sent. Otherwise:
//  - without omit the known packets that were not received, because 3.14 and newer print no gaps of
//    a receiver up to 3.13. If they are fewer than those received or more than those sent, the
//    packets sent count instead: iperf3 takes a duplicate of the message that opens a stream for a
//    packet, with whatever number stands in its buffer;
//  - with omit what the rates of both sides differ by, because with a side up to 3.13 the gaps
//    include those of the omitted seconds. (Rates, because the two sides stop omitting at different
//    moments.)
// A receiver notices a gap only when a later packet arrives. So everything that was not received is
// lost if more is missing at the end than can have been in flight: more than 1 % of what was sent,
// and more than was sent in 0.2 s plus the time by which the sender sent longer than the receiver
// received. (A sending server learns of the end half a round trip later.)
[[nodiscard]] double CountLostPackets(const UdpCounts& counts);

}  // namespace iperf3_exporter
