"""Hundreds and thousands of probes that wait: what they cost, and what they must not slow down."""

import contextlib
import pathlib
import signal
import statistics
import unittest

from harness import Exporter, Iperf3Server, free_port, smaps, wait_until
from scraper import Scraper, answered, waiting

PAGES = ("/metrics", "/lock-status")
# A page may cost twice as much processor time while others wait, or this much more.
MORE_SECONDS = 0.001


def main_thread_seconds(pid):
    """The processor time that the main thread of that process has used."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class Crowd(unittest.TestCase):
    """Hundreds that wait: pages stay cheap and exact, and who came first is served first."""

    def crowd(self, size):
        port = free_port()
        with Exporter(f"--probe.max-queued={size}", f"--web.max-connections={size + 100}",
                      "--lock.timeout=10m") as exporter, Iperf3Server() as server, \
                contextlib.ExitStack() as stack:
            quiet = self.page_costs(exporter)
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
    def page_costs(exporter):
        """The median of the processor time in seconds that each of PAGES costs the supervisor, over one connection."""
        with contextlib.closing(exporter.connect()) as connection:
            costs = {page: [] for page in PAGES}
            for page in PAGES * 50:
                before = main_thread_seconds(exporter.pid)
                connection.request("GET", page)
                connection.getresponse().read()
                costs[page].append(main_thread_seconds(exporter.pid) - before)
        return {page: statistics.median(each) for page, each in costs.items()}

    def check_pages(self, exporter, quiet):
        crowded = self.page_costs(exporter)
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
