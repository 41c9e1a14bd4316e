// Access to the HTTP server by the web configuration file. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/error.h"
#include "supervisor/auth/web_security.h"
#include "supervisor/config/reloadable_file.h"
#include "supervisor/http/http_server.h"

namespace iperf3_exporter {

class WebAccess {
 public:
  explicit WebAccess(event_base* base);
  WebAccess(const WebAccess&) = delete;
  WebAccess& operator=(const WebAccess&) = delete;

  // --web.config.file. Load it before the server listens.
  [[nodiscard]] ReloadableFile& config_file() { return file_; }
  [[nodiscard]] const ReloadableFile& config_file() const { return file_; }
  // This must outlive the server that uses them.
  [[nodiscard]] HttpHooks Hooks();

 private:
  [[nodiscard]] Status Apply(const std::string& path, WatchedFiles& files);
  void Authorize(const std::shared_ptr<HttpExchange>& exchange,
                 const std::function<void()>& admitted);

  WebSecurity security_;
  ReloadableFile file_;
};

}  // namespace iperf3_exporter
