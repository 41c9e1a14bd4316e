"""Two shaped links between two network namespaces: tests that share a link disturb each other,
and the lock's scopes prevent just that. Needs root."""

import contextlib
import os
import subprocess
import threading
import time
import unittest

import harness
from harness import ExporterElsewhere, value, wait_until

# Slow links with a deep queue: whoever sends may lose the processor for a tenth of a second and still fills its link.
RATE_MBIT = 25
QUEUE = "100ms"
PERIOD_SECONDS = 3


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


class Links:
    """Namespaces near and far, joined by links 1 and 2: 10.99.N.1 (near) to 10.99.N.2 (far)."""

    def __enter__(self):
        self.near = f"ipx-near-{os.getpid()}"
        self.far = f"ipx-far-{os.getpid()}"
        self.stack = contextlib.ExitStack()
        with self.stack:
            for name in (self.near, self.far):
                harness.CLEANUP.add(["ip", "netns", "delete", name])
                run("ip", "netns", "add", name)
                self.stack.callback(run, "ip", "netns", "delete", name)
            for link in (1, 2):
                self._join(link)
            self.servers = [self._serve(link) for link in (1, 2)]
            self.stack = self.stack.pop_all()
        return self

    def _join(self, link):
        near, far = f"near{link}", f"far{link}"
        run("ip", "-n", self.near, "link", "add", near, "type", "veth", "peer", "name", far,
            "netns", self.far)
        for namespace, device, host in ((self.near, near, 1), (self.far, far, 2)):
            run("ip", "-n", namespace, "address", "add", f"10.99.{link}.{host}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
            run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf", "rate",
                f"{RATE_MBIT}mbit", "burst", "32kb", "latency", QUEUE)

    def _serve(self, link):
        """Two servers a link, because one server takes one test at a time."""
        servers = []
        for port in (5201, 5202):
            process = harness.start(
                ["ip", "netns", "exec", self.far, harness.IPERF3, "-s", "-p", str(port), "-B",
                 f"10.99.{link}.2"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.stack.callback(process.wait)
            self.stack.callback(process.kill)
            servers.append(process)
        wait_until(lambda: self._listening(link) == 2, "both servers listen")
        return servers

    def _listening(self, link):
        output = subprocess.run(["ip", "netns", "exec", self.far, "ss", "-Hltn", "src",
                                 f"10.99.{link}.2"], check=True, capture_output=True, text=True)
        return len(output.stdout.splitlines())

    def __exit__(self, *_):
        self.stack.close()


class NearExporter(ExporterElsewhere):
    """An exporter inside the near namespace."""

    def __init__(self, links, directory, *flags):
        super().__init__(["ip", "netns", "exec", links.near], directory, *flags)
        self.links = links

    def measure(self, *probes):
        """Runs all `probes` at once; returns their rates in Mbit/s and how long it took."""
        rates = [None] * len(probes)

        def probe(index, parameters):
            answer = self.probe(period=f"{PERIOD_SECONDS}s", scrape_timeout=60, **parameters)
            rates[index] = value(answer.metrics(), "iperf3_bandwidth_upload_mbps")

        threads = [threading.Thread(target=probe, args=each) for each in enumerate(probes)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return rates, time.monotonic() - began


@unittest.skipUnless(os.geteuid() == 0, "making network namespaces needs root")
class ScopesOnLinks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.links = cls.enterClassContext(Links())
        cls.directory = cls.enterClassContext(harness.temporary_directory())
        with NearExporter(cls.links, cls.directory) as exporter:
            (cls.full,), _ = exporter.measure({"target": "10.99.1.2"})

    def assert_full(self, rates):
        for rate in rates:
            self.assertIsNotNone(rate)
            self.assertLess(abs(rate - self.full), 0.2 * self.full, (rates, self.full))

    def test_a_single_test_fills_its_link(self):
        self.assertTrue(0.85 * RATE_MBIT < self.full < 1.05 * RATE_MBIT, self.full)

    def test_host_lets_two_on_one_link_measure_the_full_rate_one_after_the_other(self):
        with NearExporter(self.links, self.directory) as exporter:
            rates, took = exporter.measure({"target": "10.99.1.2", "port": 5201},
                                           {"target": "10.99.1.2", "port": 5202})
        self.assert_full(rates)
        self.assertGreater(took, 2 * PERIOD_SECONDS)

    def test_bind_lets_one_on_each_link_measure_the_full_rate_at_once(self):
        with NearExporter(self.links, self.directory, "--lock.scope=bind") as exporter:
            rates, took = exporter.measure({"target": "10.99.1.2", "bind_address": "10.99.1.1"},
                                           {"target": "10.99.2.2", "bind_address": "10.99.2.1"})
        self.assert_full(rates)
        self.assertLess(took, 2 * PERIOD_SECONDS)

    def test_bind_knows_a_link_by_address_by_device_and_by_route(self):
        with NearExporter(self.links, self.directory, "--lock.scope=bind", "--probe.retries=5") as exporter:
            rates, took = exporter.measure({"target": "10.99.1.2", "bind_address": "10.99.1.1"},
                                           {"target": "10.99.1.2", "bind_device": "near1", "port": 5202},
                                           {"target": "10.99.1.2"})
        self.assert_full(rates)
        self.assertGreater(took, 3 * PERIOD_SECONDS)

    def test_none_lets_two_on_one_link_disturb_each_other(self):
        with NearExporter(self.links, self.directory, "--lock.scope=none") as exporter:
            rates, _ = exporter.measure({"target": "10.99.1.2", "port": 5201},
                                        {"target": "10.99.1.2", "port": 5202})
        self.assertLess(min(rates), 0.75 * self.full)
        self.assertLess(sum(rates), 1.15 * self.full)


if __name__ == "__main__":
    unittest.main(verbosity=2)
