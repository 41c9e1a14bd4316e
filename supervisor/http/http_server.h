// The HTTP server: listening sockets, connections, limits, and the routes of the exporter.
//
// A request reaches a handler only if it is well-formed, within the limits, and allowed by
// HttpHooks::authorize. Nothing blocks except Listen and AdoptSystemdSockets. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"
#include "supervisor/http/http_connection.h"
#include "supervisor/http/http_exchange.h"
#include "supervisor/http/http_types.h"
#include "supervisor/listen/acceptor.h"
#include "supervisor/listen/listen_address.h"

namespace iperf3_exporter {

struct HttpRoute {
  std::string path;
  // A request with any other method is answered with 405. For HEAD the handler is called as for
  // GET; the server omits the body.
  std::vector<std::string> methods = {"GET", "HEAD"};
  std::function<void(const std::shared_ptr<HttpExchange>&)> handler;
};

// Callbacks that depend on the web configuration. All run on the loop thread and must return
// quickly.
struct HttpHooks {
  // The context of the next connection; null for plain HTTP. It is used at once and not kept.
  std::function<const TlsContext*()> tls = [] { return nullptr; };
  // Calls `admitted`, now or later, if the request is allowed; otherwise replies.
  std::function<void(const std::shared_ptr<HttpExchange>& exchange, std::function<void()> admitted)>
      authorize = [](const auto&, const auto& admitted) { admitted(); };
  // Fields to add to every response; may return null.
  std::function<std::shared_ptr<const HttpHeaders>()> response_headers = [] { return nullptr; };
};

class HttpServer {
 public:
  // Ignores SIGPIPE in this process and sends libevent's warnings to the log.
  HttpServer(event_base* base, HttpLimits limits, HttpHooks hooks);
  // Stops listening and closes every connection; OnDisconnect of pending exchanges runs.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void AddRoute(HttpRoute route);

  // Opens a listening socket. A stale unix socket file is replaced only if nobody listens on it.
  [[nodiscard]] Status Listen(const ListenAddress& address);
  // Uses the sockets of LISTEN_FDS (sd_listen_fds(3)); an error when there is none.
  [[nodiscard]] Status AdoptSystemdSockets();
  // Such as "127.0.0.1:9579", with the real port in place of 0.
  [[nodiscard]] std::vector<std::string> ListeningOn() const { return acceptor_.ListeningOn(); }

  // Closes the listening sockets. Open connections stay: pending requests are answered, and an idle
  // connection can send one more request, such as /ready. After its next response each is closed.
  void StopAccepting();
  // Requests whose response is not completely written.
  [[nodiscard]] std::size_t PendingRequests() const;
  // Whether a handler, or the check of a password, has not replied yet.
  [[nodiscard]] bool AwaitsReply() const;

  [[nodiscard]] const HttpStatistics& statistics() const { return context_.statistics; }

 private:
  void OnConnection(UniqueFd fd, std::string peer);
  // Closes the idle connection that matters least: unauthorized before authorized, then the one
  // that has been idle longest. Returns false if all have a pending request.
  [[nodiscard]] bool MakeRoom();
  void Dispatch(const std::shared_ptr<HttpExchange>& exchange);
  [[nodiscard]] const HttpRoute* FindRoute(const std::string& path) const;

  const HttpHooks hooks_;
  std::vector<HttpRoute> routes_;
  HttpContext context_;
  std::unordered_map<HttpConnection*, std::unique_ptr<HttpConnection>> connections_;
  Acceptor acceptor_;
};

}  // namespace iperf3_exporter
