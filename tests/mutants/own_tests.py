"""Mutants of the exporter's own tests, as run.py takes them."""

WINDOW = "supervisor/config/time_window.cc"
READER = "supervisor/config/own_test_reader.cc"
PAGE = "supervisor/config/own_tests_page.cc"
REQUEST = "supervisor/probe/own_test_request.cc"
TIMING = "supervisor/probe/probe_timing.cc"
TIMES = "supervisor/schedule/start_times.cc"
SCHEDULE = "supervisor/schedule/schedule.cc"
OWN_TESTS = "supervisor/schedule/own_tests.cc"

WINDOW_TEST = "time_window_test"
STORE_TEST = "module_store_test"
REQUEST_TEST = "own_test_request_test"
TIMING_TEST = "probe_timing_test"
TIMES_TEST = "start_times_test"
SCHEDULE_TEST = "schedule_test"
E2E = "e2e.own_tests_test:"

# The file, its text, what stands there instead, and the tests of which one has to fail.
MUTANTS = [
    (WINDOW, "minute >= window.from", "minute > window.from", [WINDOW_TEST]),
    (WINDOW, "(ends_on_the_next_day || minute < window.to)", "minute < window.to", [WINDOW_TEST]),
    (WINDOW, "window.days.test(WeekdayOf(day - 1))", "window.days.test(WeekdayOf(day))", [WINDOW_TEST]),
    (WINDOW, "{begin.pre, begin.trans, begin.post}", "{begin.pre}", [WINDOW_TEST]),
    (WINDOW, "openings.emplace_back(zone.lookup(change.to).trans);", "{}", [WINDOW_TEST]),
    (WINDOW, "opening > time && (!first || opening < *first)", "!first || opening < *first", [WINDOW_TEST]),
    (WINDOW, "constexpr int kDaysAhead = 10;", "constexpr int kDaysAhead = 3;", [WINDOW_TEST]),
    (WINDOW, "IsAlnum(name.front()) &&", "", [WINDOW_TEST]),
    (WINDOW, "HasOnlyAlnumOr(name, \"_+-/\")", "HasOnlyAlnumOr(name, \"_+-/:\")", [WINDOW_TEST]),

    (READER, "if (tests.size() == kMaxOwnTests) {", "if (tests.size() > kMaxOwnTests) {", [STORE_TEST]),
    (READER, "constexpr std::chrono::seconds kMinEvery{10};", "constexpr std::chrono::seconds kMinEvery{9};", [STORE_TEST]),
    (READER, "if (window.days.none()) window.days.set();", "", [STORE_TEST]),
    (READER, "if (*from == *to) Refuse", "if (*from > *to) Refuse", [STORE_TEST]),
    (READER, "if (!names.insert(test->name).second) {", "if (!names.insert(test->name).second && names.empty()) {", [STORE_TEST]),
    (READER, "if (!yaml::IsAbsent(value)) return;", "if (!yaml::IsAbsent(value) || line != 0) return;", [STORE_TEST]),
    (READER, "day = (day + 1) % kWeekdays", "day = std::min(day + 1, *last)", [STORE_TEST]),
    (READER, "  std::ranges::sort(labels);\n", "", [STORE_TEST]),
    (READER, "if (windows.size() == kMaxWindows) {", "if (windows.size() == kMaxWindows + 1) {", [STORE_TEST]),

    (PAGE, "if (!test.port.empty()) out +=", "if (test.port.empty()) out +=", [STORE_TEST]),
    (REQUEST, "  if (const auto refusal = CheckPolicy(*request)) return refusal->text;\n", "", [STORE_TEST]),
    (REQUEST, "if (ShortestGap(test) >= run) return {};", "if (test.every >= run) return {};", [REQUEST_TEST]),
    (REQUEST, "request->own_test = test.name;", "", [REQUEST_TEST]),
    (REQUEST, "if (port.empty()) {", "if (port.empty() && test.module.empty()) {", [REQUEST_TEST]),
    (TIMING, "nanoseconds time_left = std::min(gap, lock_timeout", "nanoseconds time_left = std::max(gap, lock_timeout", [TIMING_TEST]),
    (TIMING, "? std::min(whole, *times.limit) : whole;", "? std::max(whole, *times.limit) : whole;", [TIMING_TEST]),

    (TIMES, "  names += '\\0';\n", "", [TIMES_TEST]),
    (TIMES, "return Mix(HashBytes(names));", "return HashBytes(names);", [TIMES_TEST]),
    (TIMES, "Mix(seed_ + static_cast<std::uint64_t>(ordinal))", "Mix(seed_ + static_cast<std::uint64_t>(ordinal > 0))", [TIMES_TEST]),
    (TIMES, "while (At(ordinal) <= time) ++ordinal;", "while (At(ordinal) < time) ++ordinal;", [TIMES_TEST]),
    (TIMES, "return std::clamp(nearest, MinGap(), MaxGap());", "return nearest;", [TIMES_TEST]),
    (SCHEDULE, "const bool is_missed = delay > kMaxDelay;", "const bool is_missed = delay >= kMaxDelay;", [SCHEDULE_TEST]),
    (SCHEDULE, ": test.due + test.times.GapAfter(now.wall - delay);", ": now.monotonic + test.times.GapAfter(now.wall);",
     [SCHEDULE_TEST]),
    (SCHEDULE, "? now.monotonic + (test.times.FirstAfter(now.wall) - now.wall)", "? now.monotonic", [SCHEDULE_TEST]),
    (SCHEDULE, "  due_.erase({test->second.due, id});\n", "", [SCHEDULE_TEST]),

    # One that is gone runs to its end.
    (OWN_TESTS, "context_.dispatcher.Cancel(*", "static_cast<void>(*", [E2E + "Reload.test_a_test_that_is_gone_is_cancelled"]),
    (OWN_TESTS, "if (due->is_missed) {", "if (due->is_missed && entry.is_busy) {",
     [E2E + "Schedule.test_a_start_that_was_missed_is_not_made_up_for"]),
    (OWN_TESTS, "if (!IsInWindows(test->windows,", "if (IsInWindows(test->windows,",
     [E2E + "Schedule.test_nothing_starts_outside_the_windows"]),
    (OWN_TESTS, "return Skip(entry, SkipReason::kLock, refusal.text);", "return Fail(entry, FailureReason::kResolve, refusal.text);",
     [E2E + "Schedule.test_what_finds_no_lock_is_skipped"]),
    (OWN_TESTS, "if (!HasSameStarts(*entry.test, *test)) {", "if (HasSameStarts(*entry.test, *test)) {",
     [E2E + "Reload.test_results_and_start_times_stay"]),
    (OWN_TESTS, "if (*entries_.at(id).result.test == *identity) {", "if (true) {", [E2E + "Reload.test_results_and_start_times_stay"]),
    (OWN_TESTS, "    Update(id, entries_.at(id), test);\n", "    ids_.erase(test->name);\n    Drop(id);\n    Add(test, std::move(identity));\n", [E2E + "Reload.test_a_test_that_stays_goes_on"]),
]
