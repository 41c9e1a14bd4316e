// A configuration file that takes effect while the program runs: when asked to, and by itself when
// it or a file that it names has changed. A bad one changes nothing. Loop thread only; each load
// reads files and so blocks for a moment.
#pragma once

#include <functional>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "supervisor/config/watched_files.h"

namespace iperf3_exporter {

class ReloadableFile {
 public:
  // Reads the file, and those that it names, through `files` and enables what it says; or returns
  // an error and changes nothing.
  using Load = std::function<Status(const std::string& path, WatchedFiles& files)>;

  // `name` is what log lines call the file.
  ReloadableFile(std::string name, Load load);

  // The first load, which logs nothing. Until then there is no file, and a reload succeeds and does
  // nothing.
  [[nodiscard]] Status LoadFirst(std::string path);
  // Loads the file again and logs the outcome, unless ReloadIfChanged has just logged the same.
  [[nodiscard]] Status Reload();
  // Loads the file again if a file has changed since it was last read, well or badly, and logs the
  // outcome. A few calls of stat(2).
  void ReloadIfChanged();
  // The same, but looks at most once a second.
  void ReloadIfChangedLately();

  [[nodiscard]] bool last_reload_successful() const { return last_reload_successful_; }
  // Unix time of the latest load that succeeded; without a file, of the start.
  [[nodiscard]] double last_reload_success_seconds() const { return last_reload_success_seconds_; }

 private:
  [[nodiscard]] Status LoadNow();
  void LogOutcome(const Status& status) const;

  const std::string name_;
  const Load load_;
  std::string path_;
  WatchedFiles files_;
  Clock::time_point next_look_{};
  // When ReloadIfChanged last logged; zero once Reload has run since.
  Clock::time_point change_logged_{};
  bool last_reload_successful_ = true;
  double last_reload_success_seconds_;
};

}  // namespace iperf3_exporter
