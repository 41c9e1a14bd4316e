#include "supervisor/app/module_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/logging.h"
#include "common/text.h"
#include "supervisor/auth/public_key.h"
#include "supervisor/config/config_file.h"
#include "supervisor/config/modules_page.h"
#include "supervisor/probe/own_test_request.h"
#include "supervisor/probe/probe_request.h"

namespace iperf3_exporter {
namespace {

Status CheckPublicKeys(const Modules& modules) {
  for (const auto& [name, module] : modules.by_name) {
    if (!module->auth) continue;
    const Status checked = CheckPublicKey(module->auth->credentials);
    if (checked) continue;
    return ModuleError(modules.file, module->auth->public_key.line, name,
                       "auth.rsa_public_key_file", checked.error().message);
  }
  return {};
}

Status CheckStateDirectory(const Modules& modules, const Options& options) {
  const auto test = std::ranges::find_if(
      modules.own_tests, [](const OwnTestPointer& each) { return each->budget.has_value(); });
  if (!options.state_directory.empty() || test == modules.own_tests.end()) return {};
  return MakeError(modules.file + ":" + std::to_string((*test)->line) + ": tests." + (*test)->name +
                   ": budget: expected --state.directory to be set as well");
}

Status CheckRequests(const Modules& modules, const Iperf3Description* iperf3) {
  Status checked = CheckModules(modules, iperf3);
  return checked ? CheckOwnTests(modules, iperf3) : checked;
}

// Reads and checks everything.
Result<Modules> LoadModules(const std::string& path, WatchedFiles& files, const Options& options,
                            const Iperf3Description* iperf3) {
  auto modules = LoadConfigFile(path, options, files);
  if (!modules) return modules;
  Status checked = CheckPublicKeys(*modules);
  if (checked) checked = CheckStateDirectory(*modules, options);
  if (checked) checked = CheckRequests(*modules, iperf3);
  if (!checked) return tl::unexpected(std::move(checked.error()));
  return modules;
}

}  // namespace

struct ModuleStore::LoadContext {
  const Options options;
  std::optional<Iperf3Description> iperf3;  // changed only between two loads
};

ModuleStore::ModuleStore(const Options& options, std::function<const Iperf3Description*()> iperf3)
    : load_context_(std::make_shared<LoadContext>(LoadContext{options, std::nullopt})),
      iperf3_(std::move(iperf3)),
      modules_(std::make_shared<const Modules>(ModulesOfFlags(options))),
      page_(std::make_shared<const std::string>(FormatModules(*modules_))),
      file_("configuration file",
            [this, context = load_context_](const std::string& path,
                                            WatchedFiles& files) -> Result<ReloadableFile::Apply> {
              const auto& known = context->iperf3;
              auto loaded = LoadModules(path, files, context->options, known ? &*known : nullptr);
              if (!loaded) return tl::unexpected(std::move(loaded.error()));
              auto page = std::make_shared<const std::string>(FormatModules(*loaded));
              // Only what is applied uses `this`.
              return [this, modules = std::make_shared<const Modules>(std::move(*loaded)),
                      page = std::move(page)](ReloadTrigger /*trigger*/) {
                modules_ = modules;
                page_ = page;
                return Status();
              };
            }) {}

std::function<ReloadableFile::Reading()> ModuleStore::Reader() {
  const Iperf3Description* iperf3 = iperf3_();
  if (iperf3 != nullptr) load_context_->iperf3 = *iperf3;
  return file_.Reader();
}

Status ModuleStore::LoadFirst() {
  const std::string& path = load_context_->options.config_file;
  return path.empty() ? Status() : file_.LoadFirst(path);
}

Status ModuleStore::Check() const { return CheckRequests(*modules_, iperf3_()); }

void WarnAboutOpenModules(const Modules& modules, const Modules* before) {
  if (AllowsEveryTarget(modules) && (before == nullptr || !AllowsEveryTarget(*before))) {
    Log(LogLevel::kWarn,
        "every target is allowed: whoever can reach this exporter can make this host send traffic "
        "anywhere; --probe.allow-target, --probe.deny-target and allow_targets of a module "
        "restrict it");
  }
  std::vector<std::string> with_auth = ModulesWithOpenAuth(modules);
  if (before != nullptr) {
    for (const std::string& name : ModulesWithOpenAuth(*before)) std::erase(with_auth, name);
  }
  if (with_auth.empty()) return;
  Log(LogLevel::kWarn,
      "modules with auth allow every target: whoever can reach this exporter can have the "
      "credentials sent to a server of their own; set allow_targets",
      {{"modules", Join(with_auth, ",")}});
}

}  // namespace iperf3_exporter
