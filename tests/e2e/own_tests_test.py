"""The exporter's own tests (`tests` of --config.file) in the real programs: schedule, windows, reloads, shutdown."""

import collections
import pathlib
import re
import signal
import time
import unittest

from harness import CountingServer, Exporter, Overlap, free_port, in_background, temporary_directory, value, wait_until

MODULES = "modules: {quick: {period: 1s, bitrate: 1M}, slow: {period: 7s, bitrate: 1M}}\n"
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def own_test(name, server, module="quick", every="10s", **more):
    """One item of the list."""
    keys = {"name": name, "target": "127.0.0.1", "port": server.port, "module": module, "every": every, **more}
    return "  - {" + ", ".join(f"{key}: {text}" for key, text in keys.items()) + "}\n"


class OwnTests(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(temporary_directory()))
        self.file = self.directory / "config.yml"

    def server(self):
        return self.enterContext(CountingServer(self.directory))

    def write(self, *tests):
        self.file.write_text(MODULES + "tests:\n" + "".join(tests), encoding="utf-8")

    def exporter(self, *tests, flags=()):
        self.write(*tests)
        return self.enterContext(Exporter(f"--config.file={self.file}", "--log.level=debug", *flags))

    def reload(self, exporter, *tests):
        self.write(*tests)
        self.assertEqual(exporter.request("POST", "/-/reload").status, 200, exporter.log)

    @staticmethod
    def runs(exporter, result="succeeded"):
        """How often each test has run."""
        names = re.findall(rf'msg="probe {result}".* test=(\S+)', "\n".join(list(exporter.lines)))
        return collections.Counter(names)

    def wait_for_run(self, exporter, name, count=1, seconds=30):
        wait_until(lambda: self.runs(exporter)[name] >= count, f"{name} ran\n{exporter.log}", seconds)


class Schedule(OwnTests):
    def test_ten_tests_on_three_servers_beside_probes(self):
        servers = [self.server() for _ in range(3)]
        tests = [own_test(f"t{i}", servers[i % 3], every="20s") for i in range(10)]
        exporter = self.exporter(*tests)
        probes = 0
        with Overlap(exporter) as overlap:
            end = time.monotonic() + 42
            while time.monotonic() < end:
                answer = exporter.probe(port=servers[probes % 3].port, module="quick", scrape_timeout=60)
                self.assertEqual((answer.status, value(answer.metrics(), "iperf3_up")), (200, 1), exporter.log)
                probes += 1
                time.sleep(2)
        self.assertEqual(overlap.max_seen, 1)
        runs = self.runs(exporter)
        self.assertEqual(set(runs), {f"t{i}" for i in range(10)}, exporter.log)
        for name, count in runs.items():
            self.assertIn(count, (1, 2, 3), name)
        self.assertNotIn("own test skipped", exporter.log)
        wait_until(lambda: not exporter.iperf3(), "the last test has ended")
        self.assertEqual(sum(server.tests() for server in servers), sum(self.runs(exporter).values()) + probes)

    def test_starts_are_an_interval_apart(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server))
        self.wait_for_run(exporter, "a", count=3, seconds=45)
        starts = [float(minute) * 60 + float(second) for minute, second in
                  re.findall(r'T\d\d:(\d\d):([\d.]+)Z level=debug msg="test starts"', exporter.log)]
        for earlier, later in zip(starts, starts[1:]):
            self.assertAlmostEqual((later - earlier) % 3600, 10, delta=0.5)

    def test_a_start_that_was_missed_is_not_made_up_for(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server))
        self.wait_for_run(exporter, "a")
        time.sleep(6)
        exporter.process.send_signal(signal.SIGSTOP)
        time.sleep(7)
        exporter.process.send_signal(signal.SIGCONT)
        exporter.wait_for_line('msg="start of an own test missed" reason=late test=a')
        self.assertEqual(self.runs(exporter)["a"], 1)
        self.wait_for_run(exporter, "a", count=2)
        self.assertEqual(server.tests(), 2)

    def test_nothing_starts_outside_the_windows(self):
        server = self.server()
        now = time.gmtime()
        days = f"{WEEK[(now.tm_wday - 1) % 7]}-{WEEK[(now.tm_wday + 1) % 7]}"
        today = f"{{days: [{days}], from: 00:00, to: 24:00}}"
        other = WEEK[(now.tm_wday + 3) % 7]
        exporter = self.exporter(own_test("now", server, windows=f"[{today}]"),
                                 own_test("later", server, windows=f"[{{days: [{other}], from: 00:00, to: 24:00}}]"))
        exporter.wait_for_line('msg="own test outside its windows" test=later')
        self.wait_for_run(exporter, "now")
        self.assertEqual(self.runs(exporter)["later"], 0)

    def test_a_test_that_never_runs_is_named(self):
        # The hour of the day is a hash of the host's name: of two windows it can be in one only.
        server = self.server()
        windows = ('[{from: "00:00", to: "12:00"}]', '[{from: "12:00", to: "24:00"}]')
        exporter = self.exporter(own_test("day", server, every="24h", windows=windows[0]))
        if "iperf3_next_run_timestamp_seconds{" in exporter.get("/results").text:
            self.reload(exporter, own_test("day", server, every="24h", windows=windows[1]))
        exporter.wait_for_line('msg="own test never runs" reason=window test=day')
        self.assertEqual(exporter.get("/results").text.count("iperf3_next_run_timestamp_seconds{"), 0)

    def test_a_scrape_joins_an_own_test(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server, module="slow"))
        wait_until(exporter.iperf3, "the test", 15)
        answer = exporter.probe(port=server.port, module="slow", max_age="60s", scrape_timeout=30)
        self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, exporter.log)
        exporter.wait_for_line("probe joined the test of another request")
        self.assertEqual((server.tests(), self.runs(exporter)["a"]), (1, 1))

    def test_what_finds_no_lock_is_skipped(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server), flags=("--lock.timeout=1s",))
        thread, answers = in_background(lambda: exporter.probe(port=server.port, period="20s", bitrate="1M", scrape_timeout=60))
        exporter.wait_for_line('msg="own test skipped" reason=lock test=a')
        self.assertEqual(self.runs(exporter)["a"], 0)
        thread.join()
        self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1)
        self.wait_for_run(exporter, "a")

    def test_a_failed_test_names_its_reason(self):
        class Nobody:
            port = free_port()
        exporter = self.exporter(own_test("a", Nobody))
        exporter.wait_for_line('msg="probe failed" reason=connection_refused .*test=a')


    def test_a_test_that_policy_refuses_keeps_its_port(self):
        class Nobody:
            port = free_port()

        exporter = self.exporter(own_test("refused", Nobody, target="localhost"),
                                 flags=("--probe.deny-target=127.0.0.0/8", "--probe.deny-target=::1/128"))
        wait_until(lambda: value(exporter.get("/results").metrics(), "iperf3_runs_total", result="failure") == 1, "it failed")
        self.assertEqual(value(exporter.get("/results").metrics(), "iperf3_up", test="refused", port=str(Nobody.port)), 0)


