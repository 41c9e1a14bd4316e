#include "supervisor/http/http_server.h"

namespace iperf3_exporter {

class HttpServer::Impl {
 public:
  HttpStatistics statistics;
};

HttpServer::HttpServer(event_base*, HttpLimits) : impl_(std::make_unique<Impl>()) {}
HttpServer::~HttpServer() = default;
void HttpServer::AddRoute(HttpRoute) {}
Status HttpServer::LoadWebConfig(const std::string&) { return {}; }
Status HttpServer::Reload() { return {}; }
Status HttpServer::Listen(const ListenAddress&) { return {}; }
Status HttpServer::AdoptSystemdSockets() { return {}; }
std::vector<std::string> HttpServer::ListeningOn() const { return {}; }
void HttpServer::StopAccepting() {}
std::size_t HttpServer::PendingRequests() const { return 0; }
const HttpStatistics& HttpServer::statistics() const { return impl_->statistics; }
Status CheckWebConfig(const std::string&) { return {}; }

}  // namespace iperf3_exporter
