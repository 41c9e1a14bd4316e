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
  // `iperf3` returns the installed one, or nullptr as long as it is not known. Before LoadFirst,
  // and without a file, there are no modules.
  ModuleStore(const Options& options, std::function<const Iperf3Description*()> iperf3);
  ModuleStore(const ModuleStore&) = delete;
  ModuleStore& operator=(const ModuleStore&) = delete;

  // Loads --config.file, if it is set.
  [[nodiscard]] Status LoadFirst();
  // Whether modules and tests suit the installed iperf3. A reload checks it, too.
  [[nodiscard]] Status Check() const;

  // A reload replaces the modules; whoever uses some keeps them.
  [[nodiscard]] const std::shared_ptr<const Modules>& modules() const { return modules_; }
  // The text of /config.
  [[nodiscard]] const std::shared_ptr<const std::string>& page() const { return page_; }

  // Reads the file again, in any thread: thousands of tests take seconds. One at a time.
  [[nodiscard]] std::function<ReloadableFile::Reading()> Reader();
  [[nodiscard]] ReloadableFile& file() { return file_; }
  [[nodiscard]] const ReloadableFile& file() const { return file_; }

 private:
  // What a load needs. It may outlive this.
  struct LoadContext;

  const std::shared_ptr<LoadContext> load_context_;
  const std::function<const Iperf3Description*()> iperf3_;
  std::shared_ptr<const Modules> modules_;
  std::shared_ptr<const std::string> page_;
  ReloadableFile file_;
};

// Logs what lets every client make this host send traffic, or credentials, to any target. Leaves
// out what `before` (may be null) let them do as well.
void WarnAboutOpenModules(const Modules& modules, const Modules* before);

}  // namespace iperf3_exporter
