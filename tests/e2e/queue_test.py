"""Probes that wait behind one another run one at a time, in order."""

import contextlib
import time
import unittest

from harness import Exporter, Iperf3Server, Overlap, value, wait_until
from scraper import Scraper, answered, waiting


class Order(unittest.TestCase):
    def test_twenty_at_once_run_one_at_a_time_in_order_of_arrival(self):
        with Exporter() as exporter, Iperf3Server() as even, Iperf3Server() as odd, \
                Overlap(exporter) as overlap, contextlib.ExitStack() as stack:
            # In turn, so that each server has had a second to be ready again. The first takes so
            # long that the others have arrived when it ends.
            scrapers, arrived = [], []  # the latter in seconds after the start of the first
            for number in range(20):
                scrapers.append(stack.enter_context(contextlib.closing(Scraper(
                    exporter, (even, odd)[number % 2].port, timeout=60, bitrate="1M",
                    period="1s" if number else "3s"))))
                if number == 0:
                    wait_until(exporter.iperf3, "the first runs")
                    began = time.monotonic()
                else:
                    wait_until(lambda: waiting(exporter) == number, f"{number} wait")
                arrived.append(time.monotonic() - began)
            self.assertEqual(answered(scrapers, len(scrapers)), list(range(20)))
            for number, scraper in enumerate(scrapers):
                samples = scraper.metrics()
                self.assertEqual(value(samples, "iperf3_up"), 1, (number, samples))
                # The test of three seconds and one of a second for each in between.
                least = number + 2 - 0.5 - arrived[number] if number else 0
                self.assertGreaterEqual(value(samples, "iperf3_lock_wait_seconds"), least, number)
        self.assertEqual(overlap.max_seen, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
