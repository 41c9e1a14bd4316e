// The HTTP layer alone: a page of 8 kB over 64 kept connections, the server on a thread of its own.
// What lasts is the server thread's time per request, which a loaded machine does not change much.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "common/unique_fd.h"
#include "supervisor/http/http_server.h"

namespace {

using namespace iperf3_exporter;

constexpr int kConnections = 64;
constexpr std::string_view kRequest =
    "GET /metrics HTTP/1.1\r\nHost: localhost:9579\r\nUser-Agent: Prometheus/2.53.0\r\n"
    "Accept: text/plain\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";

std::string Page() {
  std::string page;
  while (page.size() < 8000) page += "iperf3_exporter_some_metric{label=\"value\"} 12345\n";
  return page;
}

double ThreadSeconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The server, on a thread that ends with this object.
class Server {
 public:
  Server() : page_(std::make_shared<const std::string>(Page())) {
    server_ = std::make_unique<HttpServer>(base_, HttpLimits{});
    server_->AddRoute({"/metrics", {"GET"}, [this](const std::shared_ptr<HttpExchange>& exchange) {
                         HttpResponse response;
                         response.body = page_;
                         exchange->Reply(std::move(response));
                       }});
    const auto address = ParseListenAddress("127.0.0.1:0");
    if (!address || !server_->Listen(*address)) std::abort();
    const std::string name = server_->ListeningOn().front();
    port_ = static_cast<in_port_t>(std::stoi(name.substr(name.rfind(':') + 1)));
    thread_ = std::thread([this] { Run(); });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Server() {
    stop_ = true;
    thread_.join();
    server_.reset();
    event_base_free(base_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] double CpuSeconds() const { return ThreadSeconds(clock_); }
  [[nodiscard]] in_port_t port() const { return port_; }
  [[nodiscard]] const std::string& page() const { return *page_; }

 private:
  void Run() {
    const timeval tick = {0, 20'000};
    event* timer = event_new(
        base_, -1, EV_PERSIST, [](evutil_socket_t, short, void*) {}, nullptr);
    event_add(timer, &tick);
    while (!stop_) event_base_loop(base_, EVLOOP_ONCE);
    event_free(timer);
  }

  event_base* base_ = event_base_new();
  std::shared_ptr<const std::string> page_;
  std::unique_ptr<HttpServer> server_;
  in_port_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
  clockid_t clock_ = 0;
};

UniqueFd Connect(in_port_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::abort();
  }
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void Ask(int fd) {
  if (::send(fd, kRequest.data(), kRequest.size(), 0) != static_cast<ssize_t>(kRequest.size())) {
    std::abort();
  }
}

// Reads one answer and checks it.
std::size_t Verify(int fd, const std::string& page) {
  std::string answer;
  std::array<char, 16384> chunk;
  while (!answer.ends_with(page)) {
    const auto got = ::recv(fd, chunk.data(), chunk.size(), 0);
    if (got <= 0) std::abort();
    answer.append(chunk.data(), static_cast<std::size_t>(got));
  }
  if (!answer.starts_with("HTTP/1.1 200 OK\r\n")) std::abort();
  return answer.size();
}

void BM_StaticPageOver64Connections(benchmark::State& state) {
  const Server server;
  std::vector<UniqueFd> connections;
  std::vector<pollfd> polls;
  std::vector<std::size_t> left;
  std::size_t answer_bytes = 0;
  for (int i = 0; i < kConnections; ++i) {
    connections.push_back(Connect(server.port()));
    Ask(connections.back().get());
    answer_bytes = Verify(connections.back().get(), server.page());
    polls.push_back({connections.back().get(), POLLIN, 0});
    left.push_back(answer_bytes);
    Ask(connections.back().get());
  }
  std::array<char, 65536> chunk;
  std::size_t answers = 0;
  const double cpu_before = server.CpuSeconds();
  for (auto _ : state) {
    const std::size_t target = answers + 1000;
    while (answers < target) {
      if (::poll(polls.data(), polls.size(), -1) <= 0) std::abort();
      for (std::size_t i = 0; i < polls.size(); ++i) {
        if (polls[i].revents == 0) continue;
        const auto got = ::recv(polls[i].fd, chunk.data(), chunk.size(), MSG_DONTWAIT);
        if (got <= 0) std::abort();
        left[i] -= static_cast<std::size_t>(got);
        if (left[i] > 0) continue;
        ++answers;
        left[i] = answer_bytes;
        Ask(polls[i].fd);
      }
    }
  }
  const double cpu = server.CpuSeconds() - cpu_before;
  state.SetItemsProcessed(static_cast<std::int64_t>(answers));
  state.counters["server_us_per_request"] = cpu * 1e6 / static_cast<double>(answers);
  state.counters["requests_per_core_second"] = static_cast<double>(answers) / cpu;
}
BENCHMARK(BM_StaticPageOver64Connections)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
