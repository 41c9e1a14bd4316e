"""Probes that wait behind one another: their order, and what hundreds of them cost."""

import contextlib
import selectors
import signal
import socket
import statistics
import time
import unittest

from harness import (Exporter, Iperf3Server, Overlap, free_port, parse_metrics, smaps, value,
                     wait_until)

PAGES = ("/metrics", "/lock-status")
# A page may take twice as long while others wait, or this much longer.
MORE_SECONDS = 0.001


class Scraper:
    """A scrape that was sent, on a connection of its own."""

    def __init__(self, exporter, port, timeout, **parameters):
        query = "".join(f"&{name}={given}" for name, given in parameters.items())
        self.socket = socket.create_connection(("127.0.0.1", exporter.port), timeout=60)
        self.socket.sendall(f"GET /probe?target=127.0.0.1&port={port}{query} HTTP/1.1\r\nHost: x\r\n"
                            f"Connection: close\r\nX-Prometheus-Scrape-Timeout-Seconds: {timeout}"
                            "\r\n\r\n".encode())

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def metrics(self):
        with self.socket.makefile("rb") as file:
            head, _, page = file.read().decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 "), head
        return parse_metrics(page)


def waiting(exporter):
    return value(exporter.get("/metrics").metrics(), "iperf3_exporter_queue_length")


def answered(scrapers, count):
    """The numbers of the first `count` of `scrapers` that are answered, as seen by one loop."""
    numbers = []
    with selectors.DefaultSelector() as selector:
        for number, scraper in enumerate(scrapers):
            selector.register(scraper, selectors.EVENT_READ, number)
        while len(numbers) < count:
            ready = selector.select(60)
            assert ready, f"nobody is answered after {numbers}"
            # Those of one look came together: there is no order among them.
            for key, _ in sorted(ready, key=lambda each: each[0].data):
                numbers.append(key.data)
                selector.unregister(key.fileobj)
    return numbers


class Order(unittest.TestCase):
    def test_twenty_at_once_run_one_at_a_time_in_order_of_arrival(self):
        with Exporter() as exporter, Iperf3Server() as even, Iperf3Server() as odd, \
                Overlap(exporter) as overlap, contextlib.ExitStack() as stack:
            # In turn, so that each server has had a second to be ready again. The first takes so
            # long that the others have arrived when it ends.
            scrapers = []
            for number in range(20):
                scrapers.append(stack.enter_context(contextlib.closing(Scraper(
                    exporter, (even, odd)[number % 2].port, timeout=60, bitrate="1M",
                    period="1s" if number else "3s"))))
                if number == 0:
                    wait_until(exporter.iperf3, "the first runs")
                else:
                    wait_until(lambda: waiting(exporter) == number, f"{number} wait")
            self.assertEqual(answered(scrapers, len(scrapers)), list(range(20)))
            for number, scraper in enumerate(scrapers):
                samples = scraper.metrics()
                self.assertEqual(value(samples, "iperf3_up"), 1, (number, samples))
                # The test of three seconds and one of a second for each in between.
                least = number + 2 - 0.5 if number else 0
                self.assertGreaterEqual(value(samples, "iperf3_lock_wait_seconds"), least, number)
        self.assertEqual(overlap.most, 1)


class Crowd(unittest.TestCase):
    """Hundreds that wait: pages stay quick and exact, and who came first is served first."""

    def crowd(self, size):
        port = free_port()
        with Exporter(f"--probe.max-queued={size}", f"--web.max-connections={size + 100}",
                      "--lock.timeout=10m") as exporter, Iperf3Server() as server, \
                contextlib.ExitStack() as stack:
            quiet = self.median_times(exporter)
            holder = stack.enter_context(contextlib.closing(
                Scraper(exporter, server.port, timeout=600, period="300s", bitrate="1M")))
            wait_until(exporter.iperf3, "the holder tests")
            before = smaps(exporter.pid, "Anonymous")
            scrapers = []
            for number in range(size):
                scrapers.append(stack.enter_context(contextlib.closing(
                    Scraper(exporter, port, timeout=600))))
                if number < 3:  # whose order will be looked at
                    wait_until(lambda: waiting(exporter) == number + 1, "it has arrived")
            wait_until(lambda: waiting(exporter) == size, f"{size} wait")
            per_probe = 1024 * (smaps(exporter.pid, "Anonymous") - before) / size
            print(f"{size} waiting probes: {per_probe:.0f} bytes each", flush=True)
            self.assertLess(per_probe, 10_000)
            self.check_pages(exporter, quiet)
            self.check_one_more_is_refused(exporter, port)
            holder.close()
            self.assertEqual(answered(scrapers, 3)[:3], [0, 1, 2])
            for scraper in scrapers:
                scraper.close()
            wait_until(lambda: waiting(exporter) == 0, "all have left")
            self.assertEqual(exporter.stop(signal.SIGTERM), 0)

    @staticmethod
    def median_times(exporter):
        """How long each of PAGES takes, over one connection."""
        with contextlib.closing(exporter.connect()) as connection:
            times = {page: [] for page in PAGES}
            for page in PAGES * 50:
                began = time.monotonic()
                connection.request("GET", page)
                connection.getresponse().read()
                times[page].append(time.monotonic() - began)
        return {page: statistics.median(each) for page, each in times.items()}

    def check_pages(self, exporter, quiet):
        crowded = self.median_times(exporter)
        for page in PAGES:
            print(f"  {page}: {1e3 * quiet[page]:.2f} ms before, {1e3 * crowded[page]:.2f} ms now",
                  flush=True)
            self.assertLess(crowded[page], max(2 * quiet[page], quiet[page] + MORE_SECONDS), page)

    def check_one_more_is_refused(self, exporter, port):
        answer = exporter.probe(port=port)
        self.assertEqual(answer.status, 503)
        self.assertIn("queue is full", answer.text)

    def test_five_hundred(self):
        self.crowd(500)

    def test_five_thousand(self):
        self.crowd(5000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
