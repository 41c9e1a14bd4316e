// A configuration file that is reloaded on request, and when it or a file that it names has
// changed. An invalid file changes nothing. Loop thread only; a load blocks while it reads the
// files.
#pragma once

#include <functional>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "supervisor/config/watched_files.h"

namespace iperf3_exporter {

class ReloadableFile {
 public:
  // Reads the file, and those that it names, through `files` and applies it; or returns an error
  // and changes nothing.
  using Load = std::function<Status(const std::string& path, WatchedFiles& files)>;

  // `name` is the file's name in log messages.
  ReloadableFile(std::string name, Load load);

  // The first load; it logs nothing. Before it, a reload succeeds and does nothing.
  [[nodiscard]] Status LoadFirst(std::string path);
  // Loads the file again and logs the outcome, unless ReloadIfChanged has just logged the same.
  [[nodiscard]] Status Reload();
  // Loads the file again if a file has changed since the last load, successful or not, and logs the
  // outcome. Costs one stat(2) per file.
  void ReloadIfChanged();
  // The same, but checks at most once a second.
  void ReloadIfChangedThrottled();

  [[nodiscard]] bool last_reload_successful() const { return last_reload_successful_; }
  // Unix time of the last successful load; without a file, of the start.
  [[nodiscard]] double last_reload_success_seconds() const { return last_reload_success_seconds_; }

 private:
  [[nodiscard]] Status LoadNow();
  void LogOutcome(const Status& status) const;

  const std::string name_;
  const Load load_;
  std::string path_;
  WatchedFiles files_;
  Clock::time_point next_check_{};
  // When ReloadIfChanged last logged; zero after a Reload.
  Clock::time_point change_logged_at_{};
  bool last_reload_successful_ = true;
  double last_reload_success_seconds_;
};

}  // namespace iperf3_exporter
