"""/results in the real programs: what the exporter's own tests last measured, while they run and after a reload."""

import gzip
import pathlib
import re
import socket
import threading
import time
import unittest

from harness import CountingServer, Exporter, free_port, in_background, temporary_directory, value, wait_until

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


class Many(unittest.TestCase):
    """Thousands of tests, of which none is due soon. Their page exceeds every buffer of a socket."""

    TESTS = 5000

    def setUp(self):
        directory = pathlib.Path(self.enterContext(temporary_directory()))
        file = directory / "config.yml"
        file.write_text("modules: {quick: {period: 1s, bitrate: 1M}}\ntests:\n" + "".join(
            f"  - {{name: t{i}, target: 192.0.2.1, module: quick, every: 744h}}\n" for i in range(self.TESTS)), encoding="ascii")
        self.exporter = self.enterContext(Exporter(f"--config.file={file}"))
        wait_until(lambda: self.is_complete(self.exporter.get("/results").text), "every test is known")

    def is_complete(self, page):
        return page.count("\niperf3_runs_total{") == 2 * self.TESTS and page.endswith("\n")

    def ask(self, buffer_bytes=4096):
        """A connection that has sent a request, and holds little of the response until it is read."""
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.connect(("127.0.0.1", self.exporter.port))
        connection.sendall(b"GET /results HTTP/1.1\r\nHost: a\r\n\r\n")
        return connection

    def resident_megabytes(self):
        status = pathlib.Path(f"/proc/{self.exporter.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def test_a_page_that_is_being_built_is_sent_before_the_exporter_ends(self):
        connection = self.ask(buffer_bytes=1 << 20)
        self.exporter.get("/ready")  # so the request has arrived
        thread, statuses = in_background(self.exporter.stop)
        response = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        thread.join()
        self.assertEqual(statuses, [0])
        self.assertTrue(response.startswith(b"HTTP/1.1 200 OK\r\n"), response[:100])
        self.assertTrue(self.is_complete(response.decode()))

    def test_a_client_that_does_not_read_does_not_hold_up_the_end(self):
        for _ in range(5):
            self.ask()
        began = time.monotonic()
        self.assertEqual(self.exporter.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_clients_that_hang_up_cost_no_memory(self):
        self.exporter.get("/results")
        before = self.resident_megabytes()
        for turn in range(40):
            connection = self.ask()
            if turn % 2:
                connection.recv(1)
            connection.close()
        self.assertTrue(self.is_complete(self.exporter.get("/results").text))
        # A page has 7 MB.
        wait_until(lambda: self.resident_megabytes() < before + 16, "the pages are freed")
        wait_until(lambda: value(self.exporter.get("/metrics").metrics(), "iperf3_exporter_http_connections") == 1, "they are gone")


class Without(unittest.TestCase):
    def test_there_are_no_tests(self):
        with Exporter() as exporter:
            answer = exporter.get("/results")
            self.assertEqual((answer.status, answer.body), (200, b""))


if __name__ == "__main__":
    unittest.main()
