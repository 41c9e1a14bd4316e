#include "supervisor/app/config_reload.h"

#include <malloc.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

namespace iperf3_exporter {
namespace {

ReloadableFile::Reading ReadInThread(const std::function<ReloadableFile::Reading()>& read) {
  ReloadableFile::Reading reading;
  try {
    reading = read();
  } catch (const std::exception& exception) {  // for lack of memory
    reading = {{}, MakeError(exception.what())};
  }
  // The document needs ten times the memory of what is made of it.
  ::malloc_trim(0);
  return reading;
}

}  // namespace

ConfigReload::ConfigReload(event_base* base, ReloadableFile& web_config, ModuleStore& module_store,
                           Hooks hooks)
    : web_config_(web_config),
      module_store_(module_store),
      hooks_(std::move(hooks)),
      pool_(base, {.max_threads = 1}) {}

void ConfigReload::Request(Done done) {
  waiting_.push_back(std::move(done));
  if (reloading_.empty()) Start();
}

void ConfigReload::Start() {
  reloading_ = std::exchange(waiting_, {});
  hooks_.on_begin();
  auto read = module_store_.Reader();
  auto reading = std::make_shared<std::optional<ReloadableFile::Reading>>();
  auto task = pool_.Submit([read, reading] { *reading = ReadInThread(read); },
                           [this, reading] { Finish(std::move(**reading)); });
  if (task) {
    read_ = std::move(*task);
  } else {
    Finish(read());  // no thread can be started
  }
}

void ConfigReload::Finish(ReloadableFile::Reading modules_read) {
  auto web_read = web_config_.Read();
  const tl::unexpected<Error> not_applied =
      MakeError("not applied, because the other configuration file is invalid");
  const bool modules_are_valid = modules_read.apply.has_value();
  if (!modules_are_valid && web_read.apply) web_read.apply = not_applied;
  const Status web_status = web_config_.Reload(std::move(web_read));
  if (!web_status && modules_are_valid) modules_read.apply = not_applied;
  auto before = module_store_.modules();
  const Status modules_status = module_store_.file().Reload(std::move(modules_read));
  if (module_store_.modules() != before) hooks_.on_new_modules(*before);
  hooks_.on_end();
  for (const Done& done : std::exchange(reloading_, {})) {
    done(modules_are_valid ? web_status : modules_status);
  }
  // To free thousands of tests takes milliseconds.
  if (auto task = pool_.Submit([before = std::move(before)] {}, [] {})) task->Detach();
  if (!waiting_.empty() && reloading_.empty()) Start();
}

}  // namespace iperf3_exporter
