#include "supervisor/http/refusal.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "supervisor/auth/tls_context.h"
#include "supervisor/http/evhttp_exchange.h"

namespace iperf3_exporter {
namespace {

// What a refused client may still send before the connection is cut.
constexpr std::size_t kMaxDroppedBytes = std::size_t{1} << 20;

}  // namespace

Refusal::Refusal(event_base* base, bufferevent* bev, std::function<void()> over)
    : base_(base), bev_(bev), over_(std::move(over)) {}

void Refusal::Answer(const std::string& answer) {
  evbuffer* input = bufferevent_get_input(bev_);
  evbuffer_add(bufferevent_get_output(bev_), answer.data(), answer.size());
  evbuffer_drain(input, evbuffer_get_length(input));
  bufferevent_setcb(bev_, OnRead, OnWritten, OnEvent, this);
  bufferevent_enable(bev_, EV_READ | EV_WRITE);
}

void Refusal::AfterAlert() {
  const evutil_socket_t fd = bufferevent_getfd(bev_);
  ::shutdown(fd, SHUT_WR);
  socket_watch_.reset(event_new(base_, fd, EV_READ | EV_PERSIST, OnSocket, this));
  if (!socket_watch_ || event_add(socket_watch_.get(), nullptr) != 0) End();
}

void Refusal::OnRead(bufferevent* bev, void* self) noexcept {
  auto* refusal = static_cast<Refusal*>(self);
  evbuffer* input = bufferevent_get_input(bev);
  refusal->dropped_bytes_ += evbuffer_get_length(input);
  evbuffer_drain(input, evbuffer_get_length(input));
  if (refusal->dropped_bytes_ > kMaxDroppedBytes) refusal->End();
}

void Refusal::OnWritten(bufferevent* bev, void*) noexcept {
  if (ssl_st* ssl = bufferevent_openssl_get_ssl(bev)) EndTls(ssl);
  ::shutdown(bufferevent_getfd(bev), SHUT_WR);
}

void Refusal::OnEvent(bufferevent*, short, void* self) noexcept {
  static_cast<Refusal*>(self)->End();
}

void Refusal::OnSocket(evutil_socket_t fd, short, void* self) noexcept {
  auto* refusal = static_cast<Refusal*>(self);
  std::array<char, 4096> dropped;
  const auto got = ::recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) refusal->dropped_bytes_ += static_cast<std::size_t>(got);
  if (got <= 0 || refusal->dropped_bytes_ > kMaxDroppedBytes) refusal->End();
}

std::string BuildFaultAnswer(const HeadFault& fault,
                             const std::vector<std::pair<std::string, std::string>>* headers) {
  std::array<char, 64> date{};
  evutil_date_rfc1123(date.data(), date.size(), nullptr);
  std::string answer = "HTTP/1.1 " + std::to_string(fault.code) + ' ' + ReasonPhrase(fault.code) +
                       "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
                       std::to_string(fault.reason.size() + 1) + "\r\nDate: " + date.data() +
                       "\r\nConnection: close\r\n";
  if (headers != nullptr) {
    for (const auto& [name, value] : *headers) {
      answer.append(name).append(": ").append(value) += "\r\n";
    }
  }
  answer += "\r\n";
  answer += fault.reason;
  return answer + '\n';
}

}  // namespace iperf3_exporter
