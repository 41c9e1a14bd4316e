#include "supervisor/config/reloadable_file.h"

#include <chrono>
#include <utility>

#include "common/logging.h"

namespace iperf3_exporter {
namespace {

// The connection or the authorization of a POST /-/reload already runs ReloadIfChanged. A Reload
// within the time that a request may take does not log the same outcome again.
constexpr std::chrono::seconds kDuplicateLogWindow{10};

double UnixSeconds() { return ToSeconds(std::chrono::system_clock::now().time_since_epoch()); }

}  // namespace

ReloadableFile::ReloadableFile(std::string name, Load load)
    : name_(std::move(name)), load_(std::move(load)), last_reload_success_seconds_(UnixSeconds()) {}

Status ReloadableFile::LoadFirst(std::string path) {
  path_ = std::move(path);
  return LoadNow();
}

Status ReloadableFile::LoadNow() {
  files_ = {};
  Status status = load_(path_, files_);
  last_reload_successful_ = status.has_value();
  if (status) last_reload_success_seconds_ = UnixSeconds();
  return status;
}

Status ReloadableFile::Reload() {
  if (path_.empty()) return {};
  const bool already_logged = change_logged_at_ != Clock::time_point() &&
                              Clock::now() - change_logged_at_ < kDuplicateLogWindow &&
                              !files_.HaveChanged();
  const bool was_successful = last_reload_successful_;
  change_logged_at_ = {};
  Status status = LoadNow();
  if (!already_logged || status.has_value() != was_successful) LogOutcome(status);
  return status;
}

void ReloadableFile::ReloadIfChanged() {
  if (!files_.HaveChanged()) return;
  LogOutcome(LoadNow());
  change_logged_at_ = Clock::now();
}

void ReloadableFile::ReloadIfChangedThrottled() {
  const auto now = Clock::now();
  if (now < next_check_) return;
  next_check_ = now + std::chrono::seconds(1);
  ReloadIfChanged();
}

void ReloadableFile::LogOutcome(const Status& status) const {
  if (status) {
    Log(LogLevel::kInfo, name_ + " reloaded", {{"file", path_}});
  } else {
    Log(LogLevel::kError, name_ + " is invalid, the previous one stays in use",
        {{"file", path_}, {"reason", status.error().message}});
  }
}

}  // namespace iperf3_exporter
