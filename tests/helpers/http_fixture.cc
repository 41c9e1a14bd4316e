// The HTTP server of the exporter alone, for tests of connections, TLS and authentication.
//
//   http_fixture [--listen=ADDRESS]... [--systemd] [--config=FILE] [--max-connections=N]
//                [--request-timeout-ms=N] [--idle-timeout-ms=N]
//
// Prints one line "listening ADDRESS" per socket, then "ready"; exits at the end of its stdin.
// SIGHUP reloads, SIGTERM stops accepting. Paths: /metrics (8 kB of text), /probe (answers after a
// request for /release, counts clients that disconnect before), /drop (never answers), /statistics
// (JSON),
// /-/reload.
#include <event2/event.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/logging.h"
#include "supervisor/app/web_access.h"
#include "supervisor/http/http_server.h"

namespace {

using namespace iperf3_exporter;

constexpr int kExitUsage = 2;
constexpr int kExitRefused = 3;

struct Fixture {
  event_base* base = event_base_new();
  std::unique_ptr<WebAccess> access;
  std::unique_ptr<HttpServer> server;
  std::vector<std::shared_ptr<HttpExchange>> probes;
  int probes_seen = 0;
  int disconnects = 0;
};

struct Arguments {
  std::vector<std::string> listen;
  bool systemd = false;
  std::string config;
  HttpLimits limits;
};

long Number(std::string_view text) {
  long value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool ParseArguments(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : argument.substr(equals + 1);
    if (name == "--listen") {
      arguments.listen.emplace_back(value);
    } else if (name == "--systemd") {
      arguments.systemd = true;
    } else if (name == "--config") {
      arguments.config = value;
    } else if (name == "--max-connections") {
      arguments.limits.max_connections = static_cast<std::size_t>(Number(value));
    } else if (name == "--request-timeout-ms") {
      arguments.limits.request_timeout = std::chrono::milliseconds(Number(value));
    } else if (name == "--idle-timeout-ms") {
      arguments.limits.idle_timeout = std::chrono::milliseconds(Number(value));
    } else {
      return false;
    }
  }
  return true;
}

HttpResponse Text(std::string text) { return {.body = std::move(text)}; }

std::string MetricsPage() {
  std::string page;
  for (int i = 0; i < 120; ++i) {
    page += "iperf3_exporter_some_metric_of_this_size{label=\"value" + std::to_string(i) +
            "\"} 12345\n";
  }
  return page;
}

std::string StatisticsPage(const Fixture& fixture) {
  const HttpStatistics& statistics = fixture.server->statistics();
  std::string page = "{\"connections\": " + std::to_string(statistics.connections) +
                     ", \"rejected\": " + std::to_string(statistics.connections_rejected) +
                     ", \"pending\": " + std::to_string(fixture.probes.size()) +
                     ", \"probes\": " + std::to_string(fixture.probes_seen) +
                     ", \"disconnects\": " + std::to_string(fixture.disconnects) +
                     ", \"reload_ok\": " +
                     (fixture.access->config_file().last_reload_successful() ? "true" : "false") +
                     ", \"requests\": {";
  bool first = true;
  for (const auto& [key, count] : statistics.requests) {
    page += (first ? "\"" : ", \"") + key.first + " " + std::to_string(key.second) +
            "\": " + std::to_string(count);
    first = false;
  }
  return page + "}}\n";
}

void OnProbe(Fixture& fixture, const std::shared_ptr<HttpExchange>& exchange) {
  ++fixture.probes_seen;
  fixture.probes.push_back(exchange);
  HttpExchange* key = exchange.get();
  exchange->OnDisconnect([&fixture, key] {
    ++fixture.disconnects;
    std::erase_if(fixture.probes, [key](const auto& probe) { return probe.get() == key; });
  });
}

void OnRelease(Fixture& fixture, const std::shared_ptr<HttpExchange>& exchange) {
  for (const auto& probe : std::exchange(fixture.probes, {})) {
    probe->Reply(Text("query=" + probe->query() + "\n"));
  }
  exchange->Reply(Text("released\n"));
}

void OnReload(Fixture& fixture, const std::shared_ptr<HttpExchange>& exchange) {
  ReloadableFile& file = fixture.access->config_file();
  const auto status = file.Reload(file.Read());
  HttpResponse response = Text(status ? "" : status.error().message + "\n");
  response.code = status ? 200 : 500;
  exchange->Reply(response);
}

void AddRoutes(Fixture& fixture) {
  using Exchange = std::shared_ptr<HttpExchange>;
  HttpServer& server = *fixture.server;
  const std::vector<std::string> get = {"GET", "HEAD"};
  server.AddRoute({"/metrics", get, [page = MetricsPage()](const Exchange& exchange) {
                     exchange->Reply({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                      .body = page});
                   }});
  server.AddRoute({"/probe", get, [&fixture](const Exchange& exchange) {
                     if (exchange->method() == "HEAD") {
                       return exchange->Reply({.length_known = false});
                     }
                     OnProbe(fixture, exchange);
                   }});
  server.AddRoute(
      {"/release", get, [&fixture](const Exchange& exchange) { OnRelease(fixture, exchange); }});
  server.AddRoute({"/drop", get, [](const Exchange&) {}});
  server.AddRoute({"/statistics", get, [&fixture](const Exchange& exchange) {
                     exchange->Reply(Text(StatisticsPage(fixture)));
                   }});
  server.AddRoute({"/-/reload", {"POST"}, [&fixture](const Exchange& exchange) {
                     OnReload(fixture, exchange);
                   }});
}

Status Open(Fixture& fixture, const Arguments& arguments) {
  if (!arguments.config.empty()) {
    if (auto loaded = fixture.access->LoadConfig(arguments.config); !loaded) return loaded;
  }
  for (const std::string& text : arguments.listen) {
    const auto address = ParseListenAddress(text);
    if (!address) return tl::unexpected(address.error());
    if (auto listening = fixture.server->Listen(*address); !listening) return listening;
  }
  if (arguments.systemd) return fixture.server->AdoptSystemdSockets();
  return {};
}

void OnStdin(evutil_socket_t, short, void* fixture) {
  char bytes[64];
  if (::read(STDIN_FILENO, bytes, sizeof bytes) <= 0) {
    event_base_loopbreak(static_cast<Fixture*>(fixture)->base);
  }
}

void OnHangup(evutil_socket_t, short, void* fixture) {
  ReloadableFile& file = static_cast<Fixture*>(fixture)->access->config_file();
  [[maybe_unused]] const auto status = file.Reload(file.Read());
}

void OnTerminate(evutil_socket_t, short, void* fixture) {
  static_cast<Fixture*>(fixture)->server->StopAccepting();
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!ParseArguments(argc, argv, arguments)) return kExitUsage;
  InitLogging("http_fixture", LogLevel::kInfo, LogFormat::kLogfmt);
  Fixture fixture;
  fixture.access = std::make_unique<WebAccess>(fixture.base);
  fixture.server =
      std::make_unique<HttpServer>(fixture.base, arguments.limits, fixture.access->Hooks());
  AddRoutes(fixture);
  if (const auto opened = Open(fixture, arguments); !opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    return kExitRefused;
  }
  event* stdin_event =
      event_new(fixture.base, STDIN_FILENO, EV_READ | EV_PERSIST, OnStdin, &fixture);
  event* hangup = evsignal_new(fixture.base, SIGHUP, OnHangup, &fixture);
  event* terminate = evsignal_new(fixture.base, SIGTERM, OnTerminate, &fixture);
  for (event* e : {stdin_event, hangup, terminate}) event_add(e, nullptr);
  for (const std::string& name : fixture.server->ListeningOn()) {
    std::printf("listening %s\n", name.c_str());
  }
  std::printf("ready\n");
  std::fflush(stdout);
  event_base_dispatch(fixture.base);
  fixture.server.reset();
  fixture.access.reset();
  for (event* e : {stdin_event, hangup, terminate}) event_free(e);
  event_base_loop(fixture.base, EVLOOP_NONBLOCK);
  event_base_free(fixture.base);
  return 0;
}
