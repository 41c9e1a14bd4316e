// What systemd is told (sd_notify(3)); nothing when the service manager did not ask.
#pragma once

#include <string>

#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

class ServiceManager {
 public:
  // Kicks the watchdog, when there is one, from `base` only: a loop that is stuck shows.
  explicit ServiceManager(event_base* base);

  // The sockets listen and a worker is ready.
  void TellReady();
  void TellReloading();  // to be followed by TellReady
  void TellStopping();
  // One line for `systemctl status`; sent only when it changed.
  void TellStatus(const std::string& status);

 private:
  void KickWatchdog();

  Timer watchdog_;
  std::chrono::microseconds watchdog_interval_{0};
  std::string status_;
};

}  // namespace iperf3_exporter
