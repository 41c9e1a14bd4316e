#include "supervisor/app/results_endpoint.h"

#include <exception>
#include <utility>

#include "common/logging.h"
#include "supervisor/http/compression.h"

namespace iperf3_exporter {
namespace {

// A client that gets no page may ask again soon.
constexpr char kRetryAfterSeconds[] = "1";

HttpResponse Unavailable(const std::string& reason) {
  return {.code = 503, .body = reason + "\n", .headers = {{"Retry-After", kRetryAfterSeconds}}};
}

}  // namespace

ResultsEndpoint::ResultsEndpoint(event_base* base, const ProbePageStyle& style,
                                 std::function<OwnTestResults()> source)
    : style_(style),
      source_(std::move(source)),
      pool_(std::make_shared<TaskPool>(base, TaskPool::Options{.max_threads = 1})) {}

ResultsEndpoint::Form ResultsEndpoint::FormFor(const HttpExchange& exchange) {
  return {NegotiateFormat(exchange.Header("Accept").value_or("")),
          AcceptsGzip(exchange.Header("Accept-Encoding").value_or(""))};
}

ResultsEndpoint::State& ResultsEndpoint::StateOf(const Form& form) {
  return states_[2 * static_cast<std::size_t>(form.format) + (form.accepts_gzip ? 1 : 0)];
}

void ResultsEndpoint::Serve(const std::shared_ptr<HttpExchange>& exchange) {
  const Form form = FormFor(*exchange);
  if (exchange->method() == "HEAD") {
    return exchange->Reply(
        {.content_type = std::string(ContentType(form.format)), .length_known = false});
  }
  State& state = StateOf(form);
  if (state.waiting.empty()) {
    if (ReplyWithUnreadPage(*exchange, form)) return;
    if (const Status started = StartBuild(form); !started) {
      Log(LogLevel::kError, "cannot build the page of results",
          {{"detail", started.error().message}});
      return exchange->Reply(Unavailable(started.error().message));
    }
  }
  state.waiting.push_back(exchange);
}

ResultsEndpoint::BuiltPage ResultsEndpoint::BuildPage(const OwnTestResults& results,
                                                      const ProbePageStyle& style,
                                                      const Form& form) {
  try {
    BuiltPage built = {.text = BuildResultsPage(results, style, form.format)};
    if (!form.accepts_gzip || built.text.size() < kMinGzipBytes) return built;
    if (auto packed = Gzip(built.text)) built = {.text = std::move(*packed), .is_gzip = true};
    return built;
  } catch (const std::exception& exception) {  // for lack of memory
    return {.error = Error{exception.what()}};
  }
}

Status ResultsEndpoint::StartBuild(const Form& form) {
  auto built = std::make_shared<BuiltPage>();
  auto task = pool_->Submit(
      [built, form, style = style_,
       results = std::make_shared<const OwnTestResults>(source_())]() mutable {
        *built = BuildPage(*results, style, form);
      },
      [this, form, built] { OnBuilt(form, std::move(*built)); });
  if (!task) return tl::unexpected(task.error());
  StateOf(form).build = std::move(*task);
  return {};
}

void ResultsEndpoint::OnBuilt(const Form& form, BuiltPage built) {
  const auto waiting = std::exchange(StateOf(form).waiting, {});
  if (built.error) {
    Log(LogLevel::kError, "cannot build the page of results", {{"detail", built.error->message}});
    for (const auto& exchange : waiting) exchange->Reply(Unavailable(built.error->message));
    return;
  }
  const Page page = Share(std::move(built.text));
  for (const auto& exchange : waiting) Reply(*exchange, form, page, built.is_gzip);
  StateOf(form).unread.push_back({page, built.is_gzip});
}

void ResultsEndpoint::Reply(HttpExchange& exchange, const Form& form, const Page& page,
                            bool is_gzip) {
  exchange.Reply({.content_type = std::string(ContentType(form.format)),
                  .shared_body = page,
                  .shared_body_encoding = is_gzip ? "gzip" : ""});
}

ResultsEndpoint::Page ResultsEndpoint::Share(std::string text) const {
  const auto free_on_thread = [pool = std::weak_ptr(pool_)](const std::string* freed) {
    auto owned = std::shared_ptr<const std::string>(freed);
    const auto living = pool.lock();
    if (!living) return;
    if (auto task = living->Submit([owned = std::move(owned)] {}, [] {})) task->Detach();
  };
  return {new std::string(std::move(text)), free_on_thread};
}

bool ResultsEndpoint::ReplyWithUnreadPage(HttpExchange& exchange, const Form& form) {
  std::vector<UnreadPage>& unread = StateOf(form).unread;
  std::erase_if(unread, [](const UnreadPage& each) { return each.page.expired(); });
  if (unread.size() < kMaxUnreadPages) return false;
  Reply(exchange, form, unread.back().page.lock(), unread.back().is_gzip);
  return true;
}

}  // namespace iperf3_exporter
