#include "supervisor/http/http_server.h"

#include <event2/event.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <tuple>
#include <utility>

#include "common/logging.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

constexpr char kOtherPath[] = "other";

void ForwardLibeventLog(int severity, const char* message) {
  if (severity < EVENT_LOG_WARN) return;
  Log(LogLevel::kWarn, "libevent", {{"detail", message}});
}

}  // namespace

HttpServer::HttpServer(event_base* base, HttpLimits limits, HttpHooks hooks)
    : hooks_(std::move(hooks)),
      acceptor_(base,
                {.on_connection =
                     [this](UniqueFd fd, std::string peer) {
                       OnConnection(std::move(fd), std::move(peer));
                     },
                 .on_error =
                     [this](const std::string& reason) { context_.CountRejection(reason, ""); }}) {
  // Writing to a connection that the peer has reset must fail, not terminate the process.
  std::signal(SIGPIPE, SIG_IGN);
  event_set_log_callback(ForwardLibeventLog);
  context_.base = base;
  context_.limits = limits;
  context_.on_request = [this](const std::shared_ptr<HttpExchange>& exchange) {
    hooks_.authorize(exchange, [this, exchange] { Dispatch(exchange); });
  };
  context_.on_response = [this](const std::string& path, int code) {
    const HttpRoute* route = FindRoute(path);
    ++context_.statistics.requests[{route != nullptr ? route->path : kOtherPath, code}];
  };
  context_.response_headers = hooks_.response_headers;
  context_.on_closed = [this](HttpConnection* connection) {
    connections_.erase(connection);
    context_.statistics.connections = connections_.size();
  };
}

HttpServer::~HttpServer() {
  acceptor_.Stop();
  while (!connections_.empty()) connections_.begin()->second->Close();
}

void HttpServer::AddRoute(HttpRoute route) { routes_.push_back(std::move(route)); }

Status HttpServer::Listen(const ListenAddress& address) {
  auto socket = ListeningSocket::Open(address);
  if (!socket) return tl::unexpected(socket.error());
  return acceptor_.Add(std::move(*socket));
}

Status HttpServer::AdoptSystemdSockets() {
  auto adopted = ListeningSocket::AdoptFromSystemd();
  if (!adopted) return tl::unexpected(adopted.error());
  for (ListeningSocket& socket : *adopted) {
    if (auto added = acceptor_.Add(std::move(socket)); !added) return added;
  }
  return {};
}

void HttpServer::OnConnection(UniqueFd fd, std::string peer) {
  if (connections_.size() >= context_.limits.max_connections) {
    // Accept nothing more until the next iteration of the loop: libevent closes the replaced
    // connection's socket only after this callback.
    acceptor_.Pause(std::chrono::milliseconds(0));
    if (!MakeRoom()) return context_.CountRejection("too many connections", peer);
  }
  auto connection = HttpConnection::Create(&context_, std::move(fd), std::move(peer), hooks_.tls());
  if (!connection) return context_.CountRejection("out of memory", "");
  connections_.emplace(connection.get(), std::move(connection));
  context_.statistics.connections = connections_.size();
}

bool HttpServer::MakeRoom() {
  HttpConnection* victim = nullptr;
  const auto rank = [](const HttpConnection& connection) {
    return std::tuple(connection.authorized(), connection.idle_since());
  };
  for (const auto& [connection, owner] : connections_) {
    if (connection->HasPendingRequest()) continue;
    if (victim == nullptr || rank(*connection) < rank(*victim)) victim = connection;
  }
  if (victim == nullptr) return false;
  context_.CountRejection("too many connections", victim->peer());
  victim->Close();
  return true;
}

void HttpServer::StopAccepting() {
  acceptor_.Stop();
  context_.draining = true;
}

std::size_t HttpServer::PendingRequests() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      connections_, [](const auto& entry) { return entry.first->HasPendingRequest(); }));
}

bool HttpServer::AwaitsReply() const {
  return std::ranges::any_of(connections_,
                             [](const auto& entry) { return entry.first->AwaitsReply(); });
}

const HttpRoute* HttpServer::FindRoute(const std::string& path) const {
  const auto found = std::ranges::find(routes_, path, &HttpRoute::path);
  return found == routes_.end() ? nullptr : &*found;
}

void HttpServer::Dispatch(const std::shared_ptr<HttpExchange>& exchange) {
  exchange->MarkAuthorized();
  const HttpRoute* route = FindRoute(exchange->path());
  if (route == nullptr) return exchange->Reply({.code = 404, .body = "404 page not found\n"});
  const auto& methods = route->methods;
  if (std::ranges::find(methods, exchange->method()) == methods.end()) {
    return exchange->Reply(
        {.code = 405, .body = "Method Not Allowed\n", .headers = {{"Allow", Join(methods, ", ")}}});
  }
  route->handler(exchange);
}

}  // namespace iperf3_exporter
