#include "worker/loop/supervisor_link.h"

#include <utility>
#include <variant>

#include "common/wire/seqpacket.h"

namespace iperf3_exporter {

Result<WorkerConfig> SupervisorLink::ReceiveConfig() {
  if (ReceiveFrame(fd_, frame_, false) != ReceiveOutcome::kFrame) {
    return MakeError("no configuration from the supervisor");
  }
  auto command = wire::DecodeCommand(frame_);
  if (!command) return tl::unexpected(std::move(command.error()));
  if (auto* config = std::get_if<WorkerConfig>(&*command)) return std::move(*config);
  return MakeError("the supervisor's first command is not the configuration");
}

Result<std::optional<Job>> SupervisorLink::ReceiveJob() {
  while (!gone_) {
    const ReceiveOutcome outcome = ReceiveFrame(fd_, frame_, false);
    if (outcome == ReceiveOutcome::kClosed) break;
    if (outcome != ReceiveOutcome::kFrame) return MakeError("the supervisor's socket failed");
    auto command = wire::DecodeCommand(frame_);
    if (!command) return tl::unexpected(std::move(command.error()));
    if (auto* job = std::get_if<Job>(&*command)) return std::optional<Job>(std::move(*job));
    if (!std::holds_alternative<wire::Cancel>(*command)) {
      return MakeError("the supervisor configured twice");
    }
  }
  return std::optional<Job>();
}

JobInterest SupervisorLink::TryReadInterest(std::uint64_t job_id) {
  while (!gone_) {
    const ReceiveOutcome outcome = ReceiveFrame(fd_, frame_, true);
    if (outcome == ReceiveOutcome::kNothingYet) return JobInterest::kWanted;
    gone_ = outcome != ReceiveOutcome::kFrame;
    if (gone_) break;
    const auto command = wire::DecodeCommand(frame_);
    const auto* cancel = command ? std::get_if<wire::Cancel>(&*command) : nullptr;
    gone_ = cancel == nullptr;
    if (!gone_ && cancel->job_id == job_id) return JobInterest::kCancelled;
  }
  return JobInterest::kGone;
}

Status SupervisorLink::Send(const wire::Frame& frame) const { return SendFrame(fd_, frame); }

}  // namespace iperf3_exporter
