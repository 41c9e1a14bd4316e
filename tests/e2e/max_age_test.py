"""Requests with max_age share tests: what they reuse, what they join, and what ends a joined test."""

import signal
import unittest

from harness import CountingServer, Exporter, free_port, reason, temporary_directory, value, wait_until
from scraper import Scraper

JOINED = "probe joined the test of another request"
REUSED = "probe answered with an earlier result"


def without_duration(samples):
    """What requests that share a test have in common."""
    return {key: number for key, number in samples.items() if key[0] != "iperf3_probe_duration_seconds"}


def state(exporter):
    metrics = exporter.get("/metrics").metrics()
    return {name: value(metrics, f"iperf3_exporter_{name}") for name in ("probes_in_flight", "queue_length")}


def results(exporter, result):
    return value(exporter.get("/metrics").metrics(), "iperf3_exporter_probes_total", result=result)


class Shared(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(temporary_directory())
        self.server = self.enterContext(CountingServer(self.directory))
        self.exporter = self.enterContext(Exporter("--log.level=debug"))

    def probe(self, **parameters):
        answer = self.exporter.probe(port=self.server.port, **{"period": "1s", "bitrate": "1M", **parameters})
        self.assertEqual(answer.status, 200, answer.text)
        return answer.metrics()

    def scraper(self, **parameters):
        scraper = Scraper(self.exporter, self.server.port, 60, **{"bitrate": "1M", "max_age": "60s", **parameters})
        return self.enterContext(scraper)

    def log_lines(self, text):
        return sum(text in line for line in list(self.exporter.lines))

    def start_test(self, **parameters):
        """(scraper, pid of iperf3), as soon as that runs."""
        scraper = self.scraper(**parameters)
        return scraper, wait_until(self.exporter.iperf3, "the test")[0]

    def join(self, **parameters):
        before = self.log_lines(JOINED)
        scraper = self.scraper(**parameters)
        wait_until(lambda: self.log_lines(JOINED) > before, f"joined\n{self.exporter.log}")
        return scraper


class Joining(Shared):
    def test_two_pollers_cause_one_test(self):
        first, _ = self.start_test(period="4s")
        second = self.join(period="4s")
        wait_until(lambda: state(self.exporter) == {"probes_in_flight": 1, "queue_length": 0}, "one test runs")
        samples = first.metrics()
        self.assertEqual(value(samples, "iperf3_up"), 1, self.exporter.log)
        joined = second.metrics()
        self.assertEqual(without_duration(joined), without_duration(samples))
        self.assertLess(value(joined, "iperf3_probe_duration_seconds"), value(samples, "iperf3_probe_duration_seconds"))
        self.assertEqual(self.server.tests(), 1)
        self.assertEqual(results(self.exporter, "success"), 2)

    def test_whoever_began_it_may_hang_up(self):
        first, pid = self.start_test(period="5s", max_age="0")
        second = self.join(period="5s")
        first.close()
        wait_until(lambda: results(self.exporter, "cancelled") == 1, "the first is gone")
        self.assertEqual(self.exporter.iperf3(), [pid])
        self.assertEqual(value(second.metrics(), "iperf3_up"), 1, self.exporter.log)
        self.assertEqual(self.server.tests(), 1)

    def test_the_last_that_hangs_up_ends_the_test(self):
        first, _ = self.start_test(period="60s")
        second = self.join(period="60s")
        first.close()
        wait_until(lambda: results(self.exporter, "cancelled") == 1, "the first is gone")
        self.assertTrue(self.exporter.iperf3())
        second.close()
        wait_until(lambda: not self.exporter.iperf3(), "the test is over")
        wait_until(lambda: self.server.connections() == 0, "the server is free")
        self.assertEqual(value(self.probe(), "iperf3_up"), 1, self.exporter.log)

    def test_a_joined_probe_has_a_deadline_of_its_own(self):
        first, _ = self.start_test(period="6s")
        samples = self.probe(period="6s", max_age="60s", scrape_timeout=3)
        self.exporter.wait_for_line(JOINED)
        self.assertEqual((reason(samples), value(samples, "iperf3_probe_attempts")), ("deadline", 0))
        self.exporter.wait_for_line("probe failed.*reason=deadline.*equal test of another request")
        self.assertEqual(value(first.metrics(), "iperf3_up"), 1, self.exporter.log)

    def test_a_test_that_was_cut_is_not_for_who_has_more_time(self):
        first = Scraper(self.exporter, self.server.port, 5, bitrate="1M", period="4s")
        self.enterContext(first)
        wait_until(self.exporter.iperf3, "the test")
        second = self.join(period="4s")
        self.assertLess(value(first.metrics(), "iperf3_test_period_seconds"), 4)
        self.assertEqual(value(second.metrics(), "iperf3_test_period_seconds"), 4, self.exporter.log)
        self.assertEqual(self.server.tests(), 2)

    def test_a_shutdown_answers_all_of_them(self):
        first, _ = self.start_test(period="4s")
        second = self.join(period="4s")
        self.exporter.process.send_signal(signal.SIGTERM)
        for scraper in (first, second):
            self.assertEqual(value(scraper.metrics(), "iperf3_up"), 1, self.exporter.log)
        self.assertEqual(self.exporter.stop(), 0)


class Reusing(Shared):
    def test_the_age_counts_from_the_beginning_of_the_test(self):
        first = self.probe(period="3s", max_age="60s")
        again = self.probe(period="3s", max_age="60s")
        self.assertEqual(without_duration(again), without_duration(first))
        self.assertEqual(self.server.tests(), 1)
        self.exporter.wait_for_line(REUSED)
        # The test itself took longer than that.
        self.assertEqual(value(self.probe(period="3s", max_age="2900ms"), "iperf3_up"), 1)
        self.assertEqual(self.server.tests(), 2)
        self.probe(period="3s")
        self.assertEqual(self.server.tests(), 3)

    def test_a_failed_test_counts_like_any_other(self):
        port = free_port()
        for _ in range(2):
            samples = self.exporter.probe(port=port, max_age="60s").metrics()
            self.assertEqual((reason(samples), value(samples, "iperf3_probe_attempts")), ("connection_refused", 1))
        self.exporter.wait_for_line(REUSED)
        self.assertEqual(self.log_lines('msg="test starts"'), 1, self.exporter.log)
        self.assertEqual(results(self.exporter, "failure"), 2)

    def test_the_label_is_what_was_asked_for(self):
        with CountingServer(self.directory, address="::1") as server:
            for target in ("::1", "[::1]", "0:0::1"):
                samples = self.exporter.probe(target, port=server.port, period="1s", bitrate="1M", max_age="60s").metrics()
                self.assertEqual(value(samples, "iperf3_up", target=target), 1, self.exporter.log)
            self.assertEqual(server.tests(), 1)

    def test_another_test_is_not_reused(self):
        self.probe(max_age="60s")
        for number, different in enumerate(({"bitrate": "2M"}, {"period": "2s"}, {"parallel": 2}, {"target": "localhost"},
                                            {"bind": "127.0.0.1"}), 2):
            with self.subTest(different):
                self.assertEqual(value(self.probe(max_age="60s", **different), "iperf3_up"), 1, self.exporter.log)
                self.assertEqual(self.server.tests(), number)


class Reloading(unittest.TestCase):
    def test_a_module_that_was_loaded_again_has_tests_of_its_own(self):
        directory = self.enterContext(temporary_directory())
        server = self.enterContext(CountingServer(directory))
        path = f"{directory}/config.yml"

        def write(parallel):
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"modules: {{m: {{period: 1s, bitrate: 1M, parallel: {parallel}}}}}")
        write(1)
        exporter = self.enterContext(Exporter(f"--config.file={path}", "--probe.require-module"))
        for _ in range(2):
            samples = exporter.probe(port=server.port, module="m", max_age="60s").metrics()
            self.assertEqual(value(samples, "iperf3_streams"), 1, exporter.log)
        self.assertEqual(server.tests(), 1)
        write(2)
        self.assertEqual(exporter.request("POST", "/-/reload").status, 200)
        for _ in range(2):
            samples = exporter.probe(port=server.port, module="m", max_age="60s").metrics()
            self.assertEqual((value(samples, "iperf3_up"), value(samples, "iperf3_streams")), (1, 2), exporter.log)
        self.assertEqual(server.tests(), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
