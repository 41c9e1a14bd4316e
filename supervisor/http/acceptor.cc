#include "supervisor/http/acceptor.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/listener.h>

#include <cerrno>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "supervisor/auth/tls_context.h"
#include "supervisor/http/http_connection.h"
#include "supervisor/http/server_state.h"

namespace iperf3_exporter {
namespace {

// While no descriptor is left accept fails at once, for ever: wait for one to be freed.
constexpr timeval kAcceptPause = {0, 100'000};
// libevent hands its accept errors to the listener's owner, which is evhttp.
std::unordered_map<const void*, Acceptor*>& ByEvhttp() {
  static std::unordered_map<const void*, Acceptor*> acceptors;
  return acceptors;
}

}  // namespace

Acceptor::Acceptor(ServerState* state, evhttp* http, std::function<const TlsContext*()> tls)
    : state_(state),
      http_(http),
      tls_(std::move(tls)),
      accepted_event_(event_new(state->base, -1, 0, OnAccepted, this)),
      pause_(event_new(state->base, -1, 0, OnPauseOver, this)) {
  if (!accepted_event_ || !pause_) std::abort();
  ByEvhttp()[http_] = this;
  evhttp_set_bevcb(http_, OnAccept, this);
}

Acceptor::~Acceptor() {
  Stop();
  for (const Accepted& accepted : std::exchange(accepted_, {})) Admit(accepted);
  ByEvhttp().erase(http_);
}

Status Acceptor::Add(ListeningSocket socket) {
  evconnlistener* listener =
      evconnlistener_new(state_->base, nullptr, nullptr, LEV_OPT_CLOSE_ON_EXEC,
                         /*backlog=*/0, socket.fd());
  if (listener == nullptr) return MakeError("listen on " + socket.Name() + ": libevent refused it");
  evhttp_bound_socket* bound = evhttp_bind_listener(http_, listener);
  if (bound == nullptr) {
    evconnlistener_free(listener);
    return MakeError("listen on " + socket.Name() + ": out of memory");
  }
  evconnlistener_set_error_cb(listener, OnAcceptError);
  bound_.push_back(bound);
  sockets_.push_back(std::move(socket));
  return {};
}

void Acceptor::Stop() {
  for (evhttp_bound_socket* bound : bound_) evhttp_del_accept_socket(http_, bound);
  bound_.clear();
  sockets_.clear();
  event_del(pause_.get());
}

std::vector<std::string> Acceptor::ListeningOn() const {
  std::vector<std::string> names;
  for (const ListeningSocket& socket : sockets_) names.push_back(socket.Name());
  return names;
}

void Acceptor::SetAccepting(bool on) {
  for (evhttp_bound_socket* bound : bound_) {
    evconnlistener* listener = evhttp_bound_socket_get_listener(bound);
    if (on) {
      evconnlistener_enable(listener);
    } else {
      evconnlistener_disable(listener);
    }
  }
}

bufferevent* Acceptor::NewBufferevent(const TlsContext* tls) {
  if (tls == nullptr) return bufferevent_socket_new(state_->base, -1, BEV_OPT_CLOSE_ON_FREE);
  ssl_st* session = tls->NewSession();
  if (session == nullptr) return nullptr;
  bufferevent* bev = bufferevent_openssl_socket_new(
      state_->base, -1, session, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
  if (bev != nullptr) bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
  return bev;
}

// evhttp asks for a bufferevent for a connection that it has just accepted; what it does with it is
// over when OnAccepted runs, before any byte is read.
bufferevent* Acceptor::OnAccept(event_base*, void* self) noexcept {
  auto* acceptor = static_cast<Acceptor*>(self);
  const std::size_t held = acceptor->state_->connections.size() + acceptor->accepted_.size();
  bool refused = held >= acceptor->state_->limits.max_connections;
  bufferevent* bev = acceptor->NewBufferevent(refused ? nullptr : acceptor->tls_());
  if (bev == nullptr) {
    refused = true;
    bev = acceptor->NewBufferevent(nullptr);
    if (bev == nullptr) return nullptr;
  }
  // Without it a client fills our memory. It must lie above each bound at which a connection ends:
  // at the mark reading stops, and with it the news that the client has gone.
  const HttpLimits& limits = acceptor->state_->limits;
  bufferevent_setwatermark(bev, EV_READ, 0,
                           limits.max_header_bytes + limits.max_body_bytes + kSlackBytes);
  bufferevent_incref(bev);
  acceptor->accepted_.push_back({bev, refused});
  // One at a time while there is no room: the refused one must go before the next is taken.
  if (refused) acceptor->SetAccepting(false);
  event_active(acceptor->accepted_event_.get(), EV_TIMEOUT, 0);
  return bev;
}

void Acceptor::OnAccepted(evutil_socket_t, short, void* self) noexcept {
  auto* acceptor = static_cast<Acceptor*>(self);
  bool any_refused = false;
  for (const Accepted& accepted : std::exchange(acceptor->accepted_, {})) {
    any_refused = any_refused || accepted.refused;
    acceptor->Admit(accepted);
  }
  if (any_refused) acceptor->SetAccepting(true);
}

void Acceptor::Admit(const Accepted& accepted) {
  bufferevent_data_cb read = nullptr;
  bufferevent_data_cb write = nullptr;
  bufferevent_event_cb on_event = nullptr;
  void* argument = nullptr;
  bufferevent_getcb(accepted.bev, &read, &write, &on_event, &argument);
  if (on_event != nullptr) {  // Otherwise evhttp has given it up already.
    auto* connection = static_cast<evhttp_connection*>(argument);
    if (accepted.refused) {
      state_->CountRejection("too many connections", "");
      on_event(accepted.bev, BEV_EVENT_READING | BEV_EVENT_EOF, argument);
    } else {
      state_->connections.emplace(
          connection, std::make_unique<HttpConnection>(state_, accepted.bev, connection));
      state_->statistics.connections = state_->connections.size();
    }
  }
  bufferevent_decref(accepted.bev);
}

void Acceptor::OnAcceptError(evconnlistener*, void* http) noexcept {
  const auto found = ByEvhttp().find(http);
  if (found == ByEvhttp().end()) return;
  Acceptor* acceptor = found->second;
  acceptor->state_->CountRejection(ErrnoText("accept", errno), "");
  acceptor->SetAccepting(false);
  evtimer_add(acceptor->pause_.get(), &kAcceptPause);
}

void Acceptor::OnPauseOver(evutil_socket_t, short, void* self) noexcept {
  static_cast<Acceptor*>(self)->SetAccepting(true);
}

}  // namespace iperf3_exporter
