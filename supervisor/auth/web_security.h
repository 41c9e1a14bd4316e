// Applies the web configuration: TLS for new connections, authentication, the headers of every
// response, the rate limit. Independent of the HTTP server. Loop thread only; TaskPool threads run
// bcrypt.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/deadline.h"
#include "common/error.h"
#include "supervisor/auth/authenticator.h"
#include "supervisor/auth/rate_limiter.h"
#include "supervisor/auth/tls_context.h"
#include "supervisor/config/web_config.h"

struct event_base;

namespace iperf3_exporter {

class WebSecurity {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Until the first Apply: plain HTTP without authentication.
  explicit WebSecurity(event_base* base);

  // Applies `config`, as LoadWebConfig returned it; or returns an error and changes nothing.
  // Existing connections keep their TLS context.
  [[nodiscard]] Status Apply(WebConfig config);

  // Null: plain HTTP.
  [[nodiscard]] const TlsContext* tls() const { return tls_.get(); }
  [[nodiscard]] bool has_users() const { return has_users_; }
  // For every response. Null before the first Apply.
  [[nodiscard]] std::shared_ptr<const Headers> headers() const { return headers_; }
  // `authorization` is the value of the header field, if there is one. `client`, `wanted` and
  // `done`: see Authenticator::Check. Each user who has been accepted before has a rate of their
  // own, so that no flood uses it up; all other requests share one.
  void Authenticate(std::optional<std::string_view> authorization, std::string client,
                    std::function<bool()> wanted, std::function<void(AuthOutcome)> done);

 private:
  std::shared_ptr<const TlsContext> tls_;
  std::shared_ptr<const Headers> headers_;
  bool has_users_ = false;
  RateLimiter limiter_{std::chrono::nanoseconds::zero(), 0};
  std::map<std::string, RateLimiter> user_limiters_;  // of every configured user
  Authenticator authenticator_;
};

}  // namespace iperf3_exporter
