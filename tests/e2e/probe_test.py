"""Real tests against real iperf3 servers: what succeeded, what failed and why."""

import contextlib
import json
import os
import queue
import re
import socket
import subprocess
import threading
import time
import unittest

from harness import (IPERF3, Exporter, FakePeer, Iperf3Server, free_port, in_background, reason, start,
                     value, wait_until)


class GoodProbes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # One test comes right behind another, when the server may still refuse for a moment.
        cls.exporter = cls.enterClassContext(Exporter("--probe.retries=5"))
        cls.server = cls.enterClassContext(Iperf3Server())

    def probe(self, **parameters):
        answer = self.exporter.probe(port=self.server.port, period="1s", **parameters)
        self.assertEqual(answer.status, 200, answer.text)
        samples = answer.metrics()
        self.assertEqual(value(samples, "iperf3_up"), 1, answer.text + self.exporter.log)
        self.assertIsNone(reason(samples))
        self.assertEqual(value(samples, "iperf3_up", target="127.0.0.1",
                               port=str(self.server.port)), 1)
        self.assertEqual(value(samples, "iperf3_test_period_seconds"), 1)
        return samples

    def assert_same_within(self, first, second, share):
        self.assertIsNotNone(first)
        self.assertIsNotNone(second)
        self.assertLessEqual(abs(first - second), share * max(first, second))

    def assert_rate(self, samples, direction, mbit, labels=None):
        """The bytes of a second at `mbit`, which iperf3 exceeds by up to a block of 128 KiB a stream and, under load,
        misses or exceeds to make up for it; and a bandwidth that agrees with them."""
        for side in ("sent", "received"):
            count = value(samples, f"iperf3_{side}_bytes", **(labels or {}))
            self.assertTrue(0.5 * mbit / 8 * 1e6 < count < 2 * mbit / 8 * 1e6, (side, count))
        self.assert_same_within(value(samples, f"iperf3_bandwidth_{direction}_mbps"),
                                8e-6 * count / value(samples, "iperf3_received_seconds", **(labels or {})), 0.02)

    def test_tcp_upload(self):
        samples = self.probe(bitrate="20M")
        self.assert_rate(samples, "upload", 20)
        self.assertIsNone(value(samples, "iperf3_bandwidth_download_mbps"))
        self.assertIsNotNone(value(samples, "iperf3_retransmits"))
        self.assertGreater(value(samples, "iperf3_latency_upload_ms"), 0)
        self.assertGreater(value(samples, "iperf3_rtt_seconds", stat="max"), 0)
        self.assertIsNone(value(samples, "iperf3_latency_download_ms"))
        self.assertIsNone(value(samples, "iperf3_sent_packets"))

    def test_tcp_reverse(self):
        samples = self.probe(bitrate="20M", reverse_mode="true")
        self.assert_rate(samples, "download", 20)
        self.assertIsNone(value(samples, "iperf3_bandwidth_upload_mbps"))
        # The client does not send, so no round-trip time is known; none is made up.
        self.assertIsNone(value(samples, "iperf3_latency_download_ms"))

    def test_tcp_bidirectional(self):
        samples = self.probe(bitrate="20M", bidirectional="1")
        for direction in ("upload", "download"):
            self.assert_rate(samples, direction, 20, {"direction": direction})

    def test_udp_upload(self):
        samples = self.probe(udp_mode="true", bitrate="5M")
        self.assert_rate(samples, "upload", 5)
        packets = value(samples, "iperf3_sent_packets")
        self.assertGreater(packets, 0)
        lost = value(samples, "iperf3_lost_packets")
        # The server counts until the test ends: under load the last packets, sent within 0.2 s, may miss it.
        late = packets - lost - value(samples, "iperf3_received_packets")
        self.assertTrue(0 <= late <= 0.2 * packets, late)
        self.assertAlmostEqual(value(samples, "iperf3_lost_percent"), 100 * lost / packets, 3)
        self.assertIsNone(value(samples, "iperf3_retransmits"))

    def test_udp_reverse_and_bidirectional(self):
        samples = self.probe(udp_mode="T", reverse_mode="t", bitrate="5M")
        self.assert_rate(samples, "download", 5)
        samples = self.probe(udp_mode="1", bidirectional="True", bitrate="5M")
        for direction in ("upload", "download"):
            self.assertGreater(value(samples, "iperf3_received_packets", direction=direction), 0)

    def test_eight_streams(self):
        samples = self.probe(parallel="8", bitrate="4M")
        self.assertEqual(value(samples, "iperf3_streams"), 8)
        self.assert_rate(samples, "upload", 32)

    def test_bound_to_an_address_and_a_device(self):
        self.probe(bitrate="1M", bind_address="127.0.0.1")
        self.probe(bitrate="1M", bind="localhost")
        self.probe(bitrate="1M", bind_device="lo")

    def test_by_name(self):
        answer = self.exporter.probe(target="localhost", port=self.server.port, period="1s",
                                     bitrate="1M")
        self.assertEqual(value(answer.metrics(), "iperf3_up", target="localhost"), 1, answer.text)

    def test_further_options(self):
        # iperf3 runs without rights, so only what the system allows everybody can be chosen.
        with open("/proc/sys/net/ipv4/tcp_allowed_congestion_control", encoding="ascii") as file:
            congestion = file.read().split()[0]
        self.probe(bitrate="1M", window="64K", mss="1000", length="16K", congestion=congestion,
                   dscp="46", ip_version="4", no_delay="true", zerocopy="true")
        # Many blocks of 128 KiB in the second that counts.
        self.probe(bitrate="20M", omit="1")
        self.probe(bitrate="1M", cport=str(free_port(reserve=False)))

    def test_options_of_newer_versions(self):
        """Run or refused, by what this iperf3 names in its help."""
        text = subprocess.run([IPERF3, "--help"], capture_output=True, text=True, check=True).stdout
        for query, option in (({"mptcp": "1"}, "--mptcp"), ({"skip_rx_copy": "1"}, "--skip-rx-copy"),
                              ({"dont_fragment": "1", "udp_mode": "1"}, "--dont-fragment"),
                              ({"gso": "1", "udp_mode": "1"}, "--gsro")):
            with self.subTest(option):
                if option in text:
                    self.probe(bitrate="1M", **query)
                    continue
                answer = self.exporter.probe(port=self.server.port, **query)
                self.assertEqual(answer.status, 400, answer.text)
                self.assertIn(f"requires an iperf3 that supports {option}", answer.text)

    def test_omitted_bytes_count(self):
        """Those received in the omitted second count towards the bytes, but are not in the report."""
        for mode in ({}, {"reverse_mode": "true"}, {"bidirectional": "true"}, {"udp_mode": "true", "reverse_mode": "true"}):
            with self.subTest(mode):
                self.probe(bytes="2M", bitrate="10M", omit="1", **mode)

    def test_bytes_end_a_test(self):
        for mode in ({}, {"reverse_mode": "1"}, {"bidirectional": "1"}, {"udp_mode": "1"}):
            with self.subTest(mode):
                samples = self.probe(bytes="2M", bitrate="20M", **mode)
                sides = [{"direction": "upload"}, {"direction": "download"}] if "bidirectional" in mode else [{}]
                # One direction ends the test. The next block, and from 3.16 on what fits in the rest of an interval of
                # 0.1 s.
                sent = max(value(samples, "iperf3_sent_bytes", **side) for side in sides)
                self.assertGreaterEqual(sent, 1_400_000)
                self.assertLess(sent, 4_000_000)
                # 0.8 s of data.
                self.assertLess(max(value(samples, "iperf3_sent_seconds", **side) for side in sides), 4)

    def test_too_few_bytes_to_measure_are_no_false_result(self):
        """An iperf3 up to 3.15 may end its test before the receiver has read anything."""
        udp, both = {"udp_mode": "1"}, {"bidirectional": "1"}
        for mode in ({}, both, {"parallel": "4"}, udp, {**udp, **both}):
            for _ in range(5):
                with self.subTest(mode):
                    answer = self.exporter.probe(port=self.server.port, period="1s", bytes="2K", bitrate="1M", **mode)
                    samples = answer.metrics()
                    if value(samples, "iperf3_up") == 1:
                        received = [count for (name, _), count in samples.items() if name == "iperf3_received_bytes"]
                        self.assertNotIn(0, received, answer.text)
                    else:
                        self.assertEqual(reason(samples), "no_data", answer.text + self.exporter.log)
                        self.exporter.wait_for_line("reason=no_data .*too soon to measure")
        for mode in ({}, udp):
            self.probe(bytes="2K", bitrate="1M", reverse_mode="1", **mode)

    def test_the_port_may_stand_in_the_target(self):
        answer = self.exporter.get(f"/probe?target=127.0.0.1:{self.server.port}&period=1&bitrate=1M")
        self.assertEqual(value(answer.metrics(), "iperf3_up", target="127.0.0.1", port=str(self.server.port)), 1,
                         answer.text)

    def test_bind_may_name_the_device_too(self):
        self.probe(bitrate="1M", bind="127.0.0.1%lo")

    def test_page_is_in_the_format_of_prometheus(self):
        answer = self.exporter.probe(port=self.server.port, period="1s", bitrate="1M")
        self.assertEqual(answer.headers["content-type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        self.check_with_promtool(answer.text)
        self.check_with_promtool(self.probe_page(udp_mode="1", bidirectional="1"))
        self.check_with_promtool(self.exporter.get("/metrics").text)

    def probe_page(self, **parameters):
        return self.exporter.probe(port=self.server.port, period="1s", bitrate="1M",
                                   **parameters).text

    def check_with_promtool(self, page):
        """Its linter dislikes names that the Go exporters have and that therefore stay; nothing
        else may be wrong."""
        result = subprocess.run(["promtool", "check", "metrics"], input=page.encode(),
                                capture_output=True, check=False)
        complaints = (result.stdout + result.stderr).decode().splitlines()
        for complaint in complaints:
            self.assertRegex(complaint, r"^iperf3_(bits_per_second use base unit|"
                                        r"(latency|sent_jitter|received_jitter)\w*_ms metric names "
                                        r"should not contain abbreviated units)")
        self.assertEqual(result.returncode, 3 if complaints else 0)

    def test_openmetrics_when_asked_for(self):
        answer = self.exporter.get("/metrics", {"Accept": "application/openmetrics-text"})
        self.assertTrue(answer.headers["content-type"].startswith("application/openmetrics-text"))
        self.assertTrue(answer.text.endswith("# EOF\n"))


class FailedProbes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter())

    def assert_fails(self, expected, **arguments):
        answer = self.exporter.probe_in_time(period="1s", **arguments)
        self.assertEqual(answer.status, 200, answer.text)
        samples = answer.metrics()
        self.assertEqual(value(samples, "iperf3_up"), 0, answer.text)
        self.assertEqual(reason(samples), expected, answer.text + self.exporter.log)
        self.assertEqual(value(samples, "iperf3_sent_bytes"), 0)
        return samples

    def test_nothing_listens(self):
        self.assert_fails("connection_refused", port=free_port())

    def test_server_is_busy(self):
        with Iperf3Server() as server:
            other = start([IPERF3, "-c", "127.0.0.1", "-p", str(server.port), "-t", "60",
                           "-b", "1M"], stdout=subprocess.DEVNULL)
            try:
                wait_until(lambda: server.connections() == 2, "the first test runs")
                self.assert_fails("server_busy", port=server.port)
            finally:
                other.kill()
                other.wait()

    def test_unknown_host(self):
        self.assert_fails("resolve", target="no-such-host.invalid")

    def test_source_address_that_is_not_ours(self):
        with Iperf3Server() as server:
            self.assert_fails("invalid_option", port=server.port, bind_address="192.0.2.1")

    def test_peer_that_speaks_http(self):
        def serve(connection):
            connection.recv(37)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with FakePeer(serve) as peer:
            self.assert_fails("server_error", port=peer.port)

    def test_peer_that_says_nothing_ends_at_the_deadline(self):
        release = threading.Event()
        self.addCleanup(release.set)
        with FakePeer(lambda connection: release.wait(60)) as peer:
            began = time.monotonic()
            samples = self.assert_fails("no_response", port=peer.port, scrape_timeout=6)
            # Half a second before the scrape timeout ends, and not long before that.
            self.assertGreater(time.monotonic() - began, 5)
            self.assertLess(value(samples, "iperf3_probe_duration_seconds"), 6)

    def test_bytes_that_the_period_does_not_suffice_for(self):
        with Iperf3Server() as server:
            began = time.monotonic()
            self.assert_fails("deadline", port=server.port, bytes="1G", bitrate="1M", scrape_timeout=60)
            # A second of period, and seven for the round trips. The server is free then.
            self.assertLess(time.monotonic() - began, 30)
            wait_until(lambda: server.connections() == 0, "the server is free")

    def test_server_killed_in_mid_test(self):
        with Iperf3Server() as server:
            answers = []
            thread = threading.Thread(target=lambda: answers.append(
                self.exporter.probe(port=server.port, period="5s", bitrate="1M")))
            thread.start()
            wait_until(lambda: server.connections() == 2, "the test runs")
            server.process.kill()
            thread.join()
            samples = answers[0].metrics()
            self.assertEqual(value(samples, "iperf3_up"), 0)
            self.assertEqual(reason(samples), "server_error")

    def test_period_that_cannot_fit(self):
        samples = self.assert_fails("deadline", port=free_port(), scrape_timeout=1)
        self.assertEqual(value(samples, "iperf3_test_period_seconds"), 0)

    def test_period_is_cut_to_what_fits(self):
        with Iperf3Server() as server:
            answer = self.exporter.probe(port=server.port, period="60s", bitrate="1M",
                                         scrape_timeout=4)
            samples = answer.metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, answer.text)
            self.assertEqual(value(samples, "iperf3_test_period_seconds"), 2)
            self.assertEqual(value(samples, "iperf3_requested_period_seconds"), 60)

    def test_absent_values_when_asked_for(self):
        with Exporter("--probe.failure-values=absent") as exporter:
            samples = exporter.probe(port=free_port(), period="1s").metrics()
            self.assertEqual(value(samples, "iperf3_up"), 0)
            self.assertEqual(reason(samples), "connection_refused")
            self.assertIsNone(value(samples, "iperf3_sent_bytes"))


