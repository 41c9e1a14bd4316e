#include "supervisor/listen/acceptor.h"

#include <event2/listener.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace iperf3_exporter {
namespace {

// Without a pause accept(2) would fail again and again while no descriptor is free.
constexpr std::chrono::milliseconds kErrorPause{100};

}  // namespace

void Acceptor::ListenerDeleter::operator()(evconnlistener* listener) const {
  evconnlistener_free(listener);
}

Acceptor::Acceptor(event_base* base, Callbacks callbacks)
    : base_(base), callbacks_(std::move(callbacks)), pause_(base, [this] {
        for (const Listener& listener : listeners_) evconnlistener_enable(listener.handle.get());
      }) {}

Acceptor::~Acceptor() = default;

Status Acceptor::Add(ListeningSocket socket) {
  evconnlistener* handle = evconnlistener_new(base_, OnAccept, this, LEV_OPT_CLOSE_ON_EXEC,
                                              /*backlog=*/0, socket.fd());
  if (handle == nullptr) return MakeError("listen on " + socket.Name() + ": libevent refused it");
  evconnlistener_set_error_cb(handle, OnError);
  listeners_.push_back({std::move(socket), {handle, ListenerDeleter()}});
  return {};
}

void Acceptor::Pause(std::chrono::milliseconds duration) {
  for (const Listener& listener : listeners_) evconnlistener_disable(listener.handle.get());
  pause_.Start(duration);
}

void Acceptor::Stop() {
  pause_.Stop();
  listeners_.clear();
}

std::vector<std::string> Acceptor::ListeningOn() const {
  std::vector<std::string> names;
  for (const Listener& listener : listeners_) names.push_back(listener.socket.Name());
  return names;
}

void Acceptor::OnAccept(evconnlistener*, int fd, sockaddr* peer, int peer_bytes,
                        void* self) noexcept {
  static_cast<Acceptor*>(self)->callbacks_.on_connection(
      UniqueFd(fd), SocketAddressText(peer, static_cast<socklen_t>(peer_bytes)));
}

void Acceptor::OnError(evconnlistener*, void* self) noexcept {
  auto* acceptor = static_cast<Acceptor*>(self);
  acceptor->callbacks_.on_error(ErrnoText("accept", errno));
  acceptor->Pause(kErrorPause);
}

}  // namespace iperf3_exporter
