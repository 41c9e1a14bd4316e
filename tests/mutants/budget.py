"""Mutants of what tests transfer and of their budgets, as run.py takes them."""

TRAFFIC = "common/iperf3/traffic.cc"
COUNT = "worker/iperf3/traffic_count.cc"
CLOCK = "supervisor/budget/boot_clock.cc"
STATE = "supervisor/budget/budget_state.cc"
DIRECTORY = "supervisor/budget/state_directory.cc"
BOOK = "supervisor/budget/budget_book.cc"
LEDGER = "supervisor/budget/budget_ledger.cc"
CHECK = "supervisor/budget/budget_check.cc"
PROGRESS = "supervisor/probe/probe_progress.cc"
TABLE = "supervisor/probe/probe_table.cc"
WIRE = "common/wire/wire.cc"
OWN_TESTS = "supervisor/schedule/own_tests.cc"
REQUEST = "supervisor/probe/own_test_request.cc"
STORE = "supervisor/app/module_store.cc"

COUNT_TEST = "traffic_count_test"
STATE_TEST = "budget_state_test"
DIRECTORY_TEST = "state_directory_test"
BOOK_TEST = "budget_book_test"
CRASH_TEST = "budget_crash_process_test"
LEDGER_TEST = "budget_ledger_test"
PROGRESS_TEST = "probe_progress_test"
OWN_TESTS_TEST = "own_tests_budget_process_test"

