// Notifications for systemd (sd_notify(3)). Without NOTIFY_SOCKET nothing is sent.
#pragma once

#include <functional>
#include <string>

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
  void NotifyStopping();
  // The status may have changed. It is sent 100 ms later, so that a burst of changes is one
  // message.
  void NotifyStatusSoon();

 private:
  void NotifyStatus();
  void NotifyWatchdog();

  std::function<std::string()> status_;
  Timer status_timer_;
  bool status_due_ = false;
  std::string last_status_;
  Timer watchdog_;
  std::chrono::microseconds watchdog_interval_{0};
};

}  // namespace iperf3_exporter
