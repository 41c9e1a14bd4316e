#include "supervisor/http/http_server.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "common/logging.h"
#include "supervisor/http/evhttp_exchange.h"
#include "supervisor/http/http_connection.h"
#include "supervisor/http/server_state.h"
#include "supervisor/listen/listening_socket.h"
#include "supervisor/security/tls_context.h"
#include "supervisor/security/web_security.h"

namespace iperf3_exporter {
namespace {

// While no descriptor is left accept fails at once, for ever: wait for one to be freed.
constexpr timeval kAcceptPause = {0, 100'000};
// evhttp checks these too, after us: a little above our own, so that it is we who answer.
// So much above them the bytes of a connection stay in the kernel, too.
constexpr std::size_t kSlackBytes = 4096;

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

}  // namespace

class HttpServer::Impl {
 public:
  Impl(event_base* base, HttpLimits limits);
  ~Impl();

  Status AddListener(ListeningSocket socket);
  void StopAccepting();
  void OnRequest(std::shared_ptr<EvhttpExchange> exchange);
  void Dispatch(const std::shared_ptr<EvhttpExchange>& exchange);
  void ApplySecurity();
  [[nodiscard]] const HttpRoute* FindRoute(const std::string& path) const;

  static bufferevent* OnAccept(event_base* base, void* self) noexcept;
  static void OnAccepted(evutil_socket_t fd, short what, void* self) noexcept;
  static void OnAcceptError(evconnlistener* listener, void* self) noexcept;
  static void OnAcceptPauseOver(evutil_socket_t fd, short what, void* self) noexcept;
  static void OnDeferred(evutil_socket_t fd, short what, void* self) noexcept;
  static void OnEvhttpRequest(evhttp_request* request, void* self) noexcept;

  ServerState state;
  WebSecurity security;
  std::vector<HttpRoute> routes;
  std::vector<ListeningSocket> sockets;

 private:
  struct Accepted {
    bufferevent* bev;  // a reference of ours
    bool refused;
  };

  [[nodiscard]] bufferevent* NewBufferevent(bool tls);
  void SetAccepting(bool on);
  void Admit(const Accepted& accepted);
  void Forget(HttpConnection* connection);

  // libevent hands its accept errors to the listener's owner, which is evhttp.
  static inline std::unordered_map<const void*, Impl*> by_evhttp_;

