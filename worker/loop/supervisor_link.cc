#include "worker/loop/supervisor_link.h"

#include <cstring>
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
  for (;;) {
    const ReceiveOutcome outcome = ReceiveFrame(fd_, frame_, false);
    if (outcome == ReceiveOutcome::kClosed) return std::optional<Job>();
    if (outcome != ReceiveOutcome::kFrame) return MakeError("the supervisor's socket failed");
    auto command = wire::DecodeCommand(frame_);
    ::explicit_bzero(frame_.data(), frame_.size());  // it may contain a password
    if (!command) return tl::unexpected(std::move(command.error()));
    if (auto* job = std::get_if<Job>(&*command)) return std::optional<Job>(std::move(*job));
    if (!std::holds_alternative<wire::Cancel>(*command)) {
      return MakeError("the supervisor configured twice");
    }
  }
}

Status SupervisorLink::Send(const wire::Event& event) const {
  return SendFrame(fd_,
                   std::visit([](const auto& message) { return wire::Encode(message); }, event));
}

}  // namespace iperf3_exporter
