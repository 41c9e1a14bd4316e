// The end of a connection whose client is refused: the answer, and then time to read it. What the
// client still sends is read and dropped meanwhile, because closing a socket on bytes that were not
// read resets it, and a reset eats the answer.
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/http/request_head.h"

namespace iperf3_exporter {

// How long the client may take; the caller's clock keeps to it.
inline constexpr std::chrono::milliseconds kLingerTime = std::chrono::seconds(2);

class Refusal {
 public:
  // `over` is called once: the client has closed, or sends without end. It may destroy this. Both
  // must be valid until then.
  Refusal(event_base* base, bufferevent* bev, std::function<void()> over);
  Refusal(const Refusal&) = delete;
  Refusal& operator=(const Refusal&) = delete;

  // Drops what has been read, sends `answer` and no byte after it. Takes the bufferevent's
  // callbacks. Not from inside a callback of its buffers.
  void Answer(const std::string& answer);

  // After a TLS handshake that failed: OpenSSL has sent its alert.
  void AfterAlert();

 private:
  struct EventDeleter {
    void operator()(event* e) const { event_free(e); }
  };

  void End() { std::exchange(over_, nullptr)(); }

  static void OnRead(bufferevent* bev, void* self) noexcept;
  static void OnWritten(bufferevent* bev, void* self) noexcept;
  static void OnEvent(bufferevent* bev, short what, void* self) noexcept;
  static void OnSocket(evutil_socket_t fd, short what, void* self) noexcept;

  event_base* const base_;
  bufferevent* const bev_;
  std::function<void()> over_;
  std::unique_ptr<event, EventDeleter> socket_watch_;
  std::size_t dropped_bytes_ = 0;
};

// The whole answer to a head with that fault, `headers` (may be null) added; the connection ends
// behind it.
[[nodiscard]] std::string BuildFaultAnswer(
    const HeadFault& fault, const std::vector<std::pair<std::string, std::string>>* headers);

}  // namespace iperf3_exporter
