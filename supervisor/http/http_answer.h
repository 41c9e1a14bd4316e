// An answer as evhttp gets it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "supervisor/http/http_types.h"

struct evhttp_request;

namespace iperf3_exporter {

struct AnswerTerms {
  bool head = false;   // the answer to a HEAD: no body, but all that is said of it
  bool gzip = false;   // the client takes it
  bool close = false;  // the connection ends behind it
  // Of the web configuration; may be null.
  const std::vector<std::pair<std::string, std::string>>* extra_headers = nullptr;
};

// Puts the fields and the body into `request`, which is then to be sent. The body is compressed
// where that pays, and not copied.
void PutAnswer(evhttp_request* request, HttpResponse response, const AnswerTerms& terms);

}  // namespace iperf3_exporter