class Retries(unittest.TestCase):
    def test_refused_is_tried_again_inside_the_deadline(self):
        port = free_port()
        with Exporter("--probe.retries=20") as exporter:
            before = self.faults_of_ended(exporter)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(
                exporter.probe(port=port, period="1s", bitrate="1M", scrape_timeout=25)))
            thread.start()
            wait_until(lambda: self.faults_of_ended(exporter) > before, "an iperf3 was refused")
            with Iperf3Server(port=port):
                thread.join()
            samples = answers[0].metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, answers[0].text)
            self.assertGreaterEqual(value(samples, "iperf3_probe_attempts"), 2)

    @staticmethod
    def faults_of_ended(exporter):
        """Page faults of the workers' children that have ended: grows with each iperf3, which may
        be too short-lived to be seen itself."""
        faults = 0
        for pid in exporter.workers():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                faults += int(file.read().rsplit(")", 1)[1].split()[8])
        return faults

    def test_without_it_the_first_refusal_is_final(self):
        with Exporter() as exporter:
            samples = exporter.probe(port=free_port(), period="1s").metrics()
            self.assertEqual(value(samples, "iperf3_probe_attempts"), 1)

    def test_attempts_are_counted(self):
        with Exporter("--probe.retries=2") as exporter:
            samples = exporter.probe(port=free_port(), period="1s", scrape_timeout=20).metrics()
            self.assertEqual(value(samples, "iperf3_probe_attempts"), 3)
            self.assertEqual(reason(samples), "connection_refused")


