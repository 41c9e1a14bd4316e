#include "supervisor/app/web_access.h"

#include <utility>

#include "supervisor/config/web_config.h"

namespace iperf3_exporter {
namespace {

HttpResponse Unauthorized() {
  return {.code = 401, .body = "Unauthorized\n", .headers = {{"WWW-Authenticate", "Basic"}}};
}

HttpResponse TooManyChecks() {
  return {.code = 429,
          .body = "too many passwords wait to be checked\n",
          .headers = {{"Retry-After", "1"}}};
}

}  // namespace

WebAccess::WebAccess(event_base* base)
    : security_(base), file_("web configuration", [this](const auto& path, auto& files) {
        return Apply(path, files);
      }) {}

Status WebAccess::Apply(const std::string& path, WatchedFiles& files) {
  auto config = LoadWebConfig(path, files);
  if (!config) return tl::unexpected(config.error());
  return security_.Apply(std::move(*config));
}

HttpHooks WebAccess::Hooks() {
  return {
      .tls =
          [this] {
            // A change of the configuration applies to new connections.
            file_.ReloadIfChanged();
            return security_.tls();
          },
      .authorize = [this](const auto& exchange,
                          const std::function<void()>& admitted) { Authorize(exchange, admitted); },
      .response_headers = [this] { return security_.headers(); }};
}

void WebAccess::Authorize(const std::shared_ptr<HttpExchange>& exchange,
                          const std::function<void()>& admitted) {
  file_.ReloadIfChangedThrottled();
  if (!security_.TakeToken()) return exchange->Reply({.code = 429, .body = "Too Many Requests\n"});
  security_.Authenticate(
      exchange->Header("Authorization"), [exchange] { return exchange->IsPending(); },
      [exchange, admitted](AuthOutcome outcome) {
        if (outcome == AuthOutcome::kAccepted) return admitted();
        exchange->Reply(outcome == AuthOutcome::kBusy ? TooManyChecks() : Unauthorized());
      });
}

}  // namespace iperf3_exporter
