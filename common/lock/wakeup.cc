#include "common/lock/wakeup.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <boost/interprocess/sync/named_mutex.hpp>
#include <utility>

#include "common/lock/lock_files.h"

namespace iperf3_exporter {
namespace {

namespace bip = boost::interprocess;

static_assert(std::is_same_v<Clock, std::chrono::steady_clock>);  // CLOCK_MONOTONIC below

timespec ToTimespec(Deadline deadline) {
  const auto since_boot = deadline.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
  return {.tv_sec = seconds.count(), .tv_nsec = (since_boot - seconds).count()};
}

}  // namespace

void Wakeup::Unmap::operator()(sem_t* semaphore) const { ::munmap(semaphore, sizeof(sem_t)); }

Wakeup::Wakeup(std::unique_ptr<bip::named_mutex> mutex, Mapping semaphore)
    : mutex_(std::move(mutex)), semaphore_(std::move(semaphore)) {}
Wakeup::Wakeup(Wakeup&&) noexcept = default;
Wakeup::~Wakeup() = default;

Result<Wakeup> Wakeup::Open(const std::string& name, LockScope scope) {
  const Result<UniqueFd> file = OpenLockFile(LockFile::kWakeup, name, scope, O_RDWR);
  if (!file) return tl::unexpected(file.error());
  const std::string mutex_name = WakeupMutexName(name, scope);
  std::unique_ptr<bip::named_mutex> mutex;
  try {
    mutex = std::make_unique<bip::named_mutex>(bip::open_only, mutex_name.c_str());
  } catch (const bip::interprocess_exception& error) {
    return MakeError("named mutex " + mutex_name + ": " + error.what());
  }
  // Only if Boost has opened the file that was checked.
  if (!PathRefersTo(LockFilePath(LockFile::kWakeup, name, scope), file->get())) {
    return MakeError("named mutex " + mutex_name + " was replaced while it was being opened");
  }
  void* mapping =
      ::mmap(nullptr, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0);
  if (mapping == MAP_FAILED) return ErrnoError("mmap of named mutex " + mutex_name);
  return Wakeup(std::move(mutex), Mapping(static_cast<sem_t*>(mapping)));
}

void Wakeup::Post() noexcept {
  int posts = 0;
  if (::sem_getvalue(semaphore_.get(), &posts) == 0 && posts > 0) return;
  try {
    mutex_->unlock();
  } catch (const bip::interprocess_exception&) {
    // Somebody else has set the count to its maximum, so nobody sleeps.
  }
}

bool Wakeup::Wait(Deadline until) noexcept {
  const timespec time = ToTimespec(until);
  return ::sem_clockwait(semaphore_.get(), CLOCK_MONOTONIC, &time) == 0;
}

}  // namespace iperf3_exporter
