#include "supervisor/auth/web_security.h"

#include <utility>

namespace iperf3_exporter {
namespace {

// Null when `config` asks for plain HTTP.
Result<std::shared_ptr<const TlsContext>> CreateTls(const WebConfig& config) {
  if (!config.tls.Enabled()) return nullptr;
  return TlsContext::Create(config.tls);
}

}  // namespace

WebSecurity::WebSecurity(event_base* base) : authenticator_(base) {}

Status WebSecurity::Apply(WebConfig config) {
  auto tls = CreateTls(config);
  if (!tls) return tl::unexpected(tls.error());
  tls_ = std::move(*tls);
  headers_ = std::make_shared<const Headers>(std::move(config.headers));
  has_users_ = !config.users.empty();
  user_limiters_.clear();
  for (const auto& [user, hash] : config.users) {
    user_limiters_.emplace(user, RateLimiter(config.rate_interval, config.rate_burst));
  }
  authenticator_.SetUsers(std::move(config.users));
  // An unchanged limit keeps its tokens.
  if (!limiter_.Is(config.rate_interval, config.rate_burst)) {
    limiter_ = RateLimiter(config.rate_interval, config.rate_burst);
  }
  return {};
}

void WebSecurity::Authenticate(std::optional<std::string_view> authorization, std::string client,
                               std::function<bool()> wanted,
                               std::function<void(AuthOutcome)> done) {
  std::optional<Credentials> credentials;
  if (has_users_ && authorization) credentials = ParseBasicAuthorization(*authorization);
  const bool known = credentials && authenticator_.Remembers(*credentials);
  RateLimiter& limiter = known ? user_limiters_.at(credentials->user) : limiter_;
  if (!limiter.Take(Clock::now())) return done(AuthOutcome::kRateLimited);
  if (!has_users_ || known) return done(AuthOutcome::kAccepted);
  if (!credentials) return done(AuthOutcome::kRefused);
  authenticator_.Check(std::move(*credentials), std::move(client), std::move(wanted),
                       std::move(done));
}

}  // namespace iperf3_exporter
