// New connections: the listeners, how many are let in, and with TLS or without.
//
// evhttp accepts; this class gives it the bufferevent and takes the connection over before any byte
// is read. Loop thread only.
#pragma once

#include <event2/event.h>
#include <event2/util.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/error.h"
#include "supervisor/listen/listening_socket.h"

struct bufferevent;
struct evconnlistener;
struct evhttp;
struct evhttp_bound_socket;
struct event_base;

namespace iperf3_exporter {

class TlsContext;
struct ServerState;

class Acceptor {
 public:
  // `http` is the server's; its bevcb is set here. `tls` gives what the next connection speaks,
  // null for plain HTTP; it may read the configuration anew. All must outlive this.
  Acceptor(ServerState* state, evhttp* http, std::function<const TlsContext*()> tls);
  // Stops, and admits what has been accepted, so that its end is the connections' end.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  [[nodiscard]] Status Add(ListeningSocket socket);
  // Closes the listeners; connections stay.
  void Stop();
  [[nodiscard]] std::vector<std::string> ListeningOn() const;

 private:
  struct Accepted {
    bufferevent* bev;  // a reference of ours
    bool refused;
  };
  struct EventDeleter {
    void operator()(event* e) const { event_free(e); }
  };

  static bufferevent* OnAccept(event_base* base, void* self) noexcept;
  static void OnAccepted(evutil_socket_t fd, short what, void* self) noexcept;
  static void OnAcceptError(evconnlistener* listener, void* http) noexcept;
  static void OnPauseOver(evutil_socket_t fd, short what, void* self) noexcept;

  [[nodiscard]] bufferevent* NewBufferevent(const TlsContext* tls);
  void SetAccepting(bool on);
  void Admit(const Accepted& accepted);

  ServerState* const state_;
  evhttp* const http_;
  const std::function<const TlsContext*()> tls_;
  std::vector<ListeningSocket> sockets_;
  std::vector<evhttp_bound_socket*> bound_;  // owned by http_
  std::vector<Accepted> accepted_;
  std::unique_ptr<event, EventDeleter> accepted_event_;
  std::unique_ptr<event, EventDeleter> pause_;
};

}  // namespace iperf3_exporter
