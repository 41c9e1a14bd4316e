// Controls access to the HTTP server as the web configuration file demands. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/error.h"
#include "common/limited_log.h"
#include "supervisor/auth/web_security.h"
#include "supervisor/config/reloadable_file.h"
#include "supervisor/config/web_config.h"
#include "supervisor/http/http_server.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

class WebAccess {
 public:
  explicit WebAccess(event_base* base);
  WebAccess(const WebAccess&) = delete;
  WebAccess& operator=(const WebAccess&) = delete;

  // Loads --web.config.file and, on success, watches it from now on. Call it before the server
  // listens.
  [[nodiscard]] Status LoadConfig(const std::string& path);
  [[nodiscard]] ReloadableFile& config_file() { return file_; }
  [[nodiscard]] const ReloadableFile& config_file() const { return file_; }
  [[nodiscard]] bool uses_tls() const { return security_.tls() != nullptr; }
  [[nodiscard]] bool has_users() const { return security_.has_users(); }
  // This must outlive the server that uses them.
  [[nodiscard]] HttpHooks Hooks();

 private:
  // An automatic reload must not take protection away: it is refused.
  [[nodiscard]] Status Apply(WebConfig config, ReloadTrigger trigger);
  void CheckFile();
  void Authorize(const std::shared_ptr<HttpExchange>& exchange,
                 const std::function<void()>& admitted);

  WebSecurity security_;
  Protections protections_{};  // of the configuration in use
  LimitedLog warnings_{LogLevel::kWarn, "web configuration is probably a mistake"};
  ReloadableFile file_;
  Timer next_check_;
};

}  // namespace iperf3_exporter
