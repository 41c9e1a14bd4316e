#include "common/lock/doorbell.h"

#include <semaphore.h>
#include <sys/mman.h>

#include <boost/interprocess/sync/named_mutex.hpp>

namespace iperf3_exporter {
namespace {

namespace bip = boost::interprocess;

static_assert(std::is_same_v<Clock, std::chrono::steady_clock>);  // CLOCK_MONOTONIC below

timespec ToTimespec(Deadline deadline) {
  const auto since_boot = deadline.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
  return {.tv_sec = seconds.count(), .tv_nsec = (since_boot - seconds).count()};
}

struct Unmap {
  void operator()(sem_t* semaphore) const { ::munmap(semaphore, sizeof(sem_t)); }
};

}  // namespace

struct Doorbell::Parts {
  explicit Parts(const char* mutex_name) : mutex(bip::open_only, mutex_name) {}

  bip::named_mutex mutex;
  // The same semaphore: sem_overview(7) puts a named one into its file. For Wait alone.
  std::unique_ptr<sem_t, Unmap> semaphore;
};

Doorbell::Doorbell(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Doorbell::Doorbell(Doorbell&&) noexcept = default;
Doorbell& Doorbell::operator=(Doorbell&&) noexcept = default;
Doorbell::~Doorbell() = default;

Result<Doorbell> Doorbell::Open(const std::string& mutex_name, int fd) {
  std::unique_ptr<Parts> parts;
  try {
    parts = std::make_unique<Parts>(mutex_name.c_str());
  } catch (const bip::interprocess_exception& error) {
    return MakeError("named mutex " + mutex_name + ": " + error.what());
  }
  void* mapping = ::mmap(nullptr, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) return ErrnoError("mmap of named mutex " + mutex_name);
  parts->semaphore.reset(static_cast<sem_t*>(mapping));
  return Doorbell(std::move(parts));
}

void Doorbell::Ring() noexcept {
  try {
    parts_->mutex.unlock();
  } catch (const bip::interprocess_exception&) {
    // The count is at its maximum by somebody's doing: it rings anyway.
  }
}

bool Doorbell::Wait(Deadline until) noexcept {
  const timespec time = ToTimespec(until);
  return ::sem_clockwait(parts_->semaphore.get(), CLOCK_MONOTONIC, &time) == 0;
}

bool Doorbell::Drain() noexcept {
  // The lock itself leaves at most two posts; the bound is for a count that somebody else
  // has put up, which then takes several holders to drain.
  constexpr int kMaxPosts = 100'000;
  bool had_any = false;
  try {
    for (int i = 0; i < kMaxPosts && parts_->mutex.try_lock(); ++i) had_any = true;
  } catch (const bip::interprocess_exception&) {
    // Neither taken nor empty can't be; the witness decides, not the count.
  }
  return had_any;
}

}  // namespace iperf3_exporter
