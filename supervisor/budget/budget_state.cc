#include "supervisor/budget/budget_state.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "common/hash.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kFirstLine = "iperf3_exporter budget 1";
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 62;
// Longer than any period; sums of a few do not overflow.
constexpr nanoseconds kMaxAge = std::chrono::hours(24 * 365 * 50);
constexpr nanoseconds kMaxTime = std::chrono::hours(24 * 365 * 150);

// `a` is at most kMaxBytes.
std::uint64_t AddUpTo(std::uint64_t a, std::uint64_t b) { return a + std::min(kMaxBytes - a, b); }

// Against torn and mistyped files, not against an attacker.
std::string Checksum(std::string_view text) {
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx",
                static_cast<unsigned long long>(HashBytes(text)));
  return digits.data();
}

std::string Line(std::string_view key, std::uint64_t number) {
  return std::string(key) + ' ' + std::to_string(number) + '\n';
}

std::uint64_t Count(nanoseconds time) {
  return static_cast<std::uint64_t>(std::max(nanoseconds::zero(), time).count());
}

std::optional<nanoseconds> ParseTime(std::string_view text, nanoseconds max) {
  const auto number = ParseUnsigned(text, 0, Count(max));
  if (!number) return std::nullopt;
  return nanoseconds(static_cast<nanoseconds::rep>(*number));
}

// The lines of a file, one after the other.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  // What follows `key` and a space in the next line, which is taken if it begins so.
  std::optional<std::string_view> Take(std::string_view key) {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos || !rest_.starts_with(key) || rest_[key.size()] != ' ') {
      return std::nullopt;
    }
    const std::string_view value = rest_.substr(key.size() + 1, end - key.size() - 1);
    rest_.remove_prefix(end + 1);
    return value;
  }
  std::optional<nanoseconds> TakeTime(std::string_view key) {
    const auto value = Take(key);
    return value ? ParseTime(*value, kMaxTime) : std::nullopt;
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

Result<BudgetState> BudgetState::Parse(std::string_view text, std::string_view test,
                                       const ClockReading& now) {
  const std::size_t end = text.rfind("\nend ");
  if (text.size() > kMaxTextBytes || !text.starts_with(kFirstLine)) {
    return MakeError("not the state of a budget, or of another version");
  }
  if (end == std::string_view::npos) return MakeError("incomplete");
  const std::string_view body = text.substr(0, end + 1);
  if (text.substr(body.size()) != "end " + Checksum(body) + '\n') {
    return MakeError("incomplete, or its checksum is wrong");
  }
  Lines lines(body.substr(kFirstLine.size() + 1));
  const auto name = lines.Take("test");
  if (name != test) return MakeError("the state of another test");
  const auto boot = lines.TakeTime("boot");
  const auto wall = lines.TakeTime("wall");
  if (!boot || !wall) return MakeError("malformed");
  BudgetState state(now);
  const nanoseconds written = now.boot - std::min(ElapsedSince({*boot, *wall}, now), kMaxAge);
  while (auto used = lines.Take("used")) {
    const auto first = ParseTime(TakeUntil(' ', *used), kMaxAge);
    const auto last = ParseTime(TakeUntil(' ', *used), kMaxAge);
    const auto bytes = ParseUnsigned(*used, 0, kMaxBytes);
    if (!first || !last || !bytes) return MakeError("malformed");
    state.entries_.push_back({written - *first, written - *last, *bytes});
  }
  if (!lines.empty()) return MakeError("malformed");
  return state;
}

std::string BudgetState::Format(std::string_view test) const {
  std::string text(kFirstLine);
  text.append("\ntest ").append(test) += '\n';
  text += Line("boot", Count(now_.boot)) + Line("wall", Count(now_.wall));
  for (const Entry& entry : entries_) {
    text += Line("used " + std::to_string(Count(now_.boot - entry.begin)) + ' ' +
                     std::to_string(Count(now_.boot - entry.end)),
                 entry.bytes);
  }
  return text + "end " + Checksum(text) + '\n';
}

void BudgetState::Advance(const ClockReading& now, nanoseconds per) {
  now_ = {.boot = std::max(now_.boot, now.boot), .wall = now.wall};
  std::erase_if(entries_, [&](const Entry& entry) {
    return entry.bytes == 0 || now_.boot - entry.end >= per;
  });
}

void BudgetState::Add(std::uint64_t bytes, nanoseconds per) {
  const nanoseconds width = per / kMaxEntries;
  if (entries_.empty() || now_.boot - entries_.back().begin >= width) {
    entries_.push_back({now_.boot, now_.boot, 0});
  }
  Entry& entry = entries_.back();
  entry.end = now_.boot;
  entry.bytes = AddUpTo(entry.bytes, bytes);
}

void BudgetState::Remove(std::uint64_t bytes, const ClockReading& added) {
  const auto entry = std::ranges::find_if(entries_, [&](const Entry& candidate) {
    return candidate.begin <= added.boot && added.boot <= candidate.end;
  });
  if (entry != entries_.end()) entry->bytes -= std::min(entry->bytes, bytes);
}

std::uint64_t BudgetState::used_bytes() const {
  std::uint64_t used = 0;
  for (const Entry& entry : entries_) used = AddUpTo(used, entry.bytes);
  return used;
}

}  // namespace iperf3_exporter
