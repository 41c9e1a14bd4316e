// The numbers that a report holds, as it gave them. Both ways through a report (report_parser.h)
// collect here, so that what counts when a key comes twice is decided once. What they mean together
// is measurement_builder.h's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "worker/iperf3/json_number.h"

namespace iperf3_exporter {

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

// One direction's sums.
struct ReportSums {
  bool has_total = false;
  bool has_sent = false;
  bool has_received = false;
  SumValues total;  // `sum`: UDP only; bytes and packets are the sender's
  SumValues sent;
  SumValues received;

  // UDP up to 3.10.
  [[nodiscard]] bool IsTotalOnly() const { return has_total && !(has_sent && has_received); }
};

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

  [[nodiscard]] const ReportSums& forward() const { return sums_[0]; }
  [[nodiscard]] const ReportSums& reverse() const { return sums_[1]; }

  // More than OpenStream could take.
  [[nodiscard]] bool HasTooManyStreams() const { return stream_count_ > kMaxReportStreams; }
  // In the report's order; not with too many.
  [[nodiscard]] std::span<const StreamValues> streams() const {
    return std::span(streams_).first(stream_count_);
  }

 private:
  std::array<ReportSums, 2> sums_;  // forward, reverse
  std::array<StreamValues, kMaxReportStreams> streams_;
  std::size_t stream_count_ = 0;
};

}  // namespace iperf3_exporter
