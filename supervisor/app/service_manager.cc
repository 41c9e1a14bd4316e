#include "supervisor/app/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "common/deadline.h"

namespace iperf3_exporter {
namespace {

// From a change of the status, or a full socket, until the next attempt to send.
constexpr std::chrono::milliseconds kSendDelay{100};

// Connects to the socket that NOTIFY_SOCKET names: a path, or "@" and an abstract name.
UniqueFd ConnectToManager() {
  const char* const variable = ::getenv("NOTIFY_SOCKET");
  const std::string_view name = variable != nullptr ? variable : "";
  sockaddr_un address{};
  if (name.empty() || name.size() >= sizeof address.sun_path) return {};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return {};
  return fd;
}

// Returns false if `message` has to be sent again later. Other errors drop the message: the manager
// is gone.
bool TrySend(int fd, std::string_view message) {
  const auto sent = ::send(fd, message.data(), message.size(), MSG_NOSIGNAL);
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

}  // namespace

ServiceManager::ServiceManager(event_base* base, std::function<std::string()> status)
    : socket_(ConnectToManager()),
      status_(std::move(status)),
      send_timer_(base, [this] { Send(); }),
      watchdog_(base, [this] { NotifyWatchdog(); }) {
  std::uint64_t timeout_microseconds = 0;
  if (!socket_ || ::sd_watchdog_enabled(0, &timeout_microseconds) <= 0) return;
  // sd_watchdog_enabled(3) recommends half of the timeout.
  watchdog_interval_ = std::chrono::microseconds(timeout_microseconds / 2);
  NotifyWatchdog();
}

void ServiceManager::NotifyReady() {
  states_due_.emplace_back("READY=1");
  status_due_ = true;
  Send();
}

void ServiceManager::NotifyReloading() {
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch());
  // For units with Type=notify-reload, which needs MONOTONIC_USEC (systemd 253).
  states_due_ = {"RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count())};
  Send();
}

void ServiceManager::NotifyStopping() {
  states_due_ = {"STOPPING=1"};
  Send();
}

void ServiceManager::NotifyStatusSoon() {
  if (!socket_ || std::exchange(status_due_, true)) return;
  send_timer_.Start(kSendDelay);
}

void ServiceManager::NotifyWatchdog() {
  watchdog_due_ = true;
  Send();
  watchdog_.Start(watchdog_interval_);
}

void ServiceManager::Send() {
  if (!socket_) return;
  while (!states_due_.empty() && TrySend(socket_.get(), states_due_.front())) {
    states_due_.pop_front();
  }
  if (status_due_ && states_due_.empty()) SendStatus();
  if (watchdog_due_) watchdog_due_ = !TrySend(socket_.get(), "WATCHDOG=1");
  if (!states_due_.empty() || status_due_ || watchdog_due_) send_timer_.Start(kSendDelay);
}

void ServiceManager::SendStatus() {
  std::string status = status_();
  status_due_ = status != last_status_ && !TrySend(socket_.get(), "STATUS=" + status);
  if (!status_due_) last_status_ = std::move(status);
}

}  // namespace iperf3_exporter
