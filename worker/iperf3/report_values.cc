#include "worker/iperf3/report_values.h"

namespace iperf3_exporter {
namespace {

template <typename Field>
struct NamedField {
  std::string_view key;
  Field field;
};

// Most keys are told apart by their length: the bytes are compared for the last word only.
template <typename Field, std::size_t kSize>
std::optional<Field> Find(const std::array<NamedField<Field>, kSize>& fields,
                          std::string_view key) {
  for (const auto& named : fields) {
    if (named.key.size() == key.size() && named.key.front() == key.front() && named.key == key) {
      return named.field;
    }
  }
  return std::nullopt;
}

constexpr std::array<NamedField<SumField>, 7> kSumFields = {{
    {"seconds", SumField::kSeconds},
    {"bytes", SumField::kBytes},
    {"bits_per_second", SumField::kBitsPerSecond},
    {"retransmits", SumField::kRetransmits},
    {"jitter_ms", SumField::kJitterMilliseconds},
    {"lost_packets", SumField::kLostPackets},
    {"packets", SumField::kPackets},
}};

constexpr std::array<NamedField<CpuField>, 6> kCpuFields = {{
    {"host_total", CpuField::kHostTotal},
    {"host_user", CpuField::kHostUser},
    {"host_system", CpuField::kHostSystem},
    {"remote_total", CpuField::kRemoteTotal},
    {"remote_user", CpuField::kRemoteUser},
    {"remote_system", CpuField::kRemoteSystem},
}};

constexpr std::array<NamedField<StreamField>, 4> kStreamFields = {{
    {"max_snd_cwnd", StreamField::kMaxCongestionWindow},
    {"max_rtt", StreamField::kMaxRtt},
    {"min_rtt", StreamField::kMinRtt},
    {"mean_rtt", StreamField::kMeanRtt},
}};

}  // namespace

std::optional<SumField> FindSumField(std::string_view key) { return Find(kSumFields, key); }
std::optional<CpuField> FindCpuField(std::string_view key) { return Find(kCpuFields, key); }
std::optional<StreamField> FindStreamField(std::string_view key) {
  return Find(kStreamFields, key);
}

void ReportValues::Clear() {
  cpu.Clear();
  for (ReportSums& sums : sums_) sums.has_total = sums.has_sent = sums.has_received = false;
  stream_count_ = 0;
}

SumValues* ReportValues::OpenSum(std::string_view key) {
  constexpr std::string_view kReverse = "_bidir_reverse";
  if (!key.starts_with("sum")) return nullptr;
  const bool reverse = key.ends_with(kReverse);
  if (reverse) key.remove_suffix(kReverse.size());
  bool ReportSums::*has = nullptr;
  SumValues ReportSums::*values = nullptr;
  if (key == "sum") {
    has = &ReportSums::has_total;
    values = &ReportSums::total;
  } else if (key == "sum_sent") {
    has = &ReportSums::has_sent;
    values = &ReportSums::sent;
  } else if (key == "sum_received") {
    has = &ReportSums::has_received;
    values = &ReportSums::received;
  } else {
    return nullptr;
  }
  ReportSums* sums = &sums_[reverse ? 1 : 0];
  if (!reverse && sums->*has) sums = &sums_[1];  // before 3.11
  if (sums->*has) return nullptr;
  sums->*has = true;
  (sums->*values).Clear();
  return &(sums->*values);
}

StreamValues* ReportValues::OpenStream() {
  if (stream_count_ >= kMaxReportStreams) {
    stream_count_ = kMaxReportStreams + 1;
    return nullptr;
  }
  StreamValues* stream = &streams_[stream_count_++];
  stream->Clear();
  return stream;
}

}  // namespace iperf3_exporter
