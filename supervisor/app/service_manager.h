// Notifications for systemd, by the protocol of sd_notify(3) but never blocking: a manager that
// does not read must not stop the event loop. What does not fit into its socket is sent again
// later. A newer state of the lifecycle (reloading, stopping) replaces those not yet sent. Without
// NOTIFY_SOCKET nothing is sent. Loop thread only.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "common/unique_fd.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

class ServiceManager {
 public:
  // Notifies the watchdog, if there is one, from `base` only, so that systemd notices a stuck loop.
  // `status` returns one line for `systemctl status`.
  ServiceManager(event_base* base, std::function<std::string()> status);

  // The sockets listen and a worker is ready. Also sends the status.
  void NotifyReady();
  void NotifyReloading();  // to be followed by NotifyReady
  // The last notification: it is lost if the socket is full and the loop ends.
  void NotifyStopping();
  // The status may have changed. It is sent 100 ms later, so that a burst of changes is one
  // message.
  void NotifyStatusSoon();

 private:
  void NotifyWatchdog();
  // Sends what is due, in order. Starts the timer if something remains.
  void Send();
  void SendStatus();

  UniqueFd socket_;  // connected to the manager; none: there is no manager
  std::function<std::string()> status_;
  Timer send_timer_;
  std::deque<std::string> states_due_;  // messages about the lifecycle
  bool status_due_ = false;
  bool watchdog_due_ = false;
  std::string last_status_;
  Timer watchdog_;
  std::chrono::microseconds watchdog_interval_{0};
};

}  // namespace iperf3_exporter
