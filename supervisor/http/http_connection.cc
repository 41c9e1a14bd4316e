#include "supervisor/http/http_connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "supervisor/auth/tls_context.h"
#include "supervisor/http/http_exchange.h"

namespace iperf3_exporter {
namespace {

// How much input is discarded after the last response before the connection is closed anyway.
constexpr std::size_t kMaxDiscardedBytes = std::size_t{1} << 20;

}  // namespace

std::unique_ptr<HttpConnection> HttpConnection::Create(HttpContext* context, UniqueFd fd,
                                                       std::string peer, const TlsContext* tls) {
  Bufferevent bev;
  if (tls == nullptr) {
    bev.reset(bufferevent_socket_new(context->base, fd.get(), BEV_OPT_CLOSE_ON_FREE));
  } else if (ssl_st* session = tls->NewSession()) {
    bev.reset(bufferevent_openssl_socket_new(context->base, fd.get(), session,
                                             BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE));
  }
  if (!bev) return nullptr;
  static_cast<void>(fd.Release());
  return std::unique_ptr<HttpConnection>(
      new HttpConnection(context, std::move(bev), std::move(peer)));
}

HttpConnection::HttpConnection(HttpContext* context, Bufferevent bev, std::string peer)
    : context_(context),
      peer_(std::move(peer)),
      bev_(std::move(bev)),
      timer_(context->base, [this] { OnTimeout(); }),
      phase_(bufferevent_openssl_get_ssl(bev_.get()) != nullptr ? Phase::kHandshake
                                                                : Phase::kHead) {
  const HttpLimits& limits = context_->limits;
  // Bounds the input buffer. Must exceed every limit that closes a connection: libevent stops
  // reading at this mark and would then miss the client's EOF.
  bufferevent_setwatermark(bev_.get(), EV_READ, 0, limits.max_header_bytes + limits.max_body_bytes);
  bufferevent_openssl_set_allow_dirty_shutdown(bev_.get(), 1);  // no effect without TLS
  bufferevent_setcb(bev_.get(), OnReadable, OnWritten, OnEvent, this);
  bufferevent_enable(bev_.get(), EV_READ);
  timer_.Start(limits.request_timeout);
}

HttpConnection::~HttpConnection() = default;

bool HttpConnection::HasPendingRequest() const {
  return phase_ == Phase::kHandling || phase_ == Phase::kWriting;
}

std::size_t HttpConnection::InputBytes() const {
  return evbuffer_get_length(bufferevent_get_input(bev_.get()));
}

std::size_t HttpConnection::OutputBytes() const {
  return evbuffer_get_length(bufferevent_get_output(bev_.get()));
}

void HttpConnection::OnReadable(bufferevent*, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  const Phase phase = connection->phase_;
  if (phase == Phase::kIdle || phase == Phase::kHead) {
    connection->ReadHead();
  } else if (phase == Phase::kBody) {
    connection->ReadBody();
  } else if (phase == Phase::kHandling) {
    connection->CloseIfTooMuchPipelined();
  }
}

void HttpConnection::ReadHead() {
  const HttpLimits& limits = context_->limits;
  evbuffer* input = bufferevent_get_input(bev_.get());
  const std::size_t available = std::min(InputBytes(), limits.max_header_bytes + 1);
  if (available == 0) return CloseIfEof();
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kHead;
    timer_.Start(limits.request_timeout);
  }
  const auto* start = evbuffer_pullup(input, static_cast<ev_ssize_t>(available));
  if (start == nullptr) return Refuse({500, "out of memory"});
  const std::string_view bytes(reinterpret_cast<const char*>(start), available);
  const auto end = FindHeadEnd(bytes, scanned_bytes_);
  if (!end) {
    if (const auto error = CheckIncompleteHead(bytes, scanned_bytes_, limits))
      return Refuse(*error);
    scanned_bytes_ = available;
    return CloseIfEof();
  }
  auto head = ParseRequestHead(bytes.substr(0, *end), limits);
  if (!head) return Refuse(head.error());
  head_ = std::move(*head);
  scanned_bytes_ = 0;
  evbuffer_drain(input, *end);
  phase_ = Phase::kBody;
  ReadBody();
}

void HttpConnection::ReadBody() {
  if (InputBytes() < head_.body_bytes) return CloseIfEof();
  std::string body(head_.body_bytes, '\0');
  bufferevent_read(bev_.get(), body.data(), body.size());
  phase_ = Phase::kHandling;
  authorized_ = false;
  auto exchange =
      std::make_shared<HttpExchange>(this, std::exchange(head_, RequestHead()), std::move(body));
  exchange_ = exchange.get();
  context_->on_request(std::move(exchange));
  if (phase_ != Phase::kHandling) return;
  timer_.Stop();
  if (at_eof_) return Close();
  CloseIfTooMuchPipelined();  // More may have arrived together with the request.
}

