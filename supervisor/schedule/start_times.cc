#include "supervisor/schedule/start_times.h"

#include <algorithm>
#include <string>

#include "common/hash.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

static_assert(std::is_same_v<WallTime::duration, nanoseconds>);

// The finalizer of SplitMix64: every bit of the result depends on every bit of `value`.
constexpr std::uint64_t Mix(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

// `range` times hash / 2^64, a fraction from 0 to less than 1.
nanoseconds Scale(std::uint64_t hash, nanoseconds range) {
  const double fraction = static_cast<double>(hash >> 12U) * 0x1p-52;
  return nanoseconds(static_cast<std::int64_t>(fraction * static_cast<double>(range.count())));
}

// The names contain no NUL, so the separator keeps them apart.
std::uint64_t HashNames(std::string_view host, std::string_view test) {
  std::string names(host);
  names += '\0';
  names += test;
  return Mix(HashBytes(names));
}

}  // namespace

StartTimes::StartTimes(std::string_view host, std::string_view test, nanoseconds every,
                       std::uint32_t jitter_percent)
    : every_(every),
      jitter_(every / 100 * jitter_percent),
      seed_(HashNames(host, test)),
      phase_(Scale(seed_, every)) {}

WallTime StartTimes::At(std::int64_t ordinal) const {
  const std::uint64_t hash = Mix(seed_ + static_cast<std::uint64_t>(ordinal));
  return WallTime(every_ * ordinal + phase_ + Scale(hash, jitter_));
}

std::int64_t StartTimes::OrdinalBefore(WallTime time) const {
  return std::chrono::floor<nanoseconds>(time.time_since_epoch() - phase_) / every_;
}

WallTime StartTimes::FirstAfter(WallTime time) const {
  std::int64_t ordinal = OrdinalBefore(time);
  while (At(ordinal) <= time) ++ordinal;
  return At(ordinal);
}

nanoseconds StartTimes::GapAfter(WallTime time) const {
  const std::int64_t ordinal = OrdinalBefore(time);
  nanoseconds nearest = At(ordinal) - time;
  for (std::int64_t next = ordinal + 1; next <= ordinal + 2; ++next) {
    const nanoseconds gap = At(next) - time;
    if (std::chrono::abs(gap - every_) < std::chrono::abs(nearest - every_)) nearest = gap;
  }
  return std::clamp(nearest, MinGap(), MaxGap());
}

}  // namespace iperf3_exporter