  const std::string other_ = "other";
  std::unique_ptr<evhttp, EvhttpDeleter> http_;
  std::vector<evhttp_bound_socket*> bound_;  // owned by http_
  std::vector<Accepted> accepted_;
  std::vector<HttpConnection*> deferred_;
  std::vector<HttpConnection*> deferred_now_;
  std::unique_ptr<event, EventDeleter> accepted_event_;
  std::unique_ptr<event, EventDeleter> accept_pause_;
  std::unique_ptr<event, EventDeleter> deferred_event_;
};

HttpServer::Impl::Impl(event_base* base, HttpLimits limits) : security(base) {
  state.base = base;
  state.limits = limits;
  state.on_request = [this](std::shared_ptr<EvhttpExchange> exchange) {
    OnRequest(std::move(exchange));
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
  accepted_event_.reset(event_new(base, -1, 0, OnAccepted, this));
  accept_pause_.reset(event_new(base, -1, 0, OnAcceptPauseOver, this));
  deferred_event_.reset(event_new(base, -1, 0, OnDeferred, this));
  if (!http_ || !accepted_event_ || !accept_pause_ || !deferred_event_) std::abort();
  by_evhttp_[http_.get()] = this;
  evhttp_set_bevcb(http_.get(), OnAccept, this);
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
  StopAccepting();
  for (const Accepted& accepted : std::exchange(accepted_, {})) Admit(accepted);
  while (!state.connections.empty()) state.connections.begin()->second->Close();
  by_evhttp_.erase(http_.get());
  // evhttp_free must find no connection with a request that a handler still holds.
  http_.reset();
}

const HttpRoute* HttpServer::Impl::FindRoute(const std::string& path) const {
  for (const HttpRoute& route : routes) {
    if (route.path == path) return &route;
  }
  return nullptr;
}

Status HttpServer::Impl::AddListener(ListeningSocket socket) {
  evconnlistener* listener = evconnlistener_new(state.base, nullptr, nullptr, LEV_OPT_CLOSE_ON_EXEC,
                                                /*backlog=*/0, socket.fd());
  if (listener == nullptr) return MakeError("listen on " + socket.Name() + ": libevent refused it");
  evhttp_bound_socket* bound = evhttp_bind_listener(http_.get(), listener);
  if (bound == nullptr) {
    evconnlistener_free(listener);
    return MakeError("listen on " + socket.Name() + ": out of memory");
  }
  evconnlistener_set_error_cb(listener, OnAcceptError);
  bound_.push_back(bound);
  sockets.push_back(std::move(socket));
  return {};
}

void HttpServer::Impl::StopAccepting() {
  for (evhttp_bound_socket* bound : bound_) evhttp_del_accept_socket(http_.get(), bound);
  bound_.clear();
  sockets.clear();
  event_del(accept_pause_.get());
  state.draining = true;
}

void HttpServer::Impl::SetAccepting(bool on) {
  for (evhttp_bound_socket* bound : bound_) {
    evconnlistener* listener = evhttp_bound_socket_get_listener(bound);
    if (on) {
      evconnlistener_enable(listener);
    } else {
      evconnlistener_disable(listener);
    }
  }
}

bufferevent* HttpServer::Impl::NewBufferevent(bool tls) {
  if (!tls) return bufferevent_socket_new(state.base, -1, BEV_OPT_CLOSE_ON_FREE);
  ssl_st* session = security.tls()->NewSession();
  if (session == nullptr) return nullptr;
  bufferevent* bev = bufferevent_openssl_socket_new(
      state.base, -1, session, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
  if (bev != nullptr) bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
  return bev;
}

// evhttp asks for a bufferevent for a connection that it has just accepted; what it does with it is
// over when OnAccepted runs, before any byte is read.
bufferevent* HttpServer::Impl::OnAccept(event_base*, void* self) noexcept {
  auto* impl = static_cast<Impl*>(self);
  const std::size_t held = impl->state.connections.size() + impl->accepted_.size();
  bool refused = held >= impl->state.limits.max_connections;
  if (!refused && impl->security.ReloadIfChanged()) impl->ApplySecurity();
  bufferevent* bev = impl->NewBufferevent(!refused && impl->security.tls() != nullptr);
  if (bev == nullptr) {
    refused = true;
    bev = impl->NewBufferevent(false);
    if (bev == nullptr) return nullptr;
  }
  // Without it a client fills our memory. It must lie above each bound at which a connection ends:
  // at the mark reading stops, and with it the news that the client has gone.
  const HttpLimits& limits = impl->state.limits;
  bufferevent_setwatermark(bev, EV_READ, 0,
                           limits.max_header_bytes + limits.max_body_bytes + kSlackBytes);
  bufferevent_incref(bev);
  impl->accepted_.push_back({bev, refused});
  // One at a time while there is no room: the refused one must go before the next is taken.
  if (refused) impl->SetAccepting(false);
  event_active(impl->accepted_event_.get(), EV_TIMEOUT, 0);
  return bev;
}

void HttpServer::Impl::OnAccepted(evutil_socket_t, short, void* self) noexcept {
  auto* impl = static_cast<Impl*>(self);
  bool any_refused = false;
  for (const Accepted& accepted : std::exchange(impl->accepted_, {})) {
    any_refused = any_refused || accepted.refused;
    impl->Admit(accepted);
  }
  if (any_refused) impl->SetAccepting(true);
}

void HttpServer::Impl::Admit(const Accepted& accepted) {
  bufferevent_data_cb read = nullptr;
  bufferevent_data_cb write = nullptr;
  bufferevent_event_cb on_event = nullptr;
  void* argument = nullptr;
  bufferevent_getcb(accepted.bev, &read, &write, &on_event, &argument);
  if (on_event != nullptr) {  // Otherwise evhttp has given it up already.
    auto* connection = static_cast<evhttp_connection*>(argument);
    if (accepted.refused) {
      state.CountRejection("too many connections", "");
      on_event(accepted.bev, BEV_EVENT_READING | BEV_EVENT_EOF, argument);
    } else {
      state.connections.emplace(connection,
                                std::make_unique<HttpConnection>(&state, accepted.bev, connection));
      state.statistics.connections = state.connections.size();
    }
  }
  bufferevent_decref(accepted.bev);
}

void HttpServer::Impl::OnAcceptError(evconnlistener*, void* http) noexcept {
  const auto found = by_evhttp_.find(http);
  if (found == by_evhttp_.end()) return;
  Impl* impl = found->second;
  impl->state.CountRejection(ErrnoText("accept", errno), "");
  impl->SetAccepting(false);
  evtimer_add(impl->accept_pause_.get(), &kAcceptPause);
}

void HttpServer::Impl::OnAcceptPauseOver(evutil_socket_t, short, void* self) noexcept {
  static_cast<Impl*>(self)->SetAccepting(true);
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

void HttpServer::Impl::ApplySecurity() { state.extra_headers = security.headers(); }

void HttpServer::Impl::OnRequest(std::shared_ptr<EvhttpExchange> exchange) {
  if (security.ReloadIfChangedLately()) ApplySecurity();
  if (!security.TakeToken()) return exchange->Reply(PlainText(429, "Too Many Requests\n"));
  security.Authenticate(exchange, [this](const std::shared_ptr<EvhttpExchange>& authenticated) {
    Dispatch(authenticated);
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
  if (auto loaded = impl_->security.Load(file); !loaded) return loaded;
  impl_->ApplySecurity();
  return {};
}

Status HttpServer::Reload() {
  auto loaded = impl_->security.Reload();
  if (loaded) impl_->ApplySecurity();
  return loaded;
}

Status HttpServer::Listen(const ListenAddress& address) {
  auto socket = ListeningSocket::Open(address);
  if (!socket) return tl::unexpected(socket.error());
  return impl_->AddListener(std::move(*socket));
}

Status HttpServer::AdoptSystemdSockets() {
  auto adopted = ListeningSocket::AdoptFromSystemd();
  if (!adopted) return tl::unexpected(adopted.error());
  for (ListeningSocket& socket : *adopted) {
    if (auto added = impl_->AddListener(std::move(socket)); !added) return added;
  }
  return {};
}

std::vector<std::string> HttpServer::ListeningOn() const {
  std::vector<std::string> names;
  for (const ListeningSocket& socket : impl_->sockets) names.push_back(socket.Name());
  return names;
}

void HttpServer::StopAccepting() { impl_->StopAccepting(); }

std::size_t HttpServer::PendingRequests() const {
  return static_cast<std::size_t>(
      std::count_if(impl_->state.connections.begin(), impl_->state.connections.end(),
                    [](const auto& entry) { return entry.second->HasRequest(); }));
}

const HttpStatistics& HttpServer::statistics() const {
  HttpStatistics& statistics = impl_->state.statistics;
  statistics.last_reload_successful = impl_->security.last_reload_successful();
  statistics.last_reload_success_seconds = impl_->security.last_reload_success_seconds();
  return statistics;
}

Status CheckWebConfig(const std::string& file) { return WebSecurity::Check(file); }

}  // namespace iperf3_exporter
