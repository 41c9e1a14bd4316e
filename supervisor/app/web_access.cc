#include "supervisor/app/web_access.h"

#include <utility>

#include "common/logging.h"
#include "supervisor/http/client_network.h"

namespace iperf3_exporter {
namespace {

HttpResponse ResponseTo(AuthOutcome outcome) {
  switch (outcome) {
    case AuthOutcome::kBusy:
      return {.code = 429,
              .body = "too many passwords wait to be checked\n",
              .headers = {{"Retry-After", "1"}}};
    case AuthOutcome::kRateLimited:
      return {.code = 429, .body = "Too Many Requests\n"};
    default:
      return {.code = 401, .body = "Unauthorized\n", .headers = {{"WWW-Authenticate", "Basic"}}};
  }
}

}  // namespace

WebAccess::WebAccess(event_base* base)
    : security_(base),
      file_("web configuration",
            [this](const std::string& path, WatchedFiles& files) -> Result<ReloadableFile::Apply> {
              return LoadWebConfig(path, files).map([this](WebConfig config) {
                return [this, config = std::move(config)](ReloadTrigger trigger) {
                  return Apply(config, trigger);
                };
              });
            }),
      next_check_(base, [this] { CheckFile(); }) {}

Status WebAccess::LoadConfig(const std::string& path) {
  Status status = file_.LoadFirst(path);
  if (status) next_check_.Start(ReloadableFile::kCheckInterval);
  return status;
}

// On a timer, not with each request: a change counts only after two reads, and the first request
// afterwards must find it applied.
void WebAccess::CheckFile() { next_check_.Start(file_.ReloadIfChanged(Clock::now())); }

Status WebAccess::Apply(WebConfig config, ReloadTrigger trigger) {
  const Protections protections = ProtectionsOf(config);
  const std::string lost = LostProtections(protections_, protections);
  if (!lost.empty() && trigger == ReloadTrigger::kFileChanged) {
    return MakeError("it would switch off or weaken " + lost +
                     "; only SIGHUP or POST /-/reload applies that");
  }
  const std::string warning = WarningAbout(config);
  if (Status status = security_.Apply(std::move(config)); !status) return status;
  protections_ = protections;
  if (!warning.empty()) warnings_.Add("client_auth_type", {{"detail", warning}});
  if (!lost.empty()) {
    Log(LogLevel::kWarn, "protection switched off or weakened as requested", {{"detail", lost}});
  }
  return {};
}

HttpHooks WebAccess::Hooks() {
  return {
      .tls = [this] { return security_.tls(); },
      .authorize = [this](const auto& exchange,
                          const std::function<void()>& admitted) { Authorize(exchange, admitted); },
      .response_headers = [this] { return security_.headers(); }};
}

void WebAccess::Authorize(const std::shared_ptr<HttpExchange>& exchange,
                          const std::function<void()>& admitted) {
  security_.Authenticate(
      exchange->Header("Authorization"), ClientNetwork(exchange->peer()),
      [exchange] { return exchange->IsPending(); },
      [exchange, admitted](AuthOutcome outcome) {
        if (outcome == AuthOutcome::kAccepted) return admitted();
        exchange->Reply(ResponseTo(outcome));
      });
}

}  // namespace iperf3_exporter
