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

}  // namespace

ModuleStore::ModuleStore(const Options& options, std::function<const Iperf3Description*()> iperf3)
    : options_(options),
      iperf3_(std::move(iperf3)),
      modules_(std::make_shared<const Modules>(ModulesOfFlags(options))),
      file_("configuration file",
            [this](const std::string& path, WatchedFiles& files) -> Result<ReloadableFile::Apply> {
              return Load(path, files).map([this](Modules loaded) {
                return [this, modules = std::make_shared<const Modules>(std::move(loaded))](
                           ReloadTrigger /*trigger*/) {
                  modules_ = modules;
                  page_.clear();
                  return Status();
                };
              });
            }) {}

const std::string& ModuleStore::Page() const {
  if (page_.empty()) page_ = FormatModules(*modules_);
  return page_;
}

Status ModuleStore::LoadFirst() {
  if (options_.config_file.empty()) return {};
  return file_.LoadFirst(options_.config_file);
}

Status ModuleStore::Check() const { return CheckRequests(*modules_, iperf3_()); }

Result<Modules> ModuleStore::Load(const std::string& path, WatchedFiles& files) const {
  auto modules = LoadConfigFile(path, options_, files);
  if (!modules) return modules;
  if (const Status checked = CheckPublicKeys(*modules); !checked) {
    return tl::unexpected(checked.error());
  }
  Status checked = CheckStateDirectory(*modules, options_);
  if (checked) checked = CheckRequests(*modules, iperf3_());
  if (!checked) return tl::unexpected(checked.error());
  return modules;
}

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
