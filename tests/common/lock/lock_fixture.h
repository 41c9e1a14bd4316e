// A lock of the test's own, gone with it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "common/lock/host_lock.h"
#include "common/lock/lock_files.h"
#include "common/lock/lock_monitor.h"

namespace iperf3_exporter {

inline const HolderInfo kNobody{};
inline const LockKey kKey = MakeLockKey("key");

inline Deadline In(std::chrono::nanoseconds time) { return Clock::now() + time; }
inline Deadline Past() { return Clock::now() - std::chrono::seconds(1); }

inline void RemoveLockFiles(const std::string& name, LockScope scope) {
  for (const LockFile file : kLockFiles) ::unlink(LockFilePath(file, name, scope).c_str());
}

class LockFixture : public ::testing::Test {
 protected:
  static constexpr LockScope kScope = LockScope::kTarget;

  void SetUp() override { ASSERT_TRUE(CreateLockFiles(name_, kScope)); }
  void TearDown() override { RemoveLockFiles(name_, kScope); }

  [[nodiscard]] std::unique_ptr<HostLock> Open() const {
    auto lock = HostLock::Open(name_, kScope);
    if (!lock) throw std::runtime_error(lock.error().message);
    return std::move(*lock);
  }
  [[nodiscard]] LockMonitor OpenMonitor() const {
    auto monitor = LockMonitor::Open(name_, kScope);
    if (!monitor) throw std::runtime_error(monitor.error().message);
    return std::move(*monitor);
  }
  [[nodiscard]] std::string Path(LockFile file) const { return LockFilePath(file, name_, kScope); }

  const std::string name_ = "lock_test." + std::to_string(::getpid());
};

// Never releases it, as if the holder had been killed.
inline void Abandon(HeldLock lock) {
  alignas(HeldLock) static std::array<std::byte, sizeof(HeldLock)> grave;
  new (grave.data()) HeldLock(std::move(lock));
}

// The error of an attempt that must fail.
inline AcquireError ErrorOf(const tl::expected<HeldLock, AcquireError>& lock) {
  EXPECT_FALSE(lock);
  return lock ? AcquireError{0xff} : lock.error();
}

}  // namespace iperf3_exporter
