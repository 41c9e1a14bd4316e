// A boost::interprocess::named_mutex, used as a bell: its count is 1 when the last holder
// rang, 0 when it has been heard. Boost's exceptions end here. Internal to the lock.
#pragma once

#include <memory>
#include <string>

#include "common/deadline.h"
#include "common/error.h"

namespace iperf3_exporter {

class Doorbell {
 public:
  // Opens the named mutex and maps `fd`, which must be its file and may be closed then.
  [[nodiscard]] static Result<Doorbell> Open(const std::string& mutex_name, int fd);

  Doorbell(Doorbell&&) noexcept;
  Doorbell& operator=(Doorbell&&) noexcept;
  ~Doorbell();

  // Adds one to the count and wakes one waiter.
  void Ring() noexcept;

  // Takes one from the count, waiting for it until `until`. False also when a signal came.
  [[nodiscard]] bool Wait(Deadline until) noexcept;

  // Brings the count to zero; true if it was not. Only with the witness.
  bool Drain() noexcept;

 private:
  struct Parts;
  explicit Doorbell(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace iperf3_exporter