class DelayingRelay(FakePeer):
    """A path of `round_trip` seconds to the server on `port`, after the handshake of TCP."""

    def __init__(self, port, round_trip):
        super().__init__(self.relay)
        self.server_port = port
        self.delay = round_trip / 2

    def relay(self, connection):
        with socket.create_connection(("127.0.0.1", self.server_port)) as server:
            back = threading.Thread(target=self.carry, args=(server, connection))
            back.start()
            self.carry(connection, server)
            back.join()

    def carry(self, source, sink):
        pieces = queue.Queue()
        writer = threading.Thread(target=self.write, args=(pieces, sink))
        writer.start()
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                pieces.put((time.monotonic() + self.delay, data))
        pieces.put((time.monotonic() + self.delay, None))
        writer.join()

    @staticmethod
    def write(pieces, sink):
        with contextlib.suppress(OSError):
            while True:
                due, data = pieces.get()
                time.sleep(max(0, due - time.monotonic()))
                if data is None:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)


class FarPath(unittest.TestCase):
    def test_a_period_leaves_time_for_the_round_trips(self):
        """3.5 s are left for 3 s: enough nearby, but not over a path of 100 ms."""
        with Exporter() as exporter, Iperf3Server() as server, DelayingRelay(server.port, 0.1) as relay:
            answer = exporter.probe(port=relay.port, period="3s", bitrate="1M", scrape_timeout=4)
            samples = answer.metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, answer.text + exporter.log)
            self.assertEqual(value(samples, "iperf3_test_period_seconds"), 2)

    def test_a_failure_says_what_was_needed(self):
        with Exporter() as exporter, Iperf3Server() as server, DelayingRelay(server.port, 0.6) as relay:
            text = re.compile("reason=deadline .*needs 7 round trips beyond its period, and 2[.]")
            for _ in range(5):  # on a busy machine iperf3 may be killed before it has reported how far it came
                exporter.probe_in_time(port=relay.port, period="1s", bitrate="1M", scrape_timeout=4.5)
                if text.search(exporter.log):
                    break
            self.assertRegex(exporter.log, text)


