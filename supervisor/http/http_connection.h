// One client connection: the gate in front of evhttp, its clock, and what happens around a request.
//
// evhttp reads and writes requests; this class decides what evhttp gets to see and when it ends. No
// byte of a head reaches evhttp before the whole head was found right (request_head.h). While a
// request waits for its answer the connection is still read, so that a client that goes away is
// noticed, but nothing is done with the bytes until the answer is out; a client that sends more
// than HttpLimits::max_header_bytes of them is cut off, because behind bytes that are not read its
// end would be hidden. A deadline of our own runs in every phase but that one, because libevent's
// time-outs start again with each byte.
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/deadline.h"
#include "supervisor/http/http_types.h"
#include "supervisor/http/request_head.h"

struct evbuffer_cb_info;
struct evhttp_connection;
struct evhttp_request;

namespace iperf3_exporter {

class EvhttpExchange;
class Refusal;
struct ServerState;

class HttpConnection {
 public:
  // `bev` has just been given to evhttp, which owns it through `connection`; neither has seen any
  // byte. The object must live until ServerState::on_closed names it.
  HttpConnection(ServerState* state, bufferevent* bev, evhttp_connection* connection);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // From evhttp's request callback: a whole request is there.
  void OnRequest(evhttp_request* request);
  // Answers the request in hand; the connection may be gone afterwards.
  void Send(evhttp_request* request, HttpResponse response, const std::string& method,
            const std::string& path, bool gzip);
  // Ends the connection now; destroys this object.
  void Close();
  // See ServerState::defer.
  void OnDeferred();

  [[nodiscard]] bool HasRequest() const;
  [[nodiscard]] evhttp_connection* key() const { return connection_; }

 private:
  enum class Phase {
    kHead,       // No request, or part of a head (the TLS handshake comes before the first).
    kRewriting,  // The head is right, but evhttp gets another request line.
    kBody,       // evhttp has the head and reads the body.
    kHandling,   // The handler has it.
    kWriting,    // The answer is on its way.
    kDone,       // It is out; the next head is looked at when libevent's callbacks are over.
    kRefused,    // A fault was found and will be answered.
    kLingering   // refusal_ has it.
  };
  struct EventDeleter {
    void operator()(event* e) const { event_free(e); }
  };

  static void OnInput(evbuffer* buffer, const evbuffer_cb_info* info, void* self) noexcept;
  static void OnTimer(evutil_socket_t fd, short what, void* self) noexcept;
  static void OnComplete(evhttp_request* request, void* self) noexcept;
  static void OnClosed(evhttp_connection* connection, void* self) noexcept;
  static void OnHandshake(bufferevent* bev, short what, void* self) noexcept;

  void CloseGate();
  void InspectHead();
  [[nodiscard]] bool TakeTarget(std::string_view head);
  void RewriteRequestLine();
  void GiveToEvhttp();
  [[nodiscard]] bool TooMuchWaitsBehind() const;
  void RefuseHandshake();
  void Refuse(const HeadFault& fault);
  void AnswerFault();
  void WatchForDisconnect();
  void WriteAtOnce();
  void FinishTls();
  void SetDeadline(std::chrono::milliseconds from_now);
  void ClearDeadline() { deadline_ = Deadline::max(); }
  void Expire();

  ServerState* const state_;
  bufferevent* const bev_;
  evhttp_connection* const connection_;
  // evhttp's own callbacks.
  bufferevent_data_cb evhttp_read_ = nullptr;
  bufferevent_data_cb evhttp_write_ = nullptr;
  bufferevent_event_cb evhttp_event_ = nullptr;

  std::unique_ptr<event, EventDeleter> timer_;
  Deadline deadline_ = Deadline::max();
  Deadline timer_at_ = Deadline::max();

  Phase phase_ = Phase::kHead;
  bool head_begun_ = true;  // The first request's time began with the accept.
  HeadScanner scanner_;
  RequestTarget target_;
  std::string rewritten_;           // method and target for evhttp, empty: as they came
  std::size_t replaced_bytes_ = 0;  // what stands in their place
  HeadFault fault_;
  std::unique_ptr<Refusal> refusal_;    // While kLingering.
  EvhttpExchange* exchange_ = nullptr;  // While kHandling.
  std::string peer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace iperf3_exporter
