"""/results in the real programs: what the exporter's own tests last measured, while they run and after a reload."""

import gzip
import pathlib
import threading
import unittest

from harness import CountingServer, Exporter, free_port, temporary_directory, value, wait_until

CONFIGURATION = """
modules: {{quick: {{period: 1s, bitrate: 1M}}}}
tests:
  - {{name: good, target: 127.0.0.1, port: {port}, module: quick, every: 10s, labels: {{site: "a \\"b\\" \\\\"}}}}
  - {{name: bad, target: 127.0.0.1, port: {refusing}, module: quick, every: 10s}}
  - {{name: later, target: 127.0.0.1, port: {port}, module: quick, every: 744h}}
"""


def of_test(samples, name, test, **more):
    """The value of the sample of that family, test and further labels; None if there is none."""
    wanted = {("test", test), *more.items()}
    found = [number for (family, labels), number in samples.items() if family == name and wanted <= set(labels)]
    return found[0] if found else None


class Results(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(cls.enterClassContext(temporary_directory()))
        cls.server = cls.enterClassContext(CountingServer(directory))
        cls.refusing = free_port()
        cls.file = directory / "config.yml"
        cls.file.write_text(CONFIGURATION.format(port=cls.server.port, refusing=cls.refusing), encoding="utf-8")
        cls.exporter = cls.enterClassContext(Exporter(f"--config.file={cls.file}"))

    def results(self):
        return self.exporter.get("/results").metrics()

    def wait_for_runs(self):
        def both_ran():
            samples = self.results()
            return (of_test(samples, "iperf3_runs_total", "good", result="success")
                    and of_test(samples, "iperf3_runs_total", "bad", result="failure") and samples)
        return wait_until(both_ran, "both tests ran", 30)

    def test_last_results(self):
        samples = self.wait_for_runs()
        labels = {"target": "127.0.0.1", "port": str(self.server.port), "module": "quick", "site": 'a \\"b\\" \\\\'}
        self.assertEqual(of_test(samples, "iperf3_up", "good", **labels), 1, samples)
        self.assertGreater(of_test(samples, "iperf3_received_bytes", "good", **labels), 100_000)
        self.assertEqual(of_test(samples, "iperf3_up", "bad"), 0)
        self.assertEqual(of_test(samples, "iperf3_probe_failure", "bad", reason="connection_refused"), 1)
        self.assertIsNone(of_test(samples, "iperf3_up", "later"))
        self.assertEqual(of_test(samples, "iperf3_runs_total", "later", result="success"), 0)
        self.assertIsNone(of_test(samples, "iperf3_last_success_timestamp_seconds", "bad"))
        for test in ("good", "bad", "later"):
            self.assertEqual(of_test(samples, "iperf3_skipped_total", test, reason="lock"), 0)
            self.assertIsNotNone(of_test(samples, "iperf3_next_run_timestamp_seconds", test))
        last, upcoming = (of_test(samples, f"iperf3_{which}_run_timestamp_seconds", "good") for which in ("last", "next"))
        self.assertTrue(last < upcoming < last + 10, (last, upcoming))

    def test_scrapers_at_the_same_time(self):
        self.wait_for_runs()
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.exporter.get("/results", {"Accept-Encoding": "gzip"})))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([200] * 20, [answer.status for answer in answers])
        for answer in answers:
            self.assertIn(b"\niperf3_up{", gzip.decompress(answer.body))

    def test_open_metrics(self):
        answer = self.exporter.get("/results", {"Accept": "application/openmetrics-text; version=1.0.0"})
        self.assertTrue(answer.headers["content-type"].startswith("application/openmetrics-text"))
        self.assertIn("# TYPE iperf3_runs counter\n", answer.text)
        self.assertTrue(answer.text.endswith("# EOF\n"))

    def test_then_reload_forgets_what_is_gone(self):
        before = self.wait_for_runs()
        self.file.write_text("".join(line for line in self.file.read_text(encoding="utf-8").splitlines(True)
                                     if "name: bad" not in line), encoding="utf-8")
        self.assertEqual(self.exporter.request("POST", "/-/reload").status, 200)
        samples = self.results()
        self.assertIsNone(of_test(samples, "iperf3_runs_total", "bad", result="failure"))
        self.assertGreaterEqual(of_test(samples, "iperf3_runs_total", "good", result="success"),
                                of_test(before, "iperf3_runs_total", "good", result="success"))
        self.assertEqual(1, of_test(samples, "iperf3_up", "good"))
        self.assertIsNotNone(value(self.exporter.get("/metrics").metrics(), "iperf3_exporter_workers", state="idle"))


class Without(unittest.TestCase):
    def test_there_are_no_tests(self):
        with Exporter() as exporter:
            answer = exporter.get("/results")
            self.assertEqual((answer.status, answer.body), (200, b""))


if __name__ == "__main__":
    unittest.main()
