// A configuration file that is reloaded on request (Reload), and, if its owner calls
// ReloadIfChanged, when it or a file that it names has changed. An invalid file changes nothing.
// Loop thread only, but for Reader; a load blocks while it reads the files.
//
// A load counts only if the files were in the same state before and after it. A file that is being
// saved may look complete while it is still empty or cut short, so an automatic reload applies a
// change only after two reads, kStableTime apart, have found the same files.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/limited_log.h"
#include "supervisor/config/watched_files.h"

namespace iperf3_exporter {

enum class ReloadTrigger { kRequested, kFileChanged };

class ReloadableFile {
 public:
  // A finished change takes effect within a second: after one interval and one pause between reads,
  // or two pauses if a timer fires early.
  static constexpr std::chrono::milliseconds kCheckInterval{500};
  static constexpr std::chrono::milliseconds kStableTime{100};

  // Applies what was read; or returns an error and changes nothing.
  using Apply = std::function<Status(ReloadTrigger)>;
  // Reads the file, and those that it names, through `files`. Changes nothing.
  using Load = std::function<Result<Apply>(const std::string& path, WatchedFiles& files)>;

  // `name` is the file's name in log messages.
  ReloadableFile(const std::string& name, Load load);

  // The first load; it logs nothing. Before it, a reload succeeds and does nothing.
  [[nodiscard]] Status LoadFirst(std::string path);
  // What a file was found to be, not yet applied.
  struct Reading {
    WatchedFiles files;
    Result<Apply> apply;
  };
  // Reads the file again. The result is an error if the file is invalid, or if the files change
  // during every attempt to read them. Without a file it applies nothing.
  [[nodiscard]] Reading Read() const { return Reader()(); }
  // The same for another thread, if what `load` captures allows it: uses copies of `load` and path.
  [[nodiscard]] std::function<Reading()> Reader() const;
  // Applies a reading, and logs the outcome, a few times a second at most.
  [[nodiscard]] Status Reload(Reading reading);
  // Checks the files at time `now`. Loads them again and logs the outcome if they differ from the
  // last load, successful or not, and a read at least kStableTime earlier found the same. Costs
  // one stat(2) per file if nothing has changed. Returns the time until the next call is due.
  [[nodiscard]] std::chrono::milliseconds ReloadIfChanged(TimePoint now);

  [[nodiscard]] bool last_reload_successful() const { return last_reload_successful_; }
  // Unix time of the last successful load; without a file, of the start.
  [[nodiscard]] double last_reload_success_seconds() const { return last_reload_success_seconds_; }

 private:
  struct Snapshot {
    WatchedFiles files;
    TimePoint at;
  };

  [[nodiscard]] Status Finish(Reading reading, ReloadTrigger trigger);
  void LogOutcome(const Status& status, ReloadTrigger trigger);

  const Load load_;
  // Clients can request any number of reloads.
  LimitedLog successes_;
  LimitedLog failures_;
  std::string path_;
  WatchedFiles files_;
  std::optional<Snapshot> pending_;  // of files that differ from files_
  bool last_reload_successful_ = true;
  double last_reload_success_seconds_;
};

}  // namespace iperf3_exporter
