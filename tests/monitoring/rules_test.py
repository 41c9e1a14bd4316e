"""The rules of monitoring/rules at each interval that docs/OPERATIONS.md and the shipped scrape configurations name,
and with the job names of these configurations. Alerts are silent before the fault, fire without a gap while it lasts, and
are silent after it: one for each of three ports of a host, and one for a target with a list of ports. rules.yml beside this
file has the texts of the alerts."""

import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import unittest

from scrape_configurations import (EXPORTER_JOB, MONITORING, ROOT, scrape_configurations, seconds)

RULES = MONITORING / "rules/iperf3_exporter.yml"
EXPECTED_RATES = MONITORING / "rules/expected_rates.yml"
# In minutes. The fault lasts for several of the longest intervals, but not for most of the time: the usual rate is a
# median.
BEGIN, END, MINUTES_AFTER = 120, 220, 40
# Of which expected_rates.yml expects 90 Mbit/s in the job iperf3.
TARGET = "iperf-a.example.org"
# As in "stale" of promtool: this scrape no longer has the series.
ABSENT = "stale"
# The ports of each scrape of TARGET, by its instance: three servers of one host, and one target with a list of ports.
SCRAPES = {f"{TARGET}:{port}": (port,) for port in (5201, 5202, 5203)} | {TARGET: (5201, 5202, 5203)}
# The order in which the ports of a list are tested: irregular, and the first one never twice in succession.
TURNS = (0, 1, 1, 2, 0, 2, 2, 1, 0, 1, 2)


def intervals_in_operations():
    """In seconds, from the table of recommended intervals."""
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    rows = re.findall(r"^\| \d+ \| \d+ s \| .*$", text, re.MULTILINE)
    return {seconds(row.split("|")[4].strip().replace(" ", "").replace("min", "m")) for row in rows}


