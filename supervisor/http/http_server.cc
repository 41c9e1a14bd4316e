#include "supervisor/http/http_server.h"

#include <event2/event.h>
#include <event2/http.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "common/logging.h"
#include "supervisor/auth/web_security.h"
#include "supervisor/config/reloadable_file.h"
#include "supervisor/http/acceptor.h"
#include "supervisor/http/evhttp_exchange.h"
#include "supervisor/http/http_connection.h"
#include "supervisor/http/server_state.h"
#include "supervisor/listen/listening_socket.h"

namespace iperf3_exporter {
namespace {

struct EventDeleter {
  void operator()(event* e) const { event_free(e); }
};
struct EvhttpDeleter {
  void operator()(evhttp* e) const { evhttp_free(e); }
};

void ForwardLibeventLog(int severity, const char* message) {
  if (severity < EVENT_LOG_WARN) return;
  Log(LogLevel::kWarn, "libevent", {{"text", message}});
}

std::string AllowedMethods(const HttpRoute& route) {
  std::string allow;
  for (const std::string& method : route.methods) {
    if (!allow.empty()) allow += ", ";
    allow += method;
    if (method == "GET") allow += ", HEAD";
  }
  return allow;
}

bool Allows(const HttpRoute& route, const std::string& method) {
  const std::string& wanted = method == "HEAD" ? "GET" : method;
  return std::find(route.methods.begin(), route.methods.end(), wanted) != route.methods.end();
}

HttpResponse PlainText(int code, const char* text) {
  HttpResponse response;
  response.code = code;
  response.body = text;
  return response;
}

HttpResponse Unauthorized() {
  HttpResponse response = PlainText(401, "Unauthorized\n");
  response.headers.emplace_back("WWW-Authenticate", "Basic");
  return response;
}

HttpResponse TooManyChecks() {
  HttpResponse response = PlainText(429, "too many passwords wait to be checked\n");
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(event_base* base, HttpLimits limits);
  ~Impl();

  void StopAccepting();
  void OnRequest(const std::shared_ptr<EvhttpExchange>& exchange);
  void Dispatch(const std::shared_ptr<EvhttpExchange>& exchange);
  [[nodiscard]] Status ApplyWebConfig(const std::string& path, WatchedFiles& files);
  [[nodiscard]] const HttpRoute* FindRoute(const std::string& path) const;

  static void OnDeferred(evutil_socket_t fd, short what, void* self) noexcept;
  static void OnEvhttpRequest(evhttp_request* request, void* self) noexcept;

  ServerState state;
  WebSecurity security;
  ReloadableFile web_config;
  std::vector<HttpRoute> routes;
  std::unique_ptr<Acceptor> acceptor;

 private:
  [[nodiscard]] const TlsContext* NextTls();
  void Forget(HttpConnection* connection);

  const std::string other_ = "other";
  std::unique_ptr<evhttp, EvhttpDeleter> http_;
  std::vector<HttpConnection*> deferred_;
  std::vector<HttpConnection*> deferred_now_;
  std::unique_ptr<event, EventDeleter> deferred_event_;
};

HttpServer::Impl::Impl(event_base* base, HttpLimits limits)
    : security(base), web_config("web configuration", [this](const auto& path, auto& files) {
        return ApplyWebConfig(path, files);
      }) {
  state.base = base;
  state.limits = limits;
  state.on_request = [this](const std::shared_ptr<EvhttpExchange>& exchange) {
    OnRequest(exchange);
  };
  state.label_of = [this](const std::string& path) -> const std::string& {
    const HttpRoute* route = FindRoute(path);
    return route != nullptr ? route->path : other_;
  };
  state.defer = [this](HttpConnection* connection) {
    deferred_.push_back(connection);
    event_active(deferred_event_.get(), EV_TIMEOUT, 0);
  };
  state.on_closed = [this](HttpConnection* connection) { Forget(connection); };

  http_.reset(evhttp_new(base));
  deferred_event_.reset(event_new(base, -1, 0, OnDeferred, this));
  if (!http_ || !deferred_event_) std::abort();
  acceptor = std::make_unique<Acceptor>(&state, http_.get(), [this] { return NextTls(); });
  evhttp_set_gencb(http_.get(), OnEvhttpRequest, this);
  // All that evhttp knows: the answer to a wrong one is ours.
  evhttp_set_allowed_methods(http_.get(), 0xffff);
  evhttp_set_default_content_type(http_.get(), nullptr);
  evhttp_set_max_headers_size(http_.get(),
                              static_cast<ev_ssize_t>(limits.max_header_bytes + kSlackBytes));
  evhttp_set_max_body_size(http_.get(),
                           static_cast<ev_ssize_t>(limits.max_body_bytes + kSlackBytes));
}

HttpServer::Impl::~Impl() {
  acceptor.reset();
  while (!state.connections.empty()) state.connections.begin()->second->Close();
  // evhttp_free must find no connection with a request that a handler still holds.
  http_.reset();
}

const HttpRoute* HttpServer::Impl::FindRoute(const std::string& path) const {
  for (const HttpRoute& route : routes) {
    if (route.path == path) return &route;
  }
  return nullptr;
}

void HttpServer::Impl::StopAccepting() {
  acceptor->Stop();
  state.draining = true;
}

// A new connection is what a change of the configuration takes effect for.
const TlsContext* HttpServer::Impl::NextTls() {
  web_config.ReloadIfChanged();
  return security.tls();
}

void HttpServer::Impl::OnDeferred(evutil_socket_t, short, void* self) noexcept {
  auto* impl = static_cast<Impl*>(self);
  // What is deferred from here on waits for the next round.
  impl->deferred_now_.swap(impl->deferred_);
  while (!impl->deferred_now_.empty()) {
    HttpConnection* connection = impl->deferred_now_.back();
    impl->deferred_now_.pop_back();
    connection->OnDeferred();
  }
}

void HttpServer::Impl::Forget(HttpConnection* connection) {
  std::erase(deferred_, connection);
  std::erase(deferred_now_, connection);
  state.connections.erase(connection->key());
  state.statistics.connections = state.connections.size();
}

void HttpServer::Impl::OnEvhttpRequest(evhttp_request* request, void* self) noexcept {
  auto* impl = static_cast<Impl*>(self);
  const auto found = impl->state.connections.find(evhttp_request_get_connection(request));
  if (found != impl->state.connections.end()) return found->second->OnRequest(request);
  // Only if there was no memory for a bufferevent of ours: then nothing has been checked.
  evhttp_send_error(request, HTTP_SERVUNAVAIL, nullptr);
}

Status HttpServer::Impl::ApplyWebConfig(const std::string& path, WatchedFiles& files) {
  auto config = iperf3_exporter::LoadWebConfig(path, files);
  if (!config) return tl::unexpected(config.error());
  if (Status applied = security.Apply(std::move(*config)); !applied) return applied;
  state.extra_headers = security.headers();
  return {};
}

void HttpServer::Impl::OnRequest(const std::shared_ptr<EvhttpExchange>& exchange) {
  web_config.ReloadIfChangedLately();
  if (!security.TakeToken()) return exchange->Reply(PlainText(429, "Too Many Requests\n"));
  security.Authenticate(
      exchange->Header("Authorization"), [exchange] { return exchange->IsPending(); },
      [this, exchange](AuthOutcome outcome) {
        if (outcome == AuthOutcome::kAccepted) return Dispatch(exchange);
        exchange->Reply(outcome == AuthOutcome::kBusy ? TooManyChecks() : Unauthorized());
      });
}

void HttpServer::Impl::Dispatch(const std::shared_ptr<EvhttpExchange>& exchange) {
  const HttpRoute* route = FindRoute(exchange->path());
  if (route == nullptr) return exchange->Reply(PlainText(404, "404 page not found\n"));
  if (!Allows(*route, exchange->method())) {
    HttpResponse response = PlainText(405, "Method Not Allowed\n");
    response.headers.emplace_back("Allow", AllowedMethods(*route));
    return exchange->Reply(std::move(response));
  }
  if (exchange->method() == "HEAD" && route->head_answer) {
    HttpResponse response = route->head_answer(*exchange);
    response.length_known = false;
    return exchange->Reply(std::move(response));
  }
  route->handler(exchange);
}

HttpServer::HttpServer(event_base* base, HttpLimits limits) {
  // A write to a connection that the peer has reset must be an error, not the end.
  std::signal(SIGPIPE, SIG_IGN);
  event_set_log_callback(ForwardLibeventLog);
  impl_ = std::make_unique<Impl>(base, limits);
}

HttpServer::~HttpServer() = default;

void HttpServer::AddRoute(HttpRoute route) { impl_->routes.push_back(std::move(route)); }

Status HttpServer::LoadWebConfig(const std::string& file) {
  return impl_->web_config.LoadFirst(file);
}

Status HttpServer::Reload() { return impl_->web_config.Reload(); }

Status HttpServer::Listen(const ListenAddress& address) {
  auto socket = ListeningSocket::Open(address);
  if (!socket) return tl::unexpected(socket.error());
  return impl_->acceptor->Add(std::move(*socket));
}

Status HttpServer::AdoptSystemdSockets() {
  auto adopted = ListeningSocket::AdoptFromSystemd();
  if (!adopted) return tl::unexpected(adopted.error());
  for (ListeningSocket& socket : *adopted) {
    if (auto added = impl_->acceptor->Add(std::move(socket)); !added) return added;
  }
  return {};
}

std::vector<std::string> HttpServer::ListeningOn() const { return impl_->acceptor->ListeningOn(); }

void HttpServer::StopAccepting() { impl_->StopAccepting(); }

std::size_t HttpServer::PendingRequests() const {
  return static_cast<std::size_t>(
      std::count_if(impl_->state.connections.begin(), impl_->state.connections.end(),
                    [](const auto& entry) { return entry.second->HasRequest(); }));
}

const HttpStatistics& HttpServer::statistics() const {
  HttpStatistics& statistics = impl_->state.statistics;
  statistics.last_reload_successful = impl_->web_config.last_reload_successful();
  statistics.last_reload_success_seconds = impl_->web_config.last_reload_success_seconds();
  return statistics;
}

}  // namespace iperf3_exporter
