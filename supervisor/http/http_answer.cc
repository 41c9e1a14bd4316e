#include "supervisor/http/http_answer.h"

#include <event2/buffer.h>
#include <event2/http.h>

#include <memory>

#include "supervisor/http/compression.h"

namespace iperf3_exporter {
namespace {

void ReleaseBody(const void*, size_t, void* holder) {
  delete static_cast<std::shared_ptr<const std::string>*>(holder);
}

// Adds a body without copying it; `buffer` keeps it alive.
void AddBody(evbuffer* buffer, const std::shared_ptr<const std::string>& text) {
  auto holder = std::make_unique<std::shared_ptr<const std::string>>(text);
  if (evbuffer_add_reference(buffer, text->data(), text->size(), ReleaseBody, holder.get()) == 0) {
    [[maybe_unused]] auto* held_by_buffer = holder.release();
  }
}

void CompressBody(HttpResponse& response, evkeyvalq* headers, bool accepted) {
  if (response.body.size() < kMinGzipBytes) return;
  evhttp_add_header(headers, "Vary", "Accept-Encoding");
  if (!accepted) return;
  auto packed = Gzip(*response.body.text());
  if (!packed) return;
  response.body = HttpBody(std::move(*packed));
  evhttp_add_header(headers, "Content-Encoding", "gzip");
}

}  // namespace

void PutAnswer(evhttp_request* request, HttpResponse response, const AnswerTerms& terms) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", response.content_type.c_str());
  for (const auto& [name, value] : response.headers) {
    evhttp_add_header(headers, name.c_str(), value.c_str());
  }
  if (terms.extra_headers != nullptr) {
    for (const auto& [name, value] : *terms.extra_headers) {
      evhttp_add_header(headers, name.c_str(), value.c_str());
    }
  }
  CompressBody(response, headers, terms.gzip);
  if (response.length_known) {
    evhttp_add_header(headers, "Content-Length", std::to_string(response.body.size()).c_str());
  }
  if (terms.close) evhttp_add_header(headers, "Connection", "close");
  if (!terms.head && response.body.size() > 0) {
    AddBody(evhttp_request_get_output_buffer(request), response.body.text());
  }
}

}  // namespace iperf3_exporter
