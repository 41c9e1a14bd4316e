// The modules and own tests of --config.file, and their reload. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/error.h"
#include "common/iperf3/iperf3_description.h"
#include "supervisor/config/module.h"
#include "supervisor/config/reloadable_file.h"

namespace iperf3_exporter {

class ModuleStore {
 public:
  // `options` must outlive this. `iperf3` returns the installed one, or nullptr as long as it is
  // not known. Before LoadFirst, and without a file, there are no modules.
  ModuleStore(const Options& options, std::function<const Iperf3Description*()> iperf3);
  ModuleStore(const ModuleStore&) = delete;
  ModuleStore& operator=(const ModuleStore&) = delete;

  // Loads --config.file, if it is set.
  [[nodiscard]] Status LoadFirst();
  // Whether modules and tests suit the installed iperf3. A reload checks it, too.
  [[nodiscard]] Status Check() const;

  // A reload replaces the modules; whoever uses some keeps them.
  [[nodiscard]] const std::shared_ptr<const Modules>& modules() const { return modules_; }
  // The text of /config. Built when it is first asked for after a load, because that takes 0.1 ms
  // for each module.
  [[nodiscard]] const std::string& Page() const;
  [[nodiscard]] ReloadableFile& file() { return file_; }
  [[nodiscard]] const ReloadableFile& file() const { return file_; }

 private:
  // Reads and checks everything.
  [[nodiscard]] Result<Modules> Load(const std::string& path, WatchedFiles& files) const;

  const Options& options_;
  const std::function<const Iperf3Description*()> iperf3_;
  std::shared_ptr<const Modules> modules_;
  mutable std::string page_;  // empty: to be built
  ReloadableFile file_;
};

// Logs what lets every client make this host send traffic, or credentials, to any target. Leaves
// out what `before` (may be null) let them do as well.
void WarnAboutOpenModules(const Modules& modules, const Modules* before);

}  // namespace iperf3_exporter
