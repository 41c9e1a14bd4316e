// One client connection, from accept to close: its requests one after another, its time limits, and
// its orderly end.
//
// A request passes through these phases: its head arrives, its body arrives, a handler works, the
// response is written. The next request is parsed only after the kernel has taken the whole
// response. While a handler works the connection is still read, to notice that the client has gone.
// TCP does not distinguish a client that has closed from one that has only closed its sending half:
// while the handler works, either one ends the connection.
#pragma once

#include <event2/bufferevent.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/deadline.h"
#include "common/deleter.h"
#include "common/unique_fd.h"
#include "supervisor/http/http_response.h"
#include "supervisor/http/http_types.h"
#include "supervisor/http/request_head.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

class TlsContext;

class HttpConnection {
 public:
  // `fd` is a connected stream socket, non-blocking. `tls` null: plain HTTP. When the connection
  // has ended, HttpContext::on_closed is called. Returns null when memory is short.
  [[nodiscard]] static std::unique_ptr<HttpConnection> Create(HttpContext* context, UniqueFd fd,
                                                              std::string peer,
                                                              const TlsContext* tls);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Ends the connection now; destroys this object through HttpContext::on_closed.
  void Close();

  // A complete request has arrived, or was refused, and its response is not completely written.
  [[nodiscard]] bool HasPendingRequest() const;
  // The handler, or the check of the password before it, has not replied yet.
  [[nodiscard]] bool AwaitsReply() const { return phase_ == Phase::kHandling; }
  // When the last response was sent, or when the connection was accepted if there was none.
  [[nodiscard]] TimePoint idle_since() const { return idle_since_; }
  // The last request was authorized.
  [[nodiscard]] bool authorized() const { return authorized_; }
  [[nodiscard]] const std::string& peer() const { return peer_; }

  // Called by HttpExchange.
  void MarkAuthorized() { authorized_ = true; }
  void Respond(const HttpResponse& response, const std::string& path, ResponseOptions options);

 private:
  enum class Phase {
    kHandshake,  // of TLS
    kIdle,       // no byte of the next request
    kHead,       // the head is incomplete; also before the first byte of a connection
    kBody,       // the head is complete, the body is not
    kHandling,   // the handler has the exchange
    kWriting,    // the kernel does not have the whole response yet
    kLingering   // after the last response: the client has to close
  };
  using Bufferevent = std::unique_ptr<bufferevent, Deleter<bufferevent_free>>;

  HttpConnection(HttpContext* context, Bufferevent bev, std::string peer);

  static void OnReadable(bufferevent* bev, void* self) noexcept;
  static void OnWritten(bufferevent* bev, void* self) noexcept;
  static void OnEvent(bufferevent* bev, short what, void* self) noexcept;

  void ReadHead();
  void ReadBody();
  void CloseIfEof();
  void CloseIfTooMuchPipelined();
  void Refuse(const HeadError& error);
  void AfterResponse();
  void OnEof();
  void Linger();
  void DiscardInput();
  void OnTimeout();
  void EndTlsSession();
  [[nodiscard]] std::size_t InputBytes() const;
  [[nodiscard]] std::size_t OutputBytes() const;

  HttpContext* const context_;
  const std::string peer_;
  const Bufferevent bev_;
  Timer timer_;

  Phase phase_;
  RequestHead head_;               // while kBody
  std::size_t scanned_bytes_ = 0;  // of an incomplete head
  bool at_eof_ = false;            // nothing more will arrive
  bool keep_alive_ = false;        // another request may follow the response
  bool authorized_ = false;
  TimePoint idle_since_ = Clock::now();
  HttpExchange* exchange_ = nullptr;  // while kHandling
  std::unique_ptr<ReadWatch> linger_watch_;
  std::size_t discarded_bytes_ = 0;
};

}  // namespace iperf3_exporter
