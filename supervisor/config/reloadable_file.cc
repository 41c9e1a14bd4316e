#include "supervisor/config/reloadable_file.h"

#include <utility>

namespace iperf3_exporter {
namespace {

// Saving a file takes less than a millisecond, so more attempts would only block the loop longer.
constexpr int kMaxAttempts = 5;

}  // namespace

ReloadableFile::ReloadableFile(const std::string& name, Load load)
    : load_(std::move(load)),
      successes_(LogLevel::kInfo, name + " reloaded"),
      failures_(LogLevel::kError, name + " not reloaded; the previous one stays in use"),
      last_reload_success_seconds_(UnixSeconds()) {}

Status ReloadableFile::LoadFirst(std::string path) {
  path_ = std::move(path);
  return Finish(Read(), ReloadTrigger::kRequested);
}

std::function<ReloadableFile::Reading()> ReloadableFile::Reader() const {
  if (path_.empty()) return [] { return Reading{{}, [](ReloadTrigger) { return Status(); }}; };
  return [load = load_, path = path_] {
    Reading reading;
    for (int i = 0; i < kMaxAttempts; ++i) {
      reading = {};
      reading.apply = load(path, reading.files);
      if (!reading.files.HaveChanged()) return reading;
    }
    reading.apply = MakeError(path + ": keeps changing while it is being read");
    return reading;
  };
}

Status ReloadableFile::Finish(Reading reading, ReloadTrigger trigger) {
  files_ = std::move(reading.files);
  pending_.reset();
  Status status = reading.apply ? (*reading.apply)(trigger) : tl::unexpected(reading.apply.error());
  last_reload_successful_ = status.has_value();
  if (status) last_reload_success_seconds_ = UnixSeconds();
  return status;
}

Status ReloadableFile::Reload(Reading reading) {
  if (path_.empty()) return {};
  Status status = Finish(std::move(reading), ReloadTrigger::kRequested);
  LogOutcome(status, ReloadTrigger::kRequested);
  return status;
}

std::chrono::milliseconds ReloadableFile::ReloadIfChanged(TimePoint now) {
  if (!files_.HaveChanged()) {
    pending_.reset();
    return kCheckInterval;
  }
  // Each time the files are read, since the configuration names some of them.
  Reading reading;
  reading.apply = load_(path_, reading.files);
  if (reading.files.HaveChanged()) return kStableTime;
  if (!pending_ || pending_->files != reading.files) {
    pending_ = Snapshot{std::move(reading.files), now};
    return kStableTime;
  }
  if (now - pending_->at < kStableTime) return kStableTime;
  LogOutcome(Finish(std::move(reading), ReloadTrigger::kFileChanged), ReloadTrigger::kFileChanged);
  return kCheckInterval;
}

void ReloadableFile::LogOutcome(const Status& status, ReloadTrigger trigger) {
  const char* reason = trigger == ReloadTrigger::kRequested ? "requested" : "file_changed";
  if (status) {
    successes_.Add(reason, {{"file", path_}});
  } else {
    failures_.Add(reason, {{"file", path_}, {"detail", status.error().message}});
  }
}

}  // namespace iperf3_exporter