void HttpConnection::CloseIfEof() {
  if (at_eof_) Close();
}

void HttpConnection::CloseIfTooMuchPipelined() {
  if (InputBytes() <= context_->limits.max_header_bytes) return;
  context_->CountRejection("too much was sent while a request was pending", peer_);
  Close();
}

void HttpConnection::Refuse(const HeadError& error) {
  if (error.code == 413 || error.code == 414 || error.code == 431) {
    context_->CountRejection(error.reason, peer_);
  }
  Respond({.code = error.code, .body = std::string(error.reason) + '\n'}, /*path=*/"", {});
}

void HttpConnection::Respond(const HttpResponse& response, const std::string& path,
                             ResponseOptions options) {
  exchange_ = nullptr;
  context_->on_response(path, response.code);
  keep_alive_ = options.keep_alive && !context_->draining;
  options.keep_alive = keep_alive_;
  const auto headers = context_->response_headers();
  options.extra_headers = headers.get();
  phase_ = Phase::kWriting;
  WriteResponse(bev_.get(), response, options);
  if (OutputBytes() > 0) {
    timer_.Start(context_->limits.write_timeout);
  } else if (phase_ == Phase::kWriting) {  // Otherwise OnWritten has been called already.
    AfterResponse();
  }
}

void HttpConnection::OnWritten(bufferevent*, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  if (connection->phase_ == Phase::kWriting && connection->OutputBytes() == 0) {
    connection->AfterResponse();
  }
}

// May run inside the handler or WriteResponse: must not destroy the connection.
void HttpConnection::AfterResponse() {
  idle_since_ = Clock::now();
  if (!keep_alive_) return Linger();
  phase_ = Phase::kIdle;
  timer_.Start(context_->limits.idle_timeout);
  // The next request may already be buffered. A deferred callback handles it: libevent runs a
  // bounded number of them per iteration, so that one client's requests do not delay the others.
  if (at_eof_ || InputBytes() > 0) {
    bufferevent_trigger(bev_.get(), EV_READ, BEV_TRIG_DEFER_CALLBACKS);
  }
}

void HttpConnection::OnEvent(bufferevent* bev, short what, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  if ((what & BEV_EVENT_CONNECTED) != 0) {
    connection->phase_ = Phase::kHead;
  } else if ((what & BEV_EVENT_EOF) != 0) {
    connection->OnEof();
  } else if (connection->phase_ == Phase::kHandshake) {
    connection->context_->failed_handshakes.Add(RespondToFailedHandshake(bev),
                                                {{"peer", connection->peer_}});
    connection->Linger();
  } else {
    connection->Close();
  }
}

void HttpConnection::OnEof() {
  at_eof_ = true;
  const bool has_next_request = phase_ == Phase::kIdle && InputBytes() > 0;
  if (!has_next_request && phase_ != Phase::kWriting) return Close();
  // At EOF libevent stops reading and, under TLS, writing too.
  bufferevent_enable(bev_.get(), EV_WRITE);
}

// Closing a socket with unread input resets the connection, and the reset may destroy a response in
// flight. So wait until the client closes, or until linger_timeout.
void HttpConnection::Linger() {
  phase_ = Phase::kLingering;
  timer_.Start(context_->limits.linger_timeout);
  EndTlsSession();
  bufferevent_disable(bev_.get(), EV_READ | EV_WRITE);
  const int fd = bufferevent_getfd(bev_.get());
  ::shutdown(fd, SHUT_WR);
  linger_watch_ = std::make_unique<ReadWatch>(context_->base, fd, [this] { DiscardInput(); });
}

void HttpConnection::DiscardInput() {
  std::array<char, 4096> dropped;
  const auto got = ::recv(bufferevent_getfd(bev_.get()), dropped.data(), dropped.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) discarded_bytes_ += static_cast<std::size_t>(got);
  if (got <= 0 || discarded_bytes_ > kMaxDiscardedBytes) Close();
}

void HttpConnection::OnTimeout() {
  if (phase_ == Phase::kWriting) {
    context_->CountRejection("the response was not read in time", peer_);
  } else if (phase_ != Phase::kIdle && phase_ != Phase::kLingering) {
    context_->CountRejection("the request did not arrive in time", peer_);
  }
  Close();
}

void HttpConnection::EndTlsSession() {
  if (ssl_st* ssl = bufferevent_openssl_get_ssl(bev_.get())) EndTls(ssl);
}

void HttpConnection::Close() {
  EndTlsSession();
  HttpExchange* exchange = std::exchange(exchange_, nullptr);
  context_->on_closed(this);
  if (exchange != nullptr) exchange->OnConnectionClosed();
}

}  // namespace iperf3_exporter
