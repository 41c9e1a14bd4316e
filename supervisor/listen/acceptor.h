// Accepts connections on all listening sockets. Loop thread only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"
#include "supervisor/listen/listening_socket.h"
#include "supervisor/loop/event_loop.h"

struct evconnlistener;
struct event_base;
struct sockaddr;

namespace iperf3_exporter {

class Acceptor {
 public:
  struct Callbacks {
    // `peer` is the client's address as SocketAddressText returns it.
    std::function<void(UniqueFd fd, std::string peer)> on_connection;
    // accept(2) failed, usually for lack of descriptors. It is retried after a pause.
    std::function<void(const std::string& reason)> on_error;
  };

  Acceptor(event_base* base, Callbacks callbacks);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  [[nodiscard]] Status Add(ListeningSocket socket);
  // Accepts nothing for `duration`; with 0, until the next iteration of the loop. May be called in
  // on_connection.
  void Pause(std::chrono::milliseconds duration);
  // Closes the listening sockets.
  void Stop();
  // ListeningSocket::Name of each socket.
  [[nodiscard]] std::vector<std::string> ListeningOn() const;

 private:
  struct ListenerDeleter {
    void operator()(evconnlistener* listener) const;
  };
  struct Listener {
    ListeningSocket socket;
    std::unique_ptr<evconnlistener, ListenerDeleter> handle;
  };

  static void OnAccept(evconnlistener* listener, int fd, sockaddr* peer, int peer_bytes,
                       void* self) noexcept;
  static void OnError(evconnlistener* listener, void* self) noexcept;

  event_base* const base_;
  const Callbacks callbacks_;
  std::vector<Listener> listeners_;
  Timer pause_;
};

}  // namespace iperf3_exporter
