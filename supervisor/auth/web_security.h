// The web configuration that is in force: TLS for new connections, who may come in, the headers of
// every answer, the rate limit. Watches its files and replaces itself when they change; a bad
// change leaves it as it was. Loop thread only.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>
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

class EvhttpExchange;

class WebSecurity {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Nothing is configured: plain HTTP, everybody may come in.
  explicit WebSecurity(event_base* base);

  // Everything that Load checks, for nothing else.
  [[nodiscard]] static Status Check(const std::string& file);

  // Reads `file` and puts it in force.
  [[nodiscard]] Status Load(const std::string& file);
  // Reads the same file again; logs the outcome, unless ReloadIfChanged has just logged the same.
  // Success when no file is configured.
  [[nodiscard]] Status Reload();
  // Reload, if a file has changed since it was last read, well or badly. True if something new is
  // in force. A few calls of stat(2).
  bool ReloadIfChanged();
  // The same, looking at most once a second.
  bool ReloadIfChangedLately();

  // Null: plain HTTP.
  [[nodiscard]] const TlsContext* tls() const { return tls_.get(); }
  [[nodiscard]] std::shared_ptr<const Headers> headers() const { return headers_; }
  [[nodiscard]] bool TakeToken() { return limiter_.Take(Clock::now()); }
  // Calls `admitted` if the request may come in, now or later; otherwise answers it.
  void Authenticate(const std::shared_ptr<EvhttpExchange>& exchange,
                    std::function<void(const std::shared_ptr<EvhttpExchange>&)> admitted);

  [[nodiscard]] bool last_reload_successful() const { return last_reload_successful_; }
  // Unix time; 0 before the first.
  [[nodiscard]] double last_reload_success_seconds() const { return last_reload_success_seconds_; }

 private:
  // What tells whether a file is another one or has been written to.
  struct FileState {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    timespec changed{};
    bool operator==(const FileState& other) const;
  };

  [[nodiscard]] std::vector<FileState> LookAtFiles() const;
  [[nodiscard]] static double NowSeconds();
  [[nodiscard]] Status ReadAndApply();
  void LogOutcome(const Status& status) const;

  std::string file_;
  std::vector<std::string> watched_;
  std::vector<FileState> seen_;
  Clock::time_point next_look_{};
  // When ReloadIfChanged last logged; zero once Reload has been asked for.
  Clock::time_point change_logged_{};
  bool last_reload_successful_ = true;
  double last_reload_success_seconds_ = NowSeconds();  // without a file: the start

  std::shared_ptr<const TlsContext> tls_;
  std::shared_ptr<const Headers> headers_;
  bool authentication_ = false;
  RateLimiter limiter_{std::chrono::nanoseconds::zero(), 0};
  Authenticator authenticator_;
};

}  // namespace iperf3_exporter