class Reload(OwnTests):
    def test_a_test_that_is_gone_is_cancelled(self):
        server = self.server()
        exporter = self.exporter(own_test("gone", server, module="slow"))
        wait_until(exporter.iperf3, "the test", 15)
        self.reload(exporter, own_test("new", server))
        exporter.wait_for_line('msg="own test cancelled: .*test=gone')
        wait_until(lambda: not exporter.iperf3(), "its iperf3 has ended", 2)
        self.wait_for_run(exporter, "new")
        self.assertEqual(self.runs(exporter), {"new": 1})

    def test_a_test_that_stays_goes_on(self):
        server = self.server()
        exporter = self.exporter(own_test("stays", server, module="slow"), own_test("gone", server))
        wait_until(lambda: any("-t 7" in line for line in list(exporter.lines)), "the test", 25)
        self.reload(exporter, own_test("stays", server, module="slow"), own_test("new", server))
        self.wait_for_run(exporter, "stays")
        self.assertEqual(sum("-t 7" in line for line in list(exporter.lines)), 1, exporter.log)
        self.assertNotIn("gone", exporter.get("/config").text)

    def test_results_and_start_times_stay(self):
        server = self.server()

        def samples(exporter):
            return {name: {test: value(exporter.get("/results").metrics(), f"iperf3_{name}", test=test, **labels)
                           for test in ("same", "slower", "moved")}
                    for name, labels in (("runs_total", {"result": "success"}), ("next_run_timestamp_seconds", {}))}
        exporter = self.exporter(*(own_test(name, server, every="12s") for name in ("same", "slower", "moved")))
        wait_until(lambda: all(samples(exporter)["runs_total"].values()), "all ran", 30)
        before = samples(exporter)
        self.reload(exporter, own_test("same", server, every="12s"), own_test("slower", server, every="700h"),
                    own_test("moved", server, every="12s", labels="{site: ber}"))
        after = samples(exporter)
        runs, starts = after["runs_total"], after["next_run_timestamp_seconds"]
        # A test may have run meanwhile.
        self.assertIn(runs["same"] - before["runs_total"]["same"], (0, 1))
        self.assertIn(runs["slower"] - before["runs_total"]["slower"], (0, 1))
        self.assertEqual(runs["moved"], 0)
        shift = starts["same"] - before["next_run_timestamp_seconds"]["same"]
        self.assertAlmostEqual(min(shift % 12, -shift % 12), 0, delta=0.05)
        self.assertNotAlmostEqual(starts["slower"], before["next_run_timestamp_seconds"]["slower"], delta=0.05)

    def test_a_bad_file_changes_nothing(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server))
        self.write(own_test("a", server, every="1s"))
        answer = exporter.request("POST", "/-/reload")
        self.assertEqual(answer.status, 500)
        self.assertIn('tests.a.every: expected a duration from 10s to 744h0m0s, got "1s"', answer.text)
        self.wait_for_run(exporter, "a")

    def test_the_page_shows_the_tests(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server, jitter="20%", labels="{site: ber}"))
        page = exporter.get("/config").text
        self.assertIn(f'tests:\n  - name: "a"\n    target: "127.0.0.1"\n    port: "{server.port}"\n', page)
        self.assertIn('    every: 10s\n    jitter: 20%\n    labels: {"site": "ber"}\n', page)


class Shutdown(OwnTests):
    def test_a_running_test_ends_first(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server, module="slow"))
        wait_until(exporter.iperf3, "the test", 15)
        self.assertEqual(exporter.stop(), 0)
        self.assertEqual(self.runs(exporter), {"a": 1}, exporter.log)

    def test_none_starts_while_it_drains(self):
        server = self.server()
        exporter = self.exporter(own_test("a", server))
        thread, answers = in_background(lambda: exporter.probe(port=server.port, period="12s", bitrate="1M", scrape_timeout=60))
        wait_until(exporter.iperf3, "the probe", 15)
        self.assertEqual(exporter.stop(), 0)
        thread.join()
        self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1)
        self.assertLessEqual(server.tests(), 2)


if __name__ == "__main__":
    unittest.main()
