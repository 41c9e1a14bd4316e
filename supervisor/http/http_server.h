// The front door: listeners, TLS, who may come in, and what a bad client can do.
//
// Every request reaches a handler only after it was found well formed, within the limits, allowed
// by the rate limit and authenticated. Nothing here blocks, except Listen, AdoptSystemdSockets and
// the reading of the web configuration file. Loop thread only; TaskPool threads run bcrypt.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/error.h"
#include "supervisor/http/http_exchange.h"
#include "supervisor/http/http_types.h"
#include "supervisor/listen/listen_address.h"

struct event_base;

namespace iperf3_exporter {

struct HttpRoute {
  std::string path;
  // HEAD comes with GET: the handler is called for it too and the answer goes out without its body.
  // Any other method is answered with 405.
  std::vector<std::string> methods = {"GET"};
  std::function<void(std::shared_ptr<HttpExchange>)> handler;
  // If set, HEAD is answered with this and the handler is not called: for a GET that does work. The
  // answer is marked as one of unknown length.
  std::function<HttpResponse(const HttpExchange&)> head_answer;
};

class HttpServer {
 public:
  // Ignores SIGPIPE in this process and sends libevent's warnings to the log.
  HttpServer(event_base* base, HttpLimits limits);
  // Stops listening; pending exchanges are dropped: their OnDisconnect runs, their connections
  // close.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void AddRoute(HttpRoute route);

  // Reads and checks --web.config.file and puts it in force; to be called before Listen. The file
  // and those it names are watched from then on. The error says file, line and reason.
  [[nodiscard]] Status LoadWebConfig(const std::string& file);
  // Reads the file again (SIGHUP, POST /-/reload); on failure the old configuration stays in force.
  // Success when there is no file. Logs and counts in statistics().
  [[nodiscard]] Status Reload();

  // Opens a listening socket. A stale unix socket file is replaced only if nobody listens on it.
  [[nodiscard]] Status Listen(const ListenAddress& address);
  // Takes the sockets of LISTEN_FDS (sd_listen_fds(3)); an error when there is none.
  [[nodiscard]] Status AdoptSystemdSockets();
  // "127.0.0.1:9579" and so on, the real port in place of 0.
  [[nodiscard]] std::vector<std::string> ListeningOn() const;

  // Closes the listening sockets. Connections stay, so that requests in hand are answered and a
  // kept one can still ask /ready; each answer from now on is followed by a close.
  void StopAccepting();
  // Requests whose answer is not yet completely written.
  [[nodiscard]] std::size_t PendingRequests() const;

  [[nodiscard]] const HttpStatistics& statistics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace iperf3_exporter