def own_test_intervals_in_operations():
    """In minutes, from the paragraph about alerts for own tests."""
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    (intervals,) = re.findall(r"tested with intervals of\s(.*?) \(`every`\)", text, re.DOTALL)
    return [seconds(number + unit[0]) // 60 for number, unit in re.findall(r"(\d+) (min|h)", intervals)]


OWN_TEST_INTERVALS = own_test_intervals_in_operations()
JOBS = [job for configuration in scrape_configurations() for job in configuration["jobs"]]
PROBE_JOBS = sorted({job["name"] for job in JOBS if job["path"] == "/probe"})
METRICS_JOBS = sorted({job["name"] for job in JOBS if job["path"] == "/metrics"})
PROBE_INTERVALS = sorted(intervals_in_operations() | {job["interval"] for job in JOBS if job["path"] == "/probe"})
# An exporter's own metrics need no more than the interval of other exporters.
METRICS_INTERVALS = sorted({15} | {job["interval"] for job in JOBS if job["path"] == "/metrics"})


@dataclasses.dataclass
class Fault:
    """Series with their values before and during the fault. A value that is a list changes from sample to sample;
    of one that is a function the argument is the number of samples since the fault began."""
    alert: str
    series: dict
    fires_after: int = 30    # minutes after the first bad sample
    clears_after: int = 1    # minutes after the first good sample
    labels: dict = dataclasses.field(default_factory=dict)  # of the alert, besides those of the job
    jobs: tuple = ()         # the jobs in which the alert fires; empty: in all


RATE = 'iperf3_bits_per_second{%s, direction="upload", side="receiver"}'
LOSS = 'iperf3_lost_ratio{%s, direction="upload"}'
UP = "iperf3_up{%s}"
OF_TESTS = [
    Fault("Iperf3ProbeFailing", {UP: (1, 0), 'iperf3_probe_failure{%s, reason="no_data"}': (ABSENT, 1)},
          labels={"reason": "no_data"}),
    Fault("Iperf3ProbeScrapeFailing", {"up{%s}": (1, 0)}),
    Fault("Iperf3NothingReceived", {UP: (1, 1), RATE: (1e6, 0)}, labels={"direction": "upload"}),
    Fault("Iperf3BandwidthLow", {UP: (1, 1), RATE: (1e9, 4e8)}, labels={"direction": "upload"}),
    Fault("Iperf3BandwidthBelowExpected",
          {UP: (1, 1), RATE: (91e6, 89e6)}, labels={"direction": "upload"}, jobs=("iperf3",)),
    Fault("Iperf3PacketLoss", {UP: (1, 1), LOSS: (0, 0.02)},
          labels={"direction": "upload"}),
    Fault("Iperf3PeriodCut", {"iperf3_test_period_seconds{%s}": (10, 4),
                              "iperf3_requested_period_seconds{%s}": (10, 10)}),
]
@dataclasses.dataclass
class OwnTestFault:
    """What a start of an own test does between BEGIN and END instead of running."""
    alert: str
    reason: str              # of the skipped start; empty: it is missed
    has_budget_bytes: bool = True
    first_after: int = 2     # minutes after the start at which the alert fires
    last_after: int = 121    # minutes after it at which a single start no longer fires
    ends_with_a_run: bool = False


OF_OWN_TESTS = [
    OwnTestFault("Iperf3OwnTestMissed", "lock", first_after=36, last_after=152, ends_with_a_run=True),
    OwnTestFault("Iperf3OwnTestMissed", "", first_after=36, last_after=152, ends_with_a_run=True),
    OwnTestFault("Iperf3BudgetUsedUp", "budget"),
    OwnTestFault("Iperf3BudgetUnreadable", "budget", has_budget_bytes=False),
]
OF_EXPORTERS = [
    Fault("Iperf3ExporterDown", {"up{%s}": (1, 0)}, fires_after=5),
    Fault("Iperf3ExporterNoWorkers", {'iperf3_exporter_workers{%s, state="idle"}': (4, 0),
                                      'iperf3_exporter_workers{%s, state="busy"}': (0, 0)}, fires_after=1),
    Fault("Iperf3ExporterWorkersRestarting",
          {'iperf3_exporter_worker_restarts_total{%s, reason="crashed"}': (0, lambda sample: sample)},
          fires_after=6, clears_after=30, labels={"reason": "crashed"}),
    Fault("Iperf3ExporterQueueLong", {"iperf3_exporter_queue_length{%s}": (0, 8)}, fires_after=16),
    Fault("Iperf3ExporterLockTimeouts", {"iperf3_exporter_lock_timeouts_total{%s}": (0, lambda sample: sample)},
          fires_after=13, clears_after=31),
    Fault("Iperf3ExporterSandboxIncomplete",
          {'iperf3_exporter_sandbox_layer{%s, process="iperf3", layer="seccomp"}': (1, 0)}, fires_after=5,
          labels={"process": "iperf3"}),
    Fault("Iperf3ExporterReloadFailed", {"iperf3_exporter_config_last_reload_successful{%s}": (1, 0)}, fires_after=1),
]


def value_at(value, sample):
    return value(sample) if callable(value) else value


def samples_of(good, bad, interval):
    """The values of a series from minute 0 on, one for each scrape."""
    last_bad = 0 if not callable(bad) else None
    values = []
    for second in range(0, (END + MINUTES_AFTER) * 60 + 1, interval):
        if BEGIN * 60 <= second < END * 60:
            last_bad = value_at(bad, second // interval - BEGIN * 60 // interval)
            values.append(last_bad)
        else:
            # A counter keeps its value after the fault.
            values.append(last_bad if callable(bad) and last_bad is not None else good)
    return values


def by_port(values, ports):
    """The values of each port's series. A series ends when another port is tested."""
    for port in range(len(ports)):
        yield [value if len(ports) == 1 or TURNS[i % len(TURNS)] == port else ABSENT for i, value in enumerate(values)]


def series_of(name, labels, values, ports=()):
    """As promtool reads them: one without the label `port`, or one for each of `ports`."""
    of_ports = {f'{labels}, port="{port}"': own for port, own in zip(ports, by_port(values, ports))}
    for all_labels, own in (of_ports or {labels: values}).items():
        yield {"series": name % all_labels,
               "values": " ".join(value if value == ABSENT else f"{value:g}" for value in own)}


def own_test_series(labels, every, is_bad, fault, minutes):
    """A test that is due every `every` minutes, runs for ten seconds, and is scraped each minute."""
    last, skipped, runs = None, 0, 0
    columns = {"next_run_timestamp_seconds{%s}": [], "last_run_timestamp_seconds{%s}": [],
               'skipped_total{%s, reason="budget"}': [], 'skipped_total{%s, reason="lock"}': [],
               'budget_bytes{%s, state="left"}': []}
    for minute in range(minutes):
        if minute and minute % every == 0:
            if is_bad(minute):
                skipped += 1
            else:
                last = minute * 60 + 10
        values = ((minute // every + 1) * every * 60, ABSENT if last is None or minute * 60 < last else last,
                  skipped if fault.reason == "budget" else 0, skipped if fault.reason == "lock" else 0,
                  100 if fault.has_budget_bytes else ABSENT)
        for column, number in zip(columns.values(), values):
            column.append(number)
    # During the ten seconds the last run is still the one before.
    runs = columns["last_run_timestamp_seconds{%s}"]
    for minute in range(1, minutes):
        if runs[minute] == ABSENT and runs[minute - 1] != ABSENT:
            runs[minute] = runs[minute - 1]
    return [each for name, column in columns.items() for each in series_of(f"iperf3_{name}", labels, column)]


def own_test_test(fault, every):
    """A test of promtool: one own test has the fault for a while, another one of the same exporter has not."""
    begin = -(-180 // every) * every
    end = begin + max(2 * every, 240)
    resumed = -(-end // every) * every
    starts = range(begin, resumed, every)
    minutes = resumed + 200
    labels = 'job="iperf3_results", instance="x", test="%s", target="a", port="5201", module=""'
    series = own_test_series(labels % "bad", every, starts.__contains__, fault, minutes)
    series += own_test_series(labels % "good", every, lambda _: False, fault, minutes)
    alert = f'count by (test) (ALERTS{{alertname="{fault.alert}", alertstate="firing"}})'
    fires = begin + fault.first_after
    clears = resumed + 2 if fault.ends_with_a_run else starts[-1] + fault.last_after
    # A start that is followed by no other for hours is forgotten.
    until = clears if every <= 60 else begin + fault.last_after - 4
    sample = [{"labels": '{test="bad"}', "value": 1}]
    others = sorted({each.alert for each in OF_OWN_TESTS} - {fault.alert})
    return {
        "name": f"{fault.alert} ({fault.reason or 'missed'}) every {every} minutes", "interval": "1m", "input_series": series,
        "promql_expr_test": [
            {"expr": f"max_over_time({alert}[{begin - 1}m:1m])", "eval_time": f"{begin - 1}m", "exp_samples": []},
            {"expr": alert, "eval_time": f"{fires}m", "exp_samples": sample},
            {"expr": f"count_over_time({alert}[{until - 3 - fires}m:1m])", "eval_time": f"{until - 3}m",
             "exp_samples": [{"labels": '{test="bad"}', "value": until - 2 - fires}]},
            {"expr": alert, "eval_time": f"{max(clears, begin + fault.last_after) + 1}m", "exp_samples": []},
            *({"expr": f'max_over_time(ALERTS{{alertname="{other}", alertstate="firing"}}[{minutes}m])',
               "eval_time": f"{minutes}m", "exp_samples": []} for other in others),
        ],
    }


def first_sample(minute, interval):
    """The minute at which the first scrape at or after `minute` is seen."""
    second = -(-minute * 60 // interval) * interval
    return -(-second // 60)


def firing(alert, *more):
    matchers = ", ".join((f'alertname="{alert}"', 'alertstate="firing"', *more))
    return f"count by (job) (ALERTS{{{matchers}}})"


def expectation(expression, minute, jobs, value):
    return {"expr": expression, "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{job="{job}"}}', "value": value} for job in jobs]}


def test_of(fault, jobs, interval):
    """A test of promtool: every job has a faulty target in several scrapes and a good one."""
    series = []
    for name, (good, bad) in fault.series.items():
        of_tests = not name.startswith(("up{", "iperf3_exporter_"))
        for job in jobs:
            for instance, ports, target, during in (
                    *((instance, ports, TARGET, bad) for instance, ports in SCRAPES.items()),
                    ("b", (5201, 5202, 5203), "b", good)):
                labels = f'job="{job}", instance="{instance}"' + (f', target="{target}"' if of_tests else "")
                series += series_of(name, labels, samples_of(good, during, interval), ports if of_tests else ())
    begin, end = first_sample(BEGIN, interval), first_sample(END, interval)
    fires, clears = begin + fault.fires_after + 1, end + fault.clears_after + 1
    jobs = [job for job in jobs if job in fault.jobs] if fault.jobs else jobs
    wanted = [f'{label}="{value}"' for label, value in fault.labels.items()]
    throughout = f"count_over_time({firing(fault.alert)}[{end - 1 - fires}m:1m])"
    return {
        "name": f"{fault.alert} at an interval of {interval} s",
        "interval": f"{interval}s",
        "input_series": series,
        "promql_expr_test": [
            expectation(firing(fault.alert), begin, [], 0),
            expectation(firing(fault.alert, *wanted), fires, jobs, len(SCRAPES)),
            expectation(throughout, end - 1, jobs, end - fires),
            expectation(firing(fault.alert), clears, [], 0),
        ],
    }


class RulesTest(unittest.TestCase):
    def assert_passed(self, tests):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "tests.yml"
            # JSON is YAML.
            file.write_text(json.dumps({"rule_files": [str(RULES), str(EXPECTED_RATES)], "evaluation_interval": "1m", "tests": tests}))
            result = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)

    def assert_silent(self, alert, interval, series):
        """Over six hours."""
        ever = f"max_over_time({firing(alert)}[6h:1m])"
        self.assert_passed([{"interval": f"{interval}s", "input_series": series,
                             "promql_expr_test": [expectation(ever, 6 * 60, [], 0)]}])

    def test_names_and_intervals_were_found(self):
        self.assertLessEqual({15, 70, 120, 300, 1200}, set(PROBE_INTERVALS))
        self.assertLessEqual({"iperf3", "iperf3_download", "iperf3_udp", "iperf3_wan"}, set(PROBE_JOBS))
        for job in METRICS_JOBS:
            self.assertRegex(job, EXPORTER_JOB)
        for job in PROBE_JOBS:
            self.assertNotRegex(job, EXPORTER_JOB)

    def test_every_alert_has_a_fault(self):
        alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
        self.assertEqual(sorted(alerts), sorted({fault.alert for fault in OF_TESTS + OF_OWN_TESTS + OF_EXPORTERS}))

    def test_alerts_about_tests(self):
        for interval in PROBE_INTERVALS:
            with self.subTest(interval=interval):
                self.assert_passed([test_of(fault, ["iperf3"], interval) for fault in OF_TESTS])

    def test_alerts_about_tests_know_the_jobs(self):
        self.assert_passed([test_of(fault, PROBE_JOBS, PROBE_INTERVALS[-1]) for fault in OF_TESTS])

    def test_alerts_about_own_tests(self):
        self.assertGreaterEqual(len(OWN_TEST_INTERVALS), 3)
        for every in OWN_TEST_INTERVALS:
            with self.subTest(every=every):
                self.assert_passed([own_test_test(fault, every) for fault in OF_OWN_TESTS])

    def test_alerts_about_exporters(self):
        for interval in METRICS_INTERVALS:
            with self.subTest(interval=interval):
                self.assert_passed([test_of(fault, METRICS_JOBS, interval) for fault in OF_EXPORTERS])

    def test_recorded_values(self):
        for interval in PROBE_INTERVALS:
            count = 6 * 3600 // interval + 1
            ups = [i % 3 % 2 for i in range(count)]  # 0 1 0 0 1 0
            labels = 'job="iperf3", target="b"'
            # After ten minutes without a sample: most intervals are longer than the time after which a series is stale.
            minute = -(-(count - 1) * interval // 60) + 10
            rates = [(5, 7, 9)[i % 3] for i in range(count)]
            losses = [0.01 * (i % 3) for i in range(count)]
            for ports in ((5201,), (5201, 5202, 5203)):
                of_ports = [[rate for rate in own if rate != ABSENT] for own in by_port(rates, ports)]
                usual = sum(statistics.median(own) * len(own) for own in of_ports) / count
                wanted = (("target:iperf3_up:last", UP, ups[-1]), ("target:iperf3_up:avg1d", UP, sum(ups) / count),
                          ("target:iperf3_bits_per_second:last", RATE, rates[-1]),
                          ("target:iperf3_lost_ratio:last", LOSS, losses[-1]),
                          ("target:iperf3_bits_per_second:median7d", RATE, usual))
                tests = [{"expr": f"round({record}, 0.001)", "eval_time": f"{minute}m", "exp_samples": [
                    {"labels": (name % labels)[name.index("{"):], "value": round(value, 3)}]} for record, name, value in wanted]
                series = [each for name, values in ((UP, ups), (RATE, rates), (LOSS, losses))
                          for each in series_of(name, labels, values, ports)]
                with self.subTest(interval=interval, ports=ports):
                    self.assert_passed([{"interval": f"{interval}s", "promql_expr_test": tests, "input_series": series}])
        for interval in METRICS_INTERVALS:
            labels = '{job="iperf3_exporter", instance="x", reason="exec"}'
            self.assert_passed([{"interval": f"{interval}s", "input_series": [
                {"series": f"iperf3_exporter_probe_failures_total{labels}", "values": f"0+{interval}x{3600 // interval}"}],
                "promql_expr_test": [{"expr": "round(instance_reason:iperf3_exporter_probe_failures:rate15m, 0.001)", "eval_time": "50m",
                                      "exp_samples": [{"labels": labels, "value": 1}]}]}])

    def test_a_change_of_the_reason_does_not_interrupt_the_alert(self):
        turns = ("resolve", "deadline")
        series = {UP: (1, 0)}
        for turn, name in enumerate(turns):
            series[f'iperf3_probe_failure{{%s, reason="{name}"}}'] = (
                ABSENT, lambda sample, turn=turn: 1 if sample % 2 == turn else ABSENT)
        for interval in PROBE_INTERVALS:
            with self.subTest(interval=interval):
                self.assert_passed([test_of(Fault("Iperf3ProbeFailing", series), ["iperf3"], interval)])

    def test_a_target_that_fails_at_times_is_not_reported(self):
        for interval in PROBE_INTERVALS:
            count = 6 * 3600 // interval + 1
            series = [each for name, values in ((UP, (0, 1)), ('iperf3_probe_failure{%s, reason="server_busy"}', (1, ABSENT)))
                      for each in series_of(name, 'job="iperf3", target="a"', [values[i % 2] for i in range(count)])]
            with self.subTest(interval=interval):
                self.assert_silent("Iperf3ProbeFailing", interval, series)

    def test_one_bad_port_of_a_list_is_not_reported(self):
        for interval in PROBE_INTERVALS:
            for fault in (fault for fault in OF_TESTS if fault.alert != "Iperf3ProbeScrapeFailing"):
                turns = [TURNS[i % len(TURNS)] for i in range(6 * 3600 // interval + 1)]
                series = [each for name, (good, bad) in fault.series.items() for each in series_of(
                    name, f'job="iperf3", instance="{TARGET}", target="{TARGET}"',
                    [good if turn else bad for turn in turns], (5201, 5202, 5203))]
                with self.subTest(interval=interval, alert=fault.alert):
                    self.assert_silent(fault.alert, interval, series)


if __name__ == "__main__":
    unittest.main()
