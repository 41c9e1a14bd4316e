// Reloads both configuration files, or none of them if one is invalid: otherwise the two could end
// up as no operator has written them together. Thousands of own tests take seconds to read, so a
// thread reads --config.file. Loop thread only.
#pragma once

#include <functional>
#include <vector>

#include "common/error.h"
#include "supervisor/app/module_store.h"
#include "supervisor/config/reloadable_file.h"
#include "supervisor/loop/task_pool.h"

namespace iperf3_exporter {

class ConfigReload {
 public:
  using Done = std::function<void(const Status&)>;

  struct Hooks {
    std::function<void()> on_begin;
    std::function<void()> on_end;
    // The modules are new. `before`: those that they replace.
    std::function<void(const Modules& before)> on_new_modules;
  };

  // All references must outlive this.
  ConfigReload(event_base* base, ReloadableFile& web_config, ModuleStore& module_store,
               Hooks hooks);
  ConfigReload(const ConfigReload&) = delete;
  ConfigReload& operator=(const ConfigReload&) = delete;

  // Reads the files as they are from now on, and calls `done` afterwards. Requests that arrive
  // during a reload share the next one.
  void Request(Done done);

 private:
  void Start();
  void Finish(ReloadableFile::Reading modules_read);

  ReloadableFile& web_config_;
  ModuleStore& module_store_;
  const Hooks hooks_;
  std::vector<Done> waiting_;    // for the next reload
  std::vector<Done> reloading_;  // not empty: for the one in progress
  TaskPool pool_;
  TaskPool::Task read_;
};

}  // namespace iperf3_exporter
