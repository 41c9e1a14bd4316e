#include "supervisor/auth/web_security.h"

#include <chrono>
#include <utility>

#include "common/logging.h"
#include "supervisor/http/evhttp_exchange.h"

namespace iperf3_exporter {
namespace {

struct ReadResult {
  WebConfig config;
  std::shared_ptr<const TlsContext> tls;
};

// `files` becomes what the configuration names, as soon as that is known.
Result<ReadResult> Read(const std::string& file, std::vector<std::string>& files) {
  files = {file};
  const auto text = ReadConfigFile(file);
  if (!text) return tl::unexpected(text.error());
  auto config = ParseWebConfig(*text, file);
  if (!config) return tl::unexpected(config.error());
  ReadResult result{std::move(*config), nullptr};
  const TlsConfig& names = result.config.tls;
  for (const ConfigText* path : {&names.cert_file, &names.key_file, &names.client_ca_file}) {
    if (path->given()) files.push_back(path->text);
  }
  if (!result.config.tls.Enabled()) return result;
  auto tls = TlsContext::Create(result.config.tls);
  if (!tls) return tl::unexpected(tls.error());
  result.tls = std::move(*tls);
  return result;
}

// The connection that brings POST /-/reload, or the request itself, makes us look at the files:
// what is logged then need not be said again by the reload. As long as a request may take to come.
constexpr std::chrono::seconds kSameReload{10};

HttpResponse Unauthorized() {
  HttpResponse response;
  response.code = 401;
  response.body = "Unauthorized\n";
  response.headers.emplace_back("WWW-Authenticate", "Basic");
  return response;
}

HttpResponse ComeBack() {
  HttpResponse response;
  response.code = 429;
  response.body = "too many passwords wait to be checked\n";
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

bool WebSecurity::FileState::operator==(const FileState& other) const {
  return device == other.device && inode == other.inode && size == other.size &&
         SameTime(modified, other.modified) && SameTime(changed, other.changed);
}

WebSecurity::WebSecurity(event_base* base) : authenticator_(base) {}

Status WebSecurity::Check(const std::string& file) {
  std::vector<std::string> files;
  const auto result = Read(file, files);
  if (!result) return tl::unexpected(result.error());
  return {};
}

std::vector<WebSecurity::FileState> WebSecurity::LookAtFiles() const {
  std::vector<FileState> states;
  for (const std::string& path : watched_) {
    struct stat status {};
    FileState state;
    if (::stat(path.c_str(), &status) == 0) {
      state = {status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
    }
    states.push_back(state);
  }
  return states;
}

double WebSecurity::NowSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Status WebSecurity::ReadAndApply() {
  // Before reading: a change while we read is then seen as one.
  seen_ = LookAtFiles();
  std::vector<std::string> files;
  auto result = Read(file_, files);
  if (files != watched_) {
    watched_ = std::move(files);
    seen_ = LookAtFiles();
  }
  last_reload_successful_ = result.has_value();
  if (!result) return tl::unexpected(result.error());
  tls_ = std::move(result->tls);
  headers_ = std::make_shared<const Headers>(std::move(result->config.headers));
  authentication_ = !result->config.users.empty();
  authenticator_.SetUsers(std::move(result->config.users));
  if (!limiter_.Is(result->config.rate_interval, result->config.rate_burst)) {
    limiter_ = RateLimiter(result->config.rate_interval, result->config.rate_burst);
  }
  last_reload_success_seconds_ = NowSeconds();
  return {};
}

Status WebSecurity::Load(const std::string& file) {
  file_ = file;
  watched_ = {file_};
  return ReadAndApply();
}

Status WebSecurity::Reload() {
  if (file_.empty()) return {};
  const bool logged = change_logged_ != Clock::time_point() &&
                      Clock::now() - change_logged_ < kSameReload && LookAtFiles() == seen_;
  const bool was_successful = last_reload_successful_;
  change_logged_ = {};
  auto status = ReadAndApply();
  if (!logged || status.has_value() != was_successful) LogOutcome(status);
  return status;
}

void WebSecurity::LogOutcome(const Status& status) const {
  if (status) {
    Log(LogLevel::kInfo, "web configuration read again", {{"file", file_}});
  } else {
    Log(LogLevel::kError, "web configuration refused, the old one stays in force",
        {{"reason", status.error().message}});
  }
}

bool WebSecurity::ReloadIfChanged() {
  if (file_.empty() || LookAtFiles() == seen_) return false;
  const Status status = ReadAndApply();
  LogOutcome(status);
  change_logged_ = Clock::now();
  return status.has_value();
}

bool WebSecurity::ReloadIfChangedLately() {
  if (file_.empty()) return false;
  const auto now = Clock::now();
  if (now < next_look_) return false;
  next_look_ = now + std::chrono::seconds(1);
  return ReloadIfChanged();
}

void WebSecurity::Authenticate(
    const std::shared_ptr<EvhttpExchange>& exchange,
    std::function<void(const std::shared_ptr<EvhttpExchange>&)> admitted) {
  if (!authentication_) return admitted(exchange);
  Credentials credentials;
  const auto authorization = exchange->Header("Authorization");
  if (!authorization || !ParseBasicAuthorization(*authorization, credentials)) {
    return exchange->Reply(Unauthorized());
  }
  authenticator_.Check(
      std::move(credentials), [exchange] { return exchange->IsPending(); },
      [exchange, admitted = std::move(admitted)](AuthOutcome outcome) {
        if (outcome == AuthOutcome::kAccepted) return admitted(exchange);
        exchange->Reply(outcome == AuthOutcome::kBusy ? ComeBack() : Unauthorized());
      });
}

}  // namespace iperf3_exporter
