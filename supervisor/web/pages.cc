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

constexpr std::array<std::pair<char, std::string_view>, 5> kEntities = {{
    {'&', "&amp;"},
    {'<', "&lt;"},
    {'>', "&gt;"},
    {'"', "&quot;"},
    {'\'', "&#39;"},
}};

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto* entity = std::ranges::find(kEntities, c, &decltype(kEntities)::value_type::first);
    escaped += entity != kEntities.end() ? entity->second : std::string_view(&c, 1);
  }
  return escaped;
}

// Relative to the landing page, so that it works behind a proxy that adds a prefix to the paths.
std::string Link(const std::string& path, std::string_view text, const std::string& query = "") {
  return "<li><a href=\"" + EscapeHtml(path.substr(1)) + query + "\">" + std::string(text) +
         "</a></li>\n";
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

using WallTime = std::chrono::system_clock::time_point;

std::string Since(const LockHolder& holder, WallTime now) {
  return FormatRfc3339(now - std::chrono::duration_cast<WallTime::duration>(holder.held_for));
}

// nullopt: the key is held, but its holder has no valid record.
ordered_json ToJson(const std::optional<LockHolder>& holder, WallTime now) {
  if (!holder) {
    return {{"pid", nullptr}, {"exporter_pid", nullptr}, {"target", nullptr}, {"port", nullptr},
            {"own", false},   {"since", nullptr}};
  }
  return {{"pid", holder->worker_pid}, {"exporter_pid", holder->exporter_pid},
          {"target", holder->target},  {"port", holder->port},
          {"own", holder->ours},       {"since", Since(*holder, now)}};
}

std::string Seconds(std::chrono::nanoseconds duration) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), ToSeconds(duration),
                                     std::chars_format::fixed, 3)
                           .ptr};
}

// Written by hand: a JSON tree takes four times as long for kMaxListedWaiting entries.
std::string WaitingText(const std::vector<WaitingProbe>& waiting) {
  std::string text = "[";
  const char* separator = "\n    ";
  for (const WaitingProbe& probe : waiting) {
    text += std::exchange(separator, ",\n    ");
    text.append("{\"target\": ").append(QuoteText(probe.target, std::string::npos));
    text.append(", \"port\": ").append(std::to_string(probe.port));
    text.append(", \"waited\": ").append(Seconds(probe.waited));
    text.append(", \"left\": ").append(Seconds(probe.left)) += '}';
  }
  return text + (waiting.empty() ? "]" : "\n  ]");
}

}  // namespace

std::string BuildLandingPage(const Options& options, std::string_view iperf3_version,
                             const SandboxReport* sandbox) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
      "<title>iperf3 exporter</title></head>\n<body>\n<h1>iperf3 exporter</h1>\n<p>Version " +
      std::string(kVersion) + ", revision " + kRevision + ", with iperf3 " +
      (iperf3_version.empty() ? "(version not yet known)" : EscapeHtml(iperf3_version)) +
      ".</p>\n<ul>\n";
  html += Link(options.telemetry_path, "Exporter metrics");
  if (!options.requires_module) {
    html += Link(options.probe_path, "Example probe: change <code>target</code>",
                 "?target=127.0.0.1&amp;period=1s");
  }
  html += Link(options.results_path, "Results of own tests");
  html += Link("/health", "Health");
  html += Link("/ready", "Readiness");
  html += Link("/lock-status", "Lock status");
  html += Link("/config", "Configuration in effect");
  html += "</ul>\n";
  if (sandbox != nullptr) html += SandboxTable(*sandbox);
  return html + "</body>\n</html>\n";
}

std::string BuildLockStatus(const LockStatus& status, WallTime now) {
  ordered_json json;
  const auto& holders = status.lock.holders;
  const std::optional<LockHolder> first = holders.empty() ? std::nullopt : holders.front();
  json["is_locked"] = !holders.empty();
  json["locked_by"] =
      first ? ordered_json(first->target + ":" + std::to_string(first->port)) : ordered_json();
  json["locked_at"] = first ? ordered_json(Since(*first, now)) : ordered_json();
  json["lock_duration"] = first ? ordered_json(ToSeconds(first->held_for)) : ordered_json();
  json["queue_size"] = status.queue_size;
  json["scope"] = Name(status.scope);
  json["name"] = status.name;
  json["holder"] = holders.empty() ? ordered_json() : ToJson(first, now);
  json["holders"] = ordered_json::array();
  for (const auto& each : holders) json["holders"].push_back(ToJson(each, now));
  json["recoveries"] = status.lock.recoveries;
  json["waiting_omitted"] = status.queue_size - std::min(status.queue_size, status.waiting.size());
  std::string page = json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
  page.resize(page.size() - std::string_view("\n}").size());
  return page + ",\n  \"waiting\": " + WaitingText(status.waiting) + "\n}\n";
}

}  // namespace iperf3_exporter
