"""Who gets the lock: exporters that always have work take turns, and the scope defines which tests may overlap."""

import concurrent.futures
import contextlib
import unittest

from harness import Exporter, Iperf3Server, Overlap, value

TESTS_OF_FAIRNESS = 20


class Fairness(unittest.TestCase):
    def test_two_exporters_never_overlap_and_neither_starves(self):
        with Exporter() as first, Exporter(lock_name=first.lock_name) as second, \
                Overlap(first, second) as overlap:
            order = []

            def keep_busy(exporter, name, server):
                while len(order) < TESTS_OF_FAIRNESS:
                    answer = exporter.probe(port=server.port, period="1s", bitrate="1M",
                                            scrape_timeout=60)
                    self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text)
                    order.append(name)

            with contextlib.ExitStack() as stack:
                pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(4))
                # Two scrapers each, so that both exporters always have work waiting; a server for
                # each, which has had time to be ready again.
                for future in [pool.submit(keep_busy, exporter, name,
                                           stack.enter_context(Iperf3Server()))
                               for exporter, name in ((first, "first"), (second, "second")) * 2]:
                    future.result()
        self.assertEqual(overlap.max_seen, 1)
        # Those that were waiting when the last of them ended came behind it.
        share = order[:TESTS_OF_FAIRNESS].count("first") / TESTS_OF_FAIRNESS
        self.assertTrue(0.4 <= share <= 0.6, order)


class Scopes(unittest.TestCase):
    """Two probes at once, each to one of two servers: how many tests run at once."""

    def most_at_once(self, scope, period, first, second):
        with Exporter(f"--lock.scope={scope}", "--probe.retries=5") as exporter, \
                Iperf3Server() as one, Iperf3Server() as other, Overlap(exporter) as overlap, \
                concurrent.futures.ThreadPoolExecutor(2) as pool:
            ports = {"one": one.port, "other": other.port}

            def probe(parameters):
                parameters = dict(parameters)
                return exporter.probe(port=ports[parameters.pop("server")], period=period,
                                      bitrate="1M", scrape_timeout=20, **parameters)

            for answer in pool.map(probe, (first, second)):
                self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text)
        return overlap.max_seen

    def assert_together(self, scope, first, second):
        self.assertEqual(self.most_at_once(scope, "2s", first, second), 2)

    def assert_in_turn(self, scope, first, second):
        self.assertEqual(self.most_at_once(scope, "1s", first, second), 1)

    def test_host(self):
        self.assert_in_turn("host", {"server": "one"}, {"server": "other"})

    def test_none(self):
        self.assert_together("none", {"server": "one"}, {"server": "other"})

    def test_target(self):
        self.assert_together("target", {"server": "one"}, {"server": "other"})
        self.assert_in_turn("target", {"server": "one"},
                            {"server": "one", "target": "localhost", "ip_version": "4"})

    def test_bind(self):
        self.assert_together("bind", {"server": "one", "bind": "127.0.0.1"},
                             {"server": "other", "bind": "127.0.0.2"})
        self.assert_in_turn("bind", {"server": "one", "bind": "127.0.0.1"},
                            {"server": "other", "bind": "127.0.0.1"})

    def test_bind_knows_a_route_by_each_of_its_names(self):
        for name in ({}, {"bind_device": "lo"}):
            self.assert_in_turn("bind", {"server": "one", "bind": "127.0.0.1"}, {"server": "other", **name})


if __name__ == "__main__":
    unittest.main(verbosity=2)
