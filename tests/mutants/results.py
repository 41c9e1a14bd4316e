"""Mutants of the page of own tests, of large bodies, and of what monitors own tests, as run.py takes them."""

PAGE = "supervisor/exposition/results_exposition.cc"
PROBE_PAGE = "supervisor/exposition/probe_exposition.cc"
ENDPOINT = "supervisor/app/results_endpoint.cc"
ENDPOINTS = "supervisor/app/endpoints.cc"
RESPONSE = "supervisor/http/http_response.cc"
COMPRESSION = "supervisor/http/compression.cc"
OPTIONS = "supervisor/config/options.cc"

PAGE_TEST = "results_exposition_test"
PROBE_PAGE_TEST = "probe_exposition_test"
ENDPOINT_TEST = "results_endpoint_test"
CONNECTION_TEST = "http_connection_test"
E2E = "e2e.results_test"

# The file, its text, what stands there instead, and the tests of which one has to fail.
MUTANTS = [
    (PAGE, "    if (!at) continue;\n", "", [PAGE_TEST]),
    (PAGE, "floor<std::chrono::milliseconds>", "floor<std::chrono::seconds>", [PAGE_TEST]),
    (PAGE, "{\"module\", test.module}", "{\"module\", test.name}", [PAGE_TEST]),
    (PAGE, "std::to_string(result->report->port)", "result->test->port", [PAGE_TEST]),
    (PAGE, "    if (!result->budget) continue;\n", "    if (!result->report) continue;\n", [PAGE_TEST]),
    (PAGE, "add(each, \"result\", \"failure\", each.result->failures);", "", [PAGE_TEST]),
    (PAGE, "each.result->downloaded_bytes", "each.result->uploaded_bytes", [PAGE_TEST]),
    (PROBE_PAGE, "if (direction != Direction::kDownload) upload_labels_", "if (direction != Direction::kUpload) upload_labels_",
     [PROBE_PAGE_TEST]),
    (PROBE_PAGE, "row.scope == (upload ? kDownload : kUpload)", "row.scope == (upload ? kUpload : kDownload)", [PROBE_PAGE_TEST]),
    (PROBE_PAGE, "if (std::exchange(family, row.name) != row.name) {", "if (family == row.name) {", [PAGE_TEST]),

    (ENDPOINT, "if (state.waiting.empty()) {", "if (true) {", [ENDPOINT_TEST]),
    (ENDPOINT, "  if (unread.size() < kMaxUnreadPages) return false;\n", "  if (true) return false;\n", [ENDPOINT_TEST]),
    (ENDPOINT, "std::erase_if(unread, [](const UnreadPage& each) { return each.page.expired(); });", "", [ENDPOINT_TEST]),
    (ENDPOINT, "unread.back().page.lock()", "unread.front().page.lock()", [ENDPOINT_TEST]),
    (ENDPOINT, "(form.accepts_gzip ? 1 : 0)", "0", [ENDPOINT_TEST]),
    (ENDPOINT, ".is_gzip = true};", ".is_gzip = false};", [ENDPOINT_TEST]),
    (ENDPOINT, "if (exchange->method() == \"HEAD\") {", "if (exchange->method() == \"OPTIONS\") {", [ENDPOINT_TEST]),
    (ENDPOINTS, "{.path = context_.options.results_path,", "{.path = \"/results\",", ["e2e.flags_test:Paths"]),

    (RESPONSE, "if (!options.omits_body) WriteReference", "WriteReference", [CONNECTION_TEST]),
    (RESPONSE, "    delete static_cast<Owner*>(owner);\n", "    static_cast<void>(owner);\n", [CONNECTION_TEST]),
    (RESPONSE, "rest.remove_prefix(piece.size());", "rest.remove_prefix(std::min(rest.size(), kPieceBytes + 1));",
     [CONNECTION_TEST]),
    (RESPONSE, "response.shared_body->size(), /*varies=*/true", "response.body.size(), /*varies=*/true", [CONNECTION_TEST]),
    (OPTIONS, "options.results_path == options.probe_path", "false", ["options_test"]),
]
