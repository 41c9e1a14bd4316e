// Serves the results of the exporter's own tests.
//
// The page of 10,000 tests has 29 MB, and building and compressing it takes 0.2 s. So a thread
// builds it, one page at a time, and all clients that wait for the same form of it share it. Slow
// clients can't make the exporter hold many pages. Loop thread only.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "supervisor/config/probe_settings.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/exposition/results_exposition.h"
#include "supervisor/http/http_exchange.h"
#include "supervisor/loop/task_pool.h"

struct event_base;

namespace iperf3_exporter {

class ResultsEndpoint {
 public:
  // Pages of one form that clients have not read completely. At this number, a further client gets
  // the newest of them, which is at most HttpLimits::write_timeout old.
  static constexpr std::size_t kMaxUnreadPages = 2;

  // `source` is called once for each page, on the loop thread.
  ResultsEndpoint(event_base* base, const ProbePageStyle& style,
                  std::function<OwnTestResults()> source);
  ResultsEndpoint(const ResultsEndpoint&) = delete;
  ResultsEndpoint& operator=(const ResultsEndpoint&) = delete;

  // Replies when the page is built. HEAD builds none, so the length is unknown.
  void Serve(const std::shared_ptr<HttpExchange>& exchange);

 private:
  using Page = std::shared_ptr<const std::string>;

  // The form of the page that a client asks for.
  struct Form {
    ExpositionFormat format = ExpositionFormat::kText;
    bool accepts_gzip = false;
  };
  struct BuiltPage {
    std::string text;
    bool is_gzip = false;
    std::optional<Error> error;
  };
  struct UnreadPage {
    std::weak_ptr<const std::string> page;
    bool is_gzip = false;
  };
  struct State {
    TaskPool::Task build;
    std::vector<std::shared_ptr<HttpExchange>> waiting;  // for the build
    std::vector<UnreadPage> unread;                      // in the order in which they were built
  };

  [[nodiscard]] static Form FormFor(const HttpExchange& exchange);
  [[nodiscard]] static BuiltPage BuildPage(const OwnTestResults& results,
                                           const ProbePageStyle& style, const Form& form);
  [[nodiscard]] Status StartBuild(const Form& form);
  void OnBuilt(const Form& form, BuiltPage built);
  static void Reply(HttpExchange& exchange, const Form& form, const Page& page, bool is_gzip);
  [[nodiscard]] State& StateOf(const Form& form);
  // The text is freed on the thread: unmapping it would hold up the loop.
  [[nodiscard]] Page Share(std::string text) const;
  // Replies with the newest unread page, if there are too many. Otherwise returns false.
  [[nodiscard]] bool ReplyWithUnreadPage(HttpExchange& exchange, const Form& form);

  const ProbePageStyle style_;
  const std::function<OwnTestResults()> source_;
  const std::shared_ptr<TaskPool> pool_;
  std::array<State, 4> states_;  // one for each form
};

}  // namespace iperf3_exporter
