#include "supervisor/web/pages.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/build_info.h"
#include "common/deadline.h"
#include "common/quoted_text.h"
#include "common/rfc3339.h"

namespace iperf3_exporter {
namespace {

using nlohmann::ordered_json;

constexpr int kIndent = 2;
constexpr std::size_t kWaitingBytes = 100;  // of an entry, about
constexpr std::int64_t kPerSecond = 1000;   // milliseconds

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Link(const std::string& path, std::string_view text, const std::string& query = "") {
  return "<li><a href=\"" + EscapeHtml(path) + query + "\">" + std::string(text) + "</a></li>\n";
}

std::string SandboxTable(const SandboxReport& report) {
  std::string html =
      "<h2>Sandbox</h2>\n<table>\n<tr><th>layer</th><th>worker</th><th>iperf3</th></tr>\n";
  for (std::size_t i = 0; i < kSandboxLayerCount; ++i) {
    html += "<tr><td>" + std::string(kSandboxLayerNames[i]) + "</td><td>" +
            std::string(Name(report.worker[i])) + "</td><td>" +
            std::string(Name(report.iperf3[i])) + "</td></tr>\n";
  }
  return html + "</table>\n";
}

ordered_json ToJson(const std::optional<LockHolder>& holder) {
  ordered_json json;
  json["pid"] = holder ? ordered_json(holder->worker_pid) : ordered_json();
  json["exporter_pid"] = holder ? ordered_json(holder->exporter_pid) : ordered_json();
  json["target"] = holder ? ordered_json(holder->target) : ordered_json();
  json["port"] = holder ? ordered_json(holder->port) : ordered_json();
  json["own"] = holder && holder->ours;
  json["since"] = holder ? ordered_json(FormatRfc3339(holder->since)) : ordered_json();
  return json;
}

// With milliseconds; more would be noise.
void AppendSeconds(std::chrono::nanoseconds duration, std::string& out) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  std::array<char, 24> text{};
  const auto append = [&](std::int64_t number) {
    out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr);
  };
  append(milliseconds / kPerSecond);
  const std::size_t point = out.size();
  append(kPerSecond + milliseconds % kPerSecond);  // Its 1 keeps the zeros behind it.
  out[point] = '.';
}

// Without a tree: this is the one part whose length other people decide.
void AppendWaiting(const WaitingProbe& probe, std::string& out) {
  out += "{\"target\": ";
  out += QuoteText(probe.target, std::string::npos);
  out += ", \"port\": ";
  out += std::to_string(probe.port);
  out += ", \"waited\": ";
  AppendSeconds(probe.waited, out);
  out += ", \"left\": ";
  AppendSeconds(probe.left, out);
  out += '}';
}

void AppendAllWaiting(const std::vector<WaitingProbe>& waiting, std::string& out) {
  const char* before = "[\n    ";
  for (const WaitingProbe& probe : waiting) {
    out += std::exchange(before, ",\n    ");
    AppendWaiting(probe, out);
  }
  out += waiting.empty() ? "[]" : "\n  ]";
}

}  // namespace

std::string BuildLandingPage(const Options& options, std::string_view iperf3_version,
                             const SandboxReport* sandbox) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
      "<title>iperf3 exporter</title></head>\n<body>\n<h1>iperf3 exporter</h1>\n<p>Version " +
      std::string(kVersion) + ", revision " + kRevision + ", with iperf3 " +
      (iperf3_version.empty() ? "(not known yet)" : EscapeHtml(iperf3_version)) + ".</p>\n<ul>\n";
  html += Link(options.telemetry_path, "The exporter's own metrics");
  html += Link(options.probe_path, "Probe an iperf3 server: name it in <code>target</code>",
               "?target=127.0.0.1&amp;period=1s");
  html += Link("/health", "Health");
  html += Link("/ready", "Readiness");
  html += Link("/lock-status", "Lock status");
  html += "</ul>\n";
  if (sandbox != nullptr) html += SandboxTable(*sandbox);
  return html + "</body>\n</html>\n";
}

std::string BuildLockStatus(const LockStatus& status, std::chrono::system_clock::time_point now) {
  ordered_json json;
  const auto& holders = status.lock.holders;
  const std::optional<LockHolder> first = holders.empty() ? std::nullopt : holders.front();
  json["is_locked"] = !holders.empty();
  json["locked_by"] =
      first ? ordered_json(first->target + ":" + std::to_string(first->port)) : ordered_json();
  json["locked_at"] = first ? ordered_json(FormatRfc3339(first->since)) : ordered_json();
  json["lock_duration"] = first ? ordered_json(ToSeconds(now - first->since)) : ordered_json();
  json["queue_size"] = status.queue_size;
  json["scope"] = Name(status.scope);
  json["name"] = status.name;
  json["holder"] = holders.empty() ? ordered_json() : ToJson(first);
  json["holders"] = ordered_json::array();
  for (const auto& each : holders) json["holders"].push_back(ToJson(each));
  json["recoveries"] = status.lock.recoveries;
  json["waiting_omitted"] = status.queue_size - std::min(status.queue_size, status.waiting.size());
  std::string page = json.dump(kIndent, ' ', false, ordered_json::error_handler_t::replace);
  page.resize(page.size() - std::string_view("\n}").size());
  page.reserve(page.size() + kWaitingBytes * (status.waiting.size() + 1));
  page += ",\n  \"waiting\": ";
  AppendAllWaiting(status.waiting, page);
  return page + "\n}\n";
}

}  // namespace iperf3_exporter
