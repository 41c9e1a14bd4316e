// The numbers that a report holds, as it gave them, and what they mean together. Both
// ways through a report (report_parser.h) collect here, so that what counts when a
// key comes twice and what is plausible is decided once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "common/wire/job.h"
#include "common/wire/measurement.h"

namespace iperf3_exporter {

// A number that the report did not give, or gave as null or anything but a number.
inline constexpr double kNotGiven = std::numeric_limits<double>::quiet_NaN();

// The value of `token` if it is exactly one JSON number (RFC 8259, section 6). Beyond what a
// double holds: an infinity of its sign.
[[nodiscard]] std::optional<double> ParseJsonNumber(std::string_view token);

// The same for what is known to be a JSON number.
[[nodiscard]] double ConvertJsonNumber(std::string_view number);

enum class SumField : std::uint8_t {
  kSeconds,
  kBytes,
  kBitsPerSecond,
  kRetransmits,
  kPackets,
  kLostPackets,
  kJitterMilliseconds,
  kCount,
};

enum class CpuField : std::uint8_t {
  kHostTotal,
  kHostUser,
  kHostSystem,
  kRemoteTotal,
  kRemoteUser,
  kRemoteSystem,
  kCount,
};

// Of end.streams[].sender.
enum class StreamField : std::uint8_t { kMinRtt, kMeanRtt, kMaxRtt, kMaxCongestionWindow, kCount };

// A fixed set of numbers of which the first one under a key counts.
template <typename Field>
class FirstValues {
 public:
  void Clear() {
    given_ = 0;
    values_.fill(kNotGiven);
  }
  // `value` may be kNotGiven (a null): it still is the first. Where it was put; nullptr if
  // another was first.
  double* Set(Field field, double value) {
    const auto index = static_cast<std::size_t>(field);
    if ((given_ >> index & 1U) != 0) return nullptr;
    given_ |= 1U << index;
    values_[index] = value;
    return &values_[index];
  }
  [[nodiscard]] double Get(Field field) const { return values_[static_cast<std::size_t>(field)]; }

 private:
  static constexpr std::size_t kSize = static_cast<std::size_t>(Field::kCount);
  std::uint32_t given_ = 0;
  std::array<double, kSize> values_{};
};

using SumValues = FirstValues<SumField>;
using CpuValues = FirstValues<CpuField>;
using StreamValues = FirstValues<StreamField>;

[[nodiscard]] std::optional<SumField> FindSumField(std::string_view key);
[[nodiscard]] std::optional<CpuField> FindCpuField(std::string_view key);
[[nodiscard]] std::optional<StreamField> FindStreamField(std::string_view key);

// iperf3 takes at most 128 streams per direction.
inline constexpr std::size_t kMaxReportStreams = 256;

class ReportValues {
 public:
  void Clear();

  // The numbers of end.`key`, an object, opened for filling; nullptr if it is no sum of
  // interest or that one is filled already.
  [[nodiscard]] SumValues* OpenSum(std::string_view key);

  // The next element of end.streams; nullptr beyond kMaxReportStreams.
  [[nodiscard]] StreamValues* OpenStream();

  CpuValues cpu;

  // False when the sums of `direction` are not all there, or more streams than iperf3 can
  // have; `to` is then unspecified.
  [[nodiscard]] bool Build(Protocol protocol, Direction direction, Measurement& to) const;

 private:
  // One direction's sums.
  struct Sums {
    bool has_total = false;
    bool has_sent = false;
    bool has_received = false;
    SumValues total;  // `sum`: UDP only; bytes and packets are the sender's
    SumValues sent;
    SumValues received;

    // UDP up to 3.10.
    [[nodiscard]] bool IsTotalOnly() const { return has_total && !(has_sent && has_received); }
  };

  [[nodiscard]] static std::optional<DirectionMeasurement> BuildDirection(
      const Sums& sums, Protocol protocol, std::uint32_t& implausible);
  // From the first `sending` streams. The others, on which this host receives, tell nothing of
  // the direction of their data: what their `sender` object holds is of this host's end.
  void BuildStreams(std::size_t sending, DirectionMeasurement& upload,
                    std::uint32_t& implausible) const;

  std::array<Sums, 2> sums_;  // forward, reverse
  std::array<StreamValues, kMaxReportStreams> streams_;
  std::size_t stream_count_ = 0;
};

}  // namespace iperf3_exporter
