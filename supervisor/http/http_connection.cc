#include "supervisor/http/http_connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>

#include <algorithm>
#include <utility>

#include "supervisor/auth/tls_context.h"
#include "supervisor/http/evhttp_exchange.h"
#include "supervisor/http/http_answer.h"
#include "supervisor/http/refusal.h"
#include "supervisor/http/server_state.h"
#include "supervisor/listen/listening_socket.h"

namespace iperf3_exporter {
namespace {

// In place of a method that evhttp has no name for: one that it has a name for and no route takes,
// so that both get the same answer.
constexpr std::string_view kMethodOfNoRoute = "PATCH";

timeval ToTimeval(std::chrono::nanoseconds duration) {
  const auto micros = std::chrono::ceil<std::chrono::microseconds>(duration).count();
  return {static_cast<time_t>(micros / 1'000'000), static_cast<suseconds_t>(micros % 1'000'000)};
}

const char* MethodName(evhttp_cmd_type type) {
  switch (type) {
    case EVHTTP_REQ_GET:
      return "GET";
    case EVHTTP_REQ_HEAD:
      return "HEAD";
    case EVHTTP_REQ_POST:
      return "POST";
    case EVHTTP_REQ_PUT:
      return "PUT";
    case EVHTTP_REQ_DELETE:
      return "DELETE";
    case EVHTTP_REQ_OPTIONS:
      return "OPTIONS";
    case EVHTTP_REQ_TRACE:
      return "TRACE";
    case EVHTTP_REQ_PATCH:
      return "PATCH";
    default:
      return "";
  }
}

}  // namespace

HttpConnection::HttpConnection(ServerState* state, bufferevent* bev, evhttp_connection* connection)
    : state_(state), bev_(bev), connection_(connection) {
  void* argument = nullptr;
  bufferevent_getcb(bev_, &evhttp_read_, &evhttp_write_, &evhttp_event_, &argument);
  CloseGate();
  if (bufferevent_openssl_get_ssl(bev_) != nullptr) {
    bufferevent_setcb(bev_, nullptr, nullptr, OnHandshake, this);
  }
  evbuffer_add_cb(bufferevent_get_input(bev_), OnInput, this);
  evhttp_connection_set_closecb(connection_, OnClosed, this);
  if (const sockaddr* peer = evhttp_connection_get_addr(connection_)) {
    const auto length = peer->sa_family == AF_INET6 ? sizeof(sockaddr_storage) : sizeof(sockaddr);
    peer_ = peer->sa_family == AF_UNIX ? "unix"
                                       : SocketAddressText(peer, static_cast<socklen_t>(length));
  }
  timer_.reset(evtimer_new(state_->base, OnTimer, this));
  SetDeadline(state_->limits.request_timeout);
}

HttpConnection::~HttpConnection() { *alive_ = false; }

// evhttp reads nothing until it is given its read callback back.
void HttpConnection::CloseGate() {
  bufferevent_setcb(bev_, nullptr, evhttp_write_, evhttp_event_, connection_);
}

bool HttpConnection::HasRequest() const {
  return phase_ == Phase::kRewriting || phase_ == Phase::kBody || phase_ == Phase::kHandling ||
         phase_ == Phase::kWriting;
}

void HttpConnection::SetDeadline(std::chrono::milliseconds from_now) {
  deadline_ = Clock::now() + from_now;
  if (deadline_ >= timer_at_) return;  // It will look again when it fires.
  timer_at_ = deadline_;
  const timeval wait = ToTimeval(from_now);
  evtimer_add(timer_.get(), &wait);
}

void HttpConnection::OnTimer(evutil_socket_t, short, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  connection->timer_at_ = Deadline::max();
  if (connection->deadline_ == Deadline::max()) return;
  const auto left = TimeLeft(connection->deadline_);
  if (left == std::chrono::nanoseconds::zero()) return connection->Expire();
  connection->SetDeadline(std::chrono::ceil<std::chrono::milliseconds>(left));
}

void HttpConnection::Expire() {
  const bool idle = phase_ == Phase::kHead && !head_begun_;
  if (!idle && phase_ != Phase::kLingering) {
    state_->CountRejection(phase_ == Phase::kWriting ? "the answer was not taken in time"
                                                     : "the request did not come in time",
                           peer_);
  }
  Close();
}

void HttpConnection::Close() {
  CloseGate();
  // As if the peer had hung up: evhttp then frees what it has of this connection.
  evhttp_event_(bev_, BEV_EVENT_READING | BEV_EVENT_EOF, connection_);
}

void HttpConnection::OnClosed(evhttp_connection*, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  evbuffer_remove_cb(bufferevent_get_input(connection->bev_), OnInput, connection);
  connection->FinishTls();
  EvhttpExchange* exchange = std::exchange(connection->exchange_, nullptr);
  connection->state_->on_closed(connection);
  if (exchange != nullptr) exchange->OnConnectionLost();
}

void HttpConnection::FinishTls() {
  if (ssl_st* ssl = bufferevent_openssl_get_ssl(bev_)) EndTls(ssl);
}

void HttpConnection::OnInput(evbuffer*, const evbuffer_cb_info* info, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  if (info->n_added == 0) return;
  if (connection->phase_ == Phase::kHead) connection->InspectHead();
  // Not here, inside the buffer that they change or free.
  if (connection->phase_ == Phase::kRewriting || connection->TooMuchWaitsBehind()) {
    connection->state_->defer(connection);
  }
}

bool HttpConnection::TooMuchWaitsBehind() const {
  return phase_ == Phase::kHandling &&
         evbuffer_get_length(bufferevent_get_input(bev_)) > state_->limits.max_header_bytes;
}

void HttpConnection::OnHandshake(bufferevent* bev, short what, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  connection->CloseGate();
  if ((what & BEV_EVENT_ERROR) != 0) return connection->RefuseHandshake();
  connection->evhttp_event_(bev, what, connection->connection_);
}

void HttpConnection::RefuseHandshake() {
  phase_ = Phase::kLingering;
  SetDeadline(kLingerTime);
  state_->handshakes.Add(AnswerFailedHandshake(bev_), peer_);
  refusal_ = std::make_unique<Refusal>(state_->base, bev_, [this] { Close(); });
  refusal_->AfterAlert();
}

void HttpConnection::InspectHead() {
  evbuffer* input = bufferevent_get_input(bev_);
  const HeadLimits limits{state_->limits.max_header_bytes, state_->limits.max_header_fields,
                          state_->limits.max_body_bytes};
  const std::size_t wanted = std::min(evbuffer_get_length(input), limits.max_bytes + 1);
  if (wanted == 0) return;
  if (!head_begun_) {
    head_begun_ = true;
    SetDeadline(state_->limits.request_timeout);
  }
  const unsigned char* start = evbuffer_pullup(input, static_cast<ev_ssize_t>(wanted));
  if (start == nullptr) return Refuse({500, "out of memory"});
  const std::string_view bytes(reinterpret_cast<const char*>(start), wanted);
  const auto length = scanner_.Scan(bytes);
  const auto fault =
      length ? CheckHead(bytes.substr(0, *length), limits) : scanner_.EarlyFault(bytes, limits);
  if (fault) return Refuse(*fault);
  if (!length) return;
  if (!TakeTarget(bytes)) return Refuse({400, "malformed request target"});
  if (rewritten_.empty()) {
    GiveToEvhttp();
  } else {
    phase_ = Phase::kRewriting;
  }
}

// Reads the target of a head that is right, and sees to it that evhttp has nothing to dislike.
bool HttpConnection::TakeTarget(std::string_view head) {
  const auto line = SplitRequestLine(head.substr(0, head.find('\r')));
  auto target = line ? ParseTarget(line->target) : std::nullopt;
  if (!target) return false;
  target_ = std::move(*target);
  rewritten_.clear();
  const bool known = IsKnownMethod(line->method);
  if (known && IsPlainPath(line->target)) return true;
  rewritten_ = std::string(known ? line->method : kMethodOfNoRoute) + " /";
  replaced_bytes_ = line->method.size() + 1 + line->target.size();
  return true;
}

void HttpConnection::RewriteRequestLine() {
  phase_ = Phase::kBody;  // first: what changes the input calls OnInput
  evbuffer* input = bufferevent_get_input(bev_);
  evbuffer_drain(input, replaced_bytes_);
  evbuffer_prepend(input, rewritten_.data(), rewritten_.size());
  GiveToEvhttp();
}

void HttpConnection::GiveToEvhttp() {
  phase_ = Phase::kBody;
  bufferevent_setcb(bev_, evhttp_read_, evhttp_write_, evhttp_event_, connection_);
}

void HttpConnection::Refuse(const HeadFault& fault) {
  phase_ = Phase::kRefused;
  fault_ = fault;
  // Not here: this may run inside the buffer that AnswerFault empties.
  state_->defer(this);
}

void HttpConnection::OnRequest(evhttp_request* request) {
  phase_ = Phase::kHandling;
  ClearDeadline();
  std::string method = MethodName(evhttp_request_get_command(request));
  const auto exchange = std::make_shared<EvhttpExchange>(
      this, request, std::move(method), std::exchange(target_, RequestTarget{}), peer_);
  exchange_ = exchange.get();
  const std::shared_ptr<bool> alive = alive_;
  state_->on_request(exchange);
  if (*alive && phase_ == Phase::kHandling && exchange_ == exchange.get()) WatchForDisconnect();
}

void HttpConnection::WatchForDisconnect() {
  // With a read callback the first pipelined byte would make evhttp end the process.
  CloseGate();
  bufferevent_enable(bev_, EV_READ);
  // They may have come together with the request.
  if (TooMuchWaitsBehind()) state_->defer(this);
}

void HttpConnection::Send(evhttp_request* request, HttpResponse response, const std::string& method,
                          const std::string& path, bool gzip) {
  exchange_ = nullptr;
  phase_ = Phase::kWriting;
  ++state_->statistics.requests[{state_->label_of(path), response.code}];
  const int code = response.code;
  PutAnswer(request, std::move(response),
            {.head = method == "HEAD",
             .gzip = gzip,
             .close = state_->draining,
             .extra_headers = state_->extra_headers.get()});
  evhttp_request_set_on_complete_cb(request, OnComplete, this);
  SetDeadline(state_->limits.write_timeout);
  const std::shared_ptr<bool> alive = alive_;
  evhttp_send_reply(request, code, ReasonPhrase(code), nullptr);
  if (!*alive || phase_ != Phase::kWriting) return;
  // A client that has closed its half of the connection still gets the whole answer.
  bufferevent_disable(bev_, EV_READ);
  WriteAtOnce();
}

// Without another round of the loop. What the socket does not take, and an error of it, is left to
// libevent, which asks it next whether it can be written.
void HttpConnection::WriteAtOnce() {
  if (bufferevent_openssl_get_ssl(bev_) != nullptr) return;
  evbuffer* output = bufferevent_get_output(bev_);
  // A bufferevent keeps others from taking from its output.
  evbuffer_unfreeze(output, 1);
  evbuffer_write(output, bufferevent_getfd(bev_));
  evbuffer_freeze(output, 1);
}

void HttpConnection::OnComplete(evhttp_request*, void* self) noexcept {
  auto* connection = static_cast<HttpConnection*>(self);
  connection->phase_ = Phase::kDone;
  connection->state_->defer(connection);
}

void HttpConnection::OnDeferred() {
  if (phase_ == Phase::kRefused) return AnswerFault();
  if (phase_ == Phase::kRewriting) {
    RewriteRequestLine();
    return evhttp_read_(bev_, connection_);
  }
  if (TooMuchWaitsBehind()) {
    state_->CountRejection("too much was sent behind a request in hand", peer_);
    return Close();
  }
  if (phase_ != Phase::kDone) return;
  // evhttp has set its own read callback again; the gate comes first.
  CloseGate();
  phase_ = Phase::kHead;
  head_begun_ = false;
  scanner_.Reset();
  SetDeadline(state_->limits.idle_timeout);
  // If these bytes hold a whole head, evhttp's own deferred callback reads it next.
  InspectHead();
  if (phase_ == Phase::kRewriting) RewriteRequestLine();
}

void HttpConnection::AnswerFault() {
  phase_ = Phase::kLingering;
  SetDeadline(kLingerTime);
  if (fault_.code == 413 || fault_.code == 414 || fault_.code == 431) {
    state_->CountRejection(fault_.reason, peer_);
  }
  ++state_->statistics.requests[{state_->label_of(""), fault_.code}];
  refusal_ = std::make_unique<Refusal>(state_->base, bev_, [this] { Close(); });
  refusal_->Answer(BuildFaultAnswer(fault_, state_->extra_headers.get()));
}

}  // namespace iperf3_exporter