class Priority(unittest.TestCase):
    def test_iperf3_runs_below_its_worker(self):
        """Otherwise many busy streams leave the worker no processor time at the deadline."""
        with Exporter("--worker.count=1") as exporter, Iperf3Server() as server:
            thread, _ = in_background(lambda: exporter.probe(port=server.port, period="2s", bitrate="1M"))
            iperf3, = wait_until(exporter.iperf3, "the test runs")
            worker, = exporter.workers()
            nice = [os.getpriority(os.PRIO_PROCESS, pid) for pid in (worker, iperf3)]
            thread.join()
        self.assertEqual(nice[1], min(nice[0] + 5, 19))

    def test_many_busy_streams_do_not_starve_the_worker(self):
        with Exporter() as exporter, Iperf3Server("--logfile", "/dev/null") as server:
            answer = exporter.probe(port=server.port, period="2s", parallel=128, bitrate="100K", scrape_timeout=30)
            self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text + exporter.log)


class Cancellation(unittest.TestCase):
    def test_a_scraper_that_hangs_up_in_mid_test_ends_it(self):
        with Exporter("--probe.retries=5") as exporter, Iperf3Server() as server:
            # At most 500 ms until SIGKILL; the best of three, for a machine that is busy.
            took = min(self.seconds_until_gone(exporter, server) for _ in range(3))
            self.assertLess(took, 0.6)
            samples = exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1)

    @staticmethod
    def seconds_until_gone(exporter, server):
        with socket.create_connection(("127.0.0.1", exporter.port)) as connection:
            connection.sendall(f"GET /probe?target=127.0.0.1&port={server.port}&period=20s&bitrate=1M "
                               "HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            wait_until(lambda: server.connections() == 2, "the test runs")
        began = time.monotonic()
        wait_until(lambda: not exporter.iperf3(), "iperf3 is gone")
        return time.monotonic() - began

    def test_a_scraper_that_hangs_up_while_it_waits_leaves_the_queue(self):
        with Exporter() as exporter, Iperf3Server() as server:
            request = (f"GET /probe?target=127.0.0.1&port={server.port}&period=3s&bitrate=1M HTTP/1.1\r\n"
                       "Host: x\r\n\r\n").encode()
            first = socket.create_connection(("127.0.0.1", exporter.port))
            first.sendall(request)
            wait_until(exporter.iperf3, "the first runs")
            second = socket.create_connection(("127.0.0.1", exporter.port))
            second.sendall(request)
            waiting = lambda: json.loads(exporter.get("/lock-status").text)["queue_size"]
            wait_until(lambda: waiting() == 1, "the second waits")
            second.close()
            wait_until(lambda: waiting() == 0, "the second is out of the queue")
            self.assertTrue(first.recv(100).startswith(b"HTTP/1.1 200"))
            first.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
