"""One test at a time: between probes, between exporters, after crashes; and what is seen of it."""

import concurrent.futures
import contextlib
import glob
import http.client
import json
import os
import signal
import socket
import threading
import time
import unittest

from harness import (Exporter, Iperf3Server, children_of, free_port, reason, smaps, value,
                     wait_until)


def lock_status(exporter):
    return json.loads(exporter.get("/lock-status").text)


def swallow(exporter, port):
    """A long probe whose exporter will be ended under it."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        exporter.probe(port=port, period="60s", bitrate="1M", scrape_timeout=100)


class Overlap:
    """Counts how many iperf3 run at once under any of `exporters`, as often as it can look."""

    def __init__(self, *exporters):
        self.exporters = exporters
        self.most = 0
        self.stop = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.stop.is_set():
            self.most = max(self.most, sum(len(each.iperf3()) for each in self.exporters))

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class BetweenExporters(unittest.TestCase):
    def test_two_exporters_never_overlap_and_neither_starves(self):
        with Exporter("--probe.retries=5") as first, \
                Exporter("--probe.retries=5", lock_name=first.lock_name) as second, \
                Iperf3Server() as server, Overlap(first, second) as overlap:
            order = []
            end = time.monotonic() + 22

            def keep_busy(exporter, name):
                while time.monotonic() < end:
                    answer = exporter.probe(port=server.port, period="1s", bitrate="1M",
                                            scrape_timeout=60)
                    if time.monotonic() < end:
                        self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text)
                        order.append(name)

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                # Two scrapers each, so that both exporters always have work waiting.
                for future in [pool.submit(keep_busy, exporter, name)
                               for exporter, name in ((first, "first"), (second, "second")) * 2]:
                    future.result()
        self.assertEqual(overlap.most, 1)
        self.assertGreaterEqual(len(order), 12)
        share = order.count("first") / len(order)
        self.assertTrue(0.4 <= share <= 0.6, order)

    def test_the_holder_of_another_exporter_is_shown(self):
        with Exporter() as first, Exporter(lock_name=first.lock_name) as second, \
                Iperf3Server() as server:
            thread = threading.Thread(target=lambda: first.probe(
                target="localhost", port=server.port, period="4s", bitrate="1M"))
            thread.start()
            wait_until(first.iperf3, "the first tests")
            status = wait_until(lambda: lock_status(second)["holder"] and lock_status(second),
                                "the second sees a holder")
            self.assertIs(status["is_locked"], True)
            self.assertEqual(status["locked_by"], f"localhost:{server.port}")
            self.assertRegex(status["locked_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertGreaterEqual(status["lock_duration"], 0)
            holder = status["holder"]
            self.assertEqual((holder["target"], holder["port"], holder["own"]),
                             ("localhost", server.port, False))
            self.assertIn(holder["pid"], first.workers())
            self.assertIs(lock_status(first)["holder"]["own"], True)
            thread.join()
            wait_until(lambda: not lock_status(second)["is_locked"], "free again")

    def test_waiting_probes_are_listed_in_order_and_leave_in_time(self):
        with Exporter() as first, Exporter("--lock.timeout=1s", lock_name=first.lock_name) as second, \
                Iperf3Server() as server:
            thread = threading.Thread(target=lambda: first.probe(
                port=server.port, period="6s", bitrate="1M"))
            thread.start()
            wait_until(first.iperf3, "the first tests")
            seen = []
            answers = []
            waiter = threading.Thread(target=lambda: answers.append(
                second.probe(port=server.port, period="1s")))
            waiter.start()
            while waiter.is_alive():
                seen += lock_status(second)["waiting"]
                self.assertLessEqual(lock_status(second)["queue_size"], 1)
            answer = answers[0]
            self.assertEqual(answer.status, 503)
            self.assertIn("lock", answer.text)
            self.assertIn("retry-after", answer.headers)
            self.assertTrue(seen, "the second never showed that it waits for the first")
            self.assertEqual((seen[0]["target"], seen[0]["port"]), ("127.0.0.1", server.port))
            self.assertLessEqual(seen[0]["waited"] + seen[0]["left"], 1.1)
            samples = second.get("/metrics").metrics()
            self.assertEqual(value(samples, "iperf3_exporter_lock_timeouts_total"), 1)
            # One that could still wait, but has no second of test left, leaves then.
            began = time.monotonic()
            answer = first.probe(port=server.port, period="1s", scrape_timeout=3)
            self.assertEqual(answer.status, 503)
            self.assertLess(time.monotonic() - began, 2.6)
            thread.join()


class Scopes(unittest.TestCase):
    def both_run_at_once(self, scope, first, second):
        with Exporter(f"--lock.scope={scope}") as exporter, Iperf3Server() as one, \
                Iperf3Server() as other:
            ports = {"one": one.port, "other": other.port}
            threads = []
            for parameters in (first, second):
                parameters = dict(parameters)
                parameters["port"] = ports[parameters.pop("server")]
                threads.append(threading.Thread(target=lambda p=parameters: exporter.probe(
                    period="3s", bitrate="1M", **p)))
            with Overlap(exporter) as overlap:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            return overlap.most == 2

    def test_host(self):
        self.assertFalse(self.both_run_at_once("host", {"server": "one"}, {"server": "other"}))

    def test_none(self):
        self.assertTrue(self.both_run_at_once("none", {"server": "one"}, {"server": "other"}))

    def test_target(self):
        self.assertTrue(self.both_run_at_once("target", {"server": "one"}, {"server": "other"}))
        self.assertFalse(self.both_run_at_once(
            "target", {"server": "one"}, {"server": "one", "target": "localhost", "ip_version": "4"}))

    def test_bind(self):
        self.assertTrue(self.both_run_at_once(
            "bind", {"server": "one", "bind": "127.0.0.1"}, {"server": "other", "bind": "127.0.0.2"}))
        self.assertFalse(self.both_run_at_once(
            "bind", {"server": "one", "bind": "127.0.0.1"}, {"server": "other", "bind": "127.0.0.1"}))


class Recovery(unittest.TestCase):
    def test_everything_killed_at_once_leaves_the_lock_free(self):
        with Iperf3Server() as server, Exporter() as first:
            thread = threading.Thread(target=swallow, args=(first, server.port))
            thread.start()
            wait_until(first.iperf3, "iperf3 runs")
            for pid in [*children_of(first.pid), first.pid]:
                with contextlib.suppress(ProcessLookupError):  # iperf3 dies with its parent
                    os.kill(pid, signal.SIGKILL)
            first.process.wait()
            thread.join()
            with Exporter(lock_name=first.lock_name) as second:
                self.assertFalse(lock_status(second)["is_locked"])
                samples = second.probe(port=free_port(), period="1s").metrics()
                self.assertEqual(reason(samples), "connection_refused")
                self.assertLess(value(samples, "iperf3_lock_wait_seconds"), 0.25)
                self.assertEqual(lock_status(second)["recoveries"], 1)
                self.assertEqual(value(second.get("/metrics").metrics(),
                                       "iperf3_exporter_lock_recoveries_total"), 1)

    def test_a_deleted_lock_is_made_anew(self):
        with Exporter() as exporter:
            port = free_port()
            self.assertEqual(reason(exporter.probe(port=port, period="1s").metrics()),
                             "connection_refused")
            for path in glob.glob(f"/dev/shm/*{exporter.lock_name}*"):
                os.unlink(path)
            self.assertEqual(reason(exporter.probe(port=port, period="1s").metrics()),
                             "connection_refused", exporter.log)
            self.assertIn("deleted under us", exporter.log)
            self.assertTrue(os.path.exists(f"/dev/shm/sem.{exporter.lock_name}"))


class Crowd(unittest.TestCase):
    """Hundreds that wait: pages stay quick and exact."""

    def crowd(self, size):
        port = free_port()
        with Exporter(f"--probe.max-queued={size}", f"--web.max-connections={size + 100}",
                      "--lock.timeout=10m") as exporter, Iperf3Server() as server:
            first = threading.Thread(target=swallow, args=(exporter, server.port))
            first.start()
            wait_until(exporter.iperf3, "the first tests")
            before = smaps(exporter.pid, "Anonymous")
            request = (f"GET /probe?target=127.0.0.1&port={port} HTTP/1.1\r\nHost: x\r\n"
                       "X-Prometheus-Scrape-Timeout-Seconds: 600\r\n\r\n").encode()
            scrapers = []
            for _ in range(size):
                scraper = socket.create_connection(("127.0.0.1", exporter.port))
                scraper.sendall(request)
                scrapers.append(scraper)
            wait_until(lambda: lock_status(exporter)["queue_size"] == size, f"{size} wait")
            per_probe = 1024 * (smaps(exporter.pid, "Anonymous") - before) / size
            self.assertEqual(value(exporter.get("/metrics").metrics(),
                                   "iperf3_exporter_queue_length"), size)
            over = exporter.probe(port=port)
            self.assertEqual(over.status, 503)
            self.assertIn("queue is full", over.text)
            for scraper in scrapers:
                scraper.close()
            wait_until(lambda: lock_status(exporter)["queue_size"] == 0, "all have left")
            exporter.process.send_signal(signal.SIGTERM)
            exporter.process.send_signal(signal.SIGTERM)
            first.join()
            print(f"{size} waiting probes: {per_probe:.0f} bytes each", flush=True)
            self.assertLess(per_probe, 10_000)

    def test_five_hundred(self):
        self.crowd(500)

    def test_five_thousand(self):
        self.crowd(5000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