# The file, its text, what stands there instead, and the tests of which one has to fail.
MUTANTS = [
    (TRAFFIC, "const double segments = std::ceil(payload / segment) + retransmits;",
     "const double segments = std::ceil(payload / segment);",
     ["traffic_test"]),
    (TRAFFIC, "payload + datagrams * (kUdpHeaderBytes + fragments * header)",
     "payload + datagrams * (kUdpHeaderBytes + header)",
     ["traffic_test"]),
    (TRAFFIC, "return {ToBytes(up.data_bytes + down.ack_bytes), ", "return {ToBytes(up.data_bytes), ", ["traffic_test"]),
    (TRAFFIC, "if (test.bytes && test.omit_seconds == 0) {", "if (test.bytes) {", ["traffic_test"]),
    (TRAFFIC, "if (test.burst_packets) return std::nullopt;", "", ["traffic_test"]),
    (TRAFFIC, "test.direction == Direction::kBidirectional ? 2 : 1", "1", ["traffic_test"]),
    (TRAFFIC, "const double seconds = test.omit_seconds + test.period_seconds + overhead;",
     "const double seconds = test.period_seconds + overhead;", ["traffic_test"]),
    (TRAFFIC, "return value > 0 ? std::min(value, static_cast<double>(kMaxTrafficBytes)) : 0;",
     "return value;", ["traffic_test"]),

    (COUNT, "if (time == direction.last || time.end <= time.start) return;",
     "if (time.end <= time.start) return;", [COUNT_TEST]),
    (COUNT, "total->bytes + counted.omitted_bytes", "total->bytes", [COUNT_TEST]),
    (COUNT, "  if (!is_ended) return", "  if (is_ended) return", [COUNT_TEST]),
    (COUNT, "return missing > kMaxDeviationSeconds ? missing : 0;", "return 0;", [COUNT_TEST]),
    (COUNT, "direction.omitted_seconds += seconds;", "", [COUNT_TEST]),
    (COUNT, "  if (rate == 0) return std::nullopt;\n", "", [COUNT_TEST]),
    (COUNT, "directions[is_reverse || sums > 0 ? 1 : 0]", "directions[is_reverse ? 1 : 0]", [COUNT_TEST]),
    (COUNT, "  if (seconds <= 0) return payload;\n", "", [COUNT_TEST]),
    (COUNT, "if (test.protocol == Protocol::kUdp) return received;", "", [COUNT_TEST]),
    (COUNT, "std::clamp(download.sent_bytes.value_or(0), received, received + unread)",
     "std::clamp(download.sent_bytes.value_or(0), received, 1e300 + unread)", [COUNT_TEST]),
    (COUNT, "if (!has_begun && counted[0].seconds == 0 && !end.has_any) return Traffic{};",
     "if (!has_begun) return Traffic{};",
     [COUNT_TEST]),

    (WIRE, "fields.Number(\"traffic\", traffic.download_bytes, 0, kMaxTrafficBytes);",
     "fields.Number(\"traffic\", traffic.download_bytes);",
     ["wire_test"]),

    # A worker's word.
    (PROGRESS, "    traffic_.reset();\n", "", [PROGRESS_TEST]),
    (PROGRESS, "const double min_bytes = std::min(measured_bytes.value_or(0), max_bytes);",
     "const double min_bytes = std::min(0 * measured_bytes.value_or(0), max_bytes);", [PROGRESS_TEST]),
    (PROGRESS, "if (request_.has_budget && traffic_ != Traffic{}) return std::nullopt;", "", [PROGRESS_TEST]),
    (TABLE, "if (probe.ended) probe.ended(probe.progress.traffic());",
     "if (probe.ended && probe.done) probe.ended(probe.progress.traffic());",
     ["probe_dispatcher_process_test"]),

    (CLOCK, "if (now.boot < earlier.boot) return std::max(wall, now.boot);", "if (now.boot < earlier.boot) return wall;",
     ["boot_clock_test"]),
    (CLOCK, "return std::min(wall, now.boot - earlier.boot);", "return wall;", ["boot_clock_test"]),

    (STATE, "now_.boot - entry.end >= per", "now_.boot - entry.begin >= per", [STATE_TEST]),
    (STATE, "now_.boot - entries_.back().begin >= width", "now_.boot - entries_.back().end >= width", [STATE_TEST]),
    (STATE, "if (name != test) return MakeError(", "if (!name || test.empty()) return MakeError(", [STATE_TEST]),
    (STATE, "  if (text.substr(body.size()) != \"end \" + Checksum(body) + '\\n') {",
     "  if (!text.ends_with('\\n')) {", [STATE_TEST]),
    (STATE, "{.boot = std::max(now_.boot, now.boot), .wall = now.wall}", "now", [STATE_TEST]),

    (DIRECTORY, "::flock(directory->get(), LOCK_EX | LOCK_NB) != 0", "false", [DIRECTORY_TEST]),
    (DIRECTORY, "(S_IWGRP | S_IWOTH)", "S_IWOTH", [DIRECTORY_TEST]),
    (DIRECTORY, "O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK", "O_RDONLY | O_CLOEXEC | O_NONBLOCK", [DIRECTORY_TEST]),
    (DIRECTORY, "    if (errno == ENOENT) return std::nullopt;\n", "    return std::nullopt;\n", [DIRECTORY_TEST]),
    (DIRECTORY, "if (::fsync(file.get()) != 0) return failed(ErrnoError(\"fsync\").value());", "", [CRASH_TEST]),
    (DIRECTORY, "if (::fsync(directory_.get()) != 0) return failed(ErrnoError(\"fsync\").value());", "", [CRASH_TEST]),
    (DIRECTORY, "O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC", "O_WRONLY | O_CREAT | O_CLOEXEC", [DIRECTORY_TEST]),
    (DIRECTORY, "const std::string temporary = '.' + name;", "const std::string temporary = name;", [CRASH_TEST]),

    (BOOK, "if (bytes > before.left_bytes) return", "if (before.left_bytes == 0) return", [BOOK_TEST]),
    (BOOK, "    **state = unreserved;\n", "", [BOOK_TEST]),
    (BOOK, "    (*state)->Remove(reserved.bytes, reserved.at);\n", "", [BOOK_TEST]),
    (BOOK, "if (!text) return tl::unexpected(text.error());",
     "if (!text) return &states_.emplace(test, BudgetState(now)).first->second;",
     [BOOK_TEST]),
    (BOOK, "    if (!state) {\n", "    if (!state) state = BudgetState(now);\n    if (!state) {\n", [BOOK_TEST]),

    (LEDGER, "    (void)book_->Settle(id, settlement.bytes);\n",
     "    (void)(id + settlement.test.size());\n", [LEDGER_TEST]),
    (LEDGER, "traffic ? std::optional(traffic->Total()) : std::nullopt",
     "traffic ? std::optional(traffic->Total()) : std::optional(std::uint64_t{0})",
     [LEDGER_TEST]),
    (LEDGER, "if ((*next)->budget) looks->push_back", "looks->push_back", [LEDGER_TEST]),
    (LEDGER, "request.decided(is_reserved ? std::optional(id) : std::nullopt);",
     "request.decided(is_reserved || id != 0 ? std::optional(id) : std::nullopt);",
     [LEDGER_TEST]),

    (OWN_TESTS, "if (reservation) hooks_.settle(*reservation, traffic);",
     "if (reservation && traffic) hooks_.settle(*reservation, traffic);", [OWN_TESTS_TEST]),
    (OWN_TESTS, "if (reservation) hooks_.settle(*reservation, Traffic{});", "", [OWN_TESTS_TEST]),
    (OWN_TESTS, "result.downloaded_bytes += traffic->download_bytes;", "", [OWN_TESTS_TEST]),
    (OWN_TESTS, "    ++entry.result.skipped[static_cast<std::size_t>(SkipReason::kBudget)];\n", "", [OWN_TESTS_TEST]),
    (OWN_TESTS, "if (!test->budget || !hooks_.reserve) return Run(", "if (!hooks_.reserve) return Run(", [OWN_TESTS_TEST]),
    (REQUEST, "if (!checked) return \"budget: \" + checked.error().message;", "", ["module_store_test"]),
    (STORE, "if (!options.state_directory.empty() || test == modules",
     "if (options.state_directory.empty() || test == modules", ["module_store_test"]),

    (CHECK, "if (*worst_case > budget.bytes) {", "if (*worst_case >= budget.bytes) {", ["budget_check_test"]),
]
