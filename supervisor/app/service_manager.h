// What systemd is told (sd_notify(3)); nothing when the service manager did not ask.
#pragma once

#include <functional>
#include <string>

#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

class ServiceManager {
 public:
  // Kicks the watchdog, when there is one, from `base` only: a loop that is stuck shows.
  // `status` gives one line for `systemctl status`.
  ServiceManager(event_base* base, std::function<std::string()> status);

  // The sockets listen and a worker is ready. With the status.
  void NotifyReady();
  void NotifyReloading();  // to be followed by NotifyReady
  void NotifyStopping();
  // The status may have changed. It is asked for and sent a moment later: no probe waits for it,
  // and a burst of them tells it once.
  void NotifyStatusSoon();

 private:
  void NotifyStatus();
  void KickWatchdog();

  std::function<std::string()> status_;
  Timer status_timer_;
  bool status_due_ = false;
  std::string last_status_;
  Timer watchdog_;
  std::chrono::microseconds watchdog_interval_{0};
};

}  // namespace iperf3_exporter
