"""What clients can make the HTTP server hold or wait for, and where it listens."""

import json
import os
import pathlib
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import harness
from certificates import Certificates
from harness import WAIT_SECONDS, wait_until
from http_server_fixture import HttpFixture, read_response, read_to_end, request, send_all, statuses

# slowhttptest runs this long per mode; longer by hand.
ATTACK_SECONDS = int(os.environ.get("HTTP_ATTACK_SECONDS", "5"))


def ask(client, path):
    client.sendall(request(path))
    return read_response(client)[2]


class LimitsTest(unittest.TestCase):
    def test_connections_beyond_the_limit_are_closed_and_counted(self):
        with HttpFixture("--max-connections=4") as server:
            # Each has a request in hand: none of them makes room.
            kept = [server.connect() for _ in range(4)]
            for client in kept[:3]:
                client.sendall(request("/probe"))
            watcher = kept[3]
            wait_until(lambda: b'"pending": 3' in ask(watcher, "/statistics"), "probes pending")
            watcher.sendall(request("/statistics") + request("/probe"))
            self.assertIn(b'"connections": 4', read_response(watcher)[2])
            began = time.monotonic()
            for _ in range(40):
                self.assertEqual(b"", server.exchange(request("/metrics")))
            seconds = int(time.monotonic() - began) + 2  # that were touched
            self.assertLessEqual(server.log().count("too many connections"), 5 * seconds)
            kept.pop().close()
            tries = []  # The first ones may come before the server has seen the end.

            def served():
                tries.append(server.exchange(request("/statistics", "Connection: close")))
                return tries[-1]

            answer = wait_until(served, "room again")
            self.assertIn(f'"rejected": {40 + len(tries) - 1}'.encode(), answer)
            for client in kept:
                client.close()

    def test_the_longest_idle_connection_makes_room(self):
        with HttpFixture("--max-connections=4") as server:
            idle = [server.connect() for _ in range(3)]
            for client in idle:
                self.addCleanup(client.close)
                self.assertIn(b"reload_ok", ask(client, "/statistics"))
            silent = server.connect()
            self.addCleanup(silent.close)
            # Never asks, so that it goes first, though the others are older.
            self.assertEqual(b"", self.read_after_newcomer(server, silent))
            self.assertEqual(b"", self.read_after_newcomer(server, idle[0]))
            self.assertIn(b'"rejected": 2', ask(idle[1], "/statistics"))
            # Now the third has been idle longest.
            self.assertEqual(b"", self.read_after_newcomer(server, idle[2]))
            self.assertIn(b'"rejected": 3', ask(idle[1], "/statistics"))

    def read_after_newcomer(self, server, expected_to_end):
        """What comes from a connection after one more has been served that stays open."""
        newcomer = server.connect()
        self.addCleanup(newcomer.close)
        self.assertIn(b"reload_ok", ask(newcomer, "/statistics"))
        return read_to_end(expected_to_end)

    def test_a_client_that_pipelines_and_never_reads_pins_little(self):
        with HttpFixture() as server, server.connect() as client:
            client.setblocking(False)
            requests = memoryview(request("/metrics") * 100_000)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                try:
                    requests = requests[client.send(requests):]
                except BlockingIOError:
                    time.sleep(0.01)  # The rate of the tries.
            sent, waiting = self.server_queues(server, client)
            self.assertGreater(sent, 0, "it has not begun")
            # The send buffer and what one connection may hold, not what the kernel would let it grow to.
            self.assertLess(sent, 256 << 10)
            self.assertLess(server.statistics()["requests"]["/metrics 200"], 1000)
            self.assertGreater(waiting, 0, "it reads on")

    def server_queues(self, server, client):
        """Bytes in the send and receive queue of the server's end of a connection."""
        port = client.getsockname()[1]
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == server.port and int(fields[2].split(":")[1], 16) == port:
                return tuple(int(queue, 16) for queue in fields[4].split(":"))
        raise AssertionError("no such connection")

    def test_time_from_accept_to_the_end_of_the_head(self):
        with HttpFixture("--request-timeout-ms=600") as server:
            for first in (b"", b"GET /metrics HT", request("/metrics")[:-2]):
                with server.connect() as client:
                    client.sendall(first)
                    start = time.monotonic()
                    stop = threading.Event()

                    def drip():
                        # A byte now and then must not buy more time.
                        while first and not stop.wait(0.1):
                            send_all(client, b"X")

                    dripping = threading.Thread(target=drip)
                    dripping.start()
                    self.assertEqual(b"", read_to_end(client))
                    stop.set()
                    dripping.join()
                    self.assertGreater(time.monotonic() - start, 0.4)
            wait_until(lambda: server.statistics()["rejected"] == 3, "counted")

    def test_time_of_the_body(self):
        with HttpFixture("--request-timeout-ms=600") as server, server.connect() as client:
            client.sendall(request("/-/reload", "Content-Length: 10", method="POST") + b"123")
            self.assertEqual(b"", read_to_end(client))

    def test_pending_request_has_no_time_limit_of_the_server(self):
        with HttpFixture("--request-timeout-ms=300") as server, server.connect() as client:
            client.sendall(request("/probe"))
            with server.connect() as watcher:  # Lives through more than one timeout.
                start = time.monotonic()
                while time.monotonic() - start < 1:
                    watcher.sendall(request("/statistics"))
                    read_response(watcher)
                watcher.sendall(request("/release"))
                read_response(watcher)
            self.assertEqual(200, read_response(client)[0])

    def test_idle_connection_ends_without_being_counted(self):
        with HttpFixture("--idle-timeout-ms=300") as server, server.connect() as client:
            client.sendall(request("/metrics"))
            self.assertEqual(200, read_response(client)[0])
            self.assertEqual(b"", read_to_end(client))
            self.assertEqual(0, server.statistics()["rejected"])

    def test_no_descriptors_left(self):
        code = ("import os,resource,sys; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)); "
                "os.execv(sys.argv[1], sys.argv[1:])")
        with HttpFixture(prefix=(sys.executable, "-c", code)) as server:
            clients = [server.connect() for _ in range(60)]
            wait_until(lambda: "accept" in server.log(), "the failed accept in the log")
            before = server.cpu_ticks()
            time.sleep(0.5)  # What is measured is what it does meanwhile: nothing.
            self.assertLess(server.cpu_ticks() - before, 15, "spins without descriptors")
            self.assertLess(len(server.log().splitlines()), 6)
            for client in clients:
                client.close()
            wait_until(lambda: statuses(server.exchange(request("/metrics", "Connection: close"))) == [200], "served again")

    def test_memory_of_pending_probes(self):
        certificates = Certificates()
        self.addCleanup(certificates.close)
        tls = (f"tls_server_config:\n  cert_file: {certificates.path('server.pem')}\n"
               f"  key_file: {certificates.path('server.key')}\n")
        context = ssl.create_default_context(cafile=certificates.path("ca.pem"))
        self.measure_pending("plain", None, lambda client: client, 10_000)
        self.measure_pending("TLS", tls, lambda client: context.wrap_socket(client, server_hostname="localhost"), 40_000)

    def measure_pending(self, name, config, wrap, limit):
        count = 500
        headers = ("User-Agent: Prometheus/2.53.0", "Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
                   "Accept-Encoding: gzip", "X-Prometheus-Scrape-Timeout-Seconds: 30")
        with self.subTest(name), HttpFixture("--max-connections=600", config=config) as server:
            with wrap(server.connect()) as watcher:

                def pending():
                    watcher.sendall(request("/statistics"))
                    return json.loads(read_response(watcher)[2])["pending"]

                pending()
                before = server.resident_bytes()
                clients = [wrap(server.connect()) for _ in range(count)]
                for i, client in enumerate(clients):
                    client.sendall(request(f"/probe?target=192.0.2.{i}&port=5201&period=5s", *headers))
                wait_until(lambda: pending() == count, "all pending")
                each = (server.resident_bytes() - before) / count
                print(f"{name}: {each:.0f} bytes per pending probe and its connection")
                self.assertLess(each, limit)
                for client in clients:
                    client.close()
                wait_until(lambda: pending() == 0, "all gone")

    @unittest.skipUnless(shutil.which("slowhttptest"), "slowhttptest is not installed")
    def test_slow_clients(self):
        for mode in ("-H", "-B", "-X"):
            with self.subTest(mode), HttpFixture("--max-connections=200") as server, server.connect() as watcher:
                watcher.sendall(request("/metrics"))
                read_response(watcher)
                before = server.resident_bytes()
                command = ["slowhttptest", mode, "-c", "400", "-r", "200", "-l", str(ATTACK_SECONDS), "-i", "1", "-p", "3",
                           "-u", f"http://127.0.0.1:{server.port}/metrics"]
                attack = harness.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       stdin=subprocess.DEVNULL)
                self.addCleanup(attack.wait)
                self.addCleanup(attack.kill)
                times = []
                while attack.poll() is None:
                    start = time.monotonic()
                    watcher.sendall(request("/metrics"))
                    self.assertEqual(200, read_response(watcher)[0])
                    times.append(time.monotonic() - start)
                    time.sleep(0.02)  # The rate of the questions.
                print(f"slowhttptest {mode}: median {statistics.median(times) * 1000:.1f} ms of {len(times)}")
                self.assertLess(statistics.median(times), 0.1)
                self.assertLess(server.resident_bytes() - before, 32 << 20)
                watcher.close()
                wait_until(lambda: server.statistics()["connections"] <= 1, "all connections gone")


class RealProbeTest(unittest.TestCase):
    def test_bytes_behind_a_probe_do_not_hide_that_the_client_has_gone(self):
        with harness.Exporter() as exporter, harness.Iperf3Server() as server:
            with socket.create_connection(("127.0.0.1", exporter.port), timeout=WAIT_SECONDS) as client:
                client.sendall(request(f"/probe?target=127.0.0.1&port={server.port}&period=20s&bitrate=1M"))
                wait_until(exporter.iperf3, "a test begun")
                send_all(client, b"x" * 70_000)
            wait_until(lambda: not exporter.iperf3(), "the test was ended", seconds=10)
            answer = exporter.probe(port=server.port, period="1s", bitrate="1M", scrape_timeout=15)
            self.assertEqual(1, harness.value(answer.metrics(), "iperf3_up"), "the lock is still held")


class ListenTest(unittest.TestCase):
    def test_several_addresses(self):
        listen = (":0", "127.0.0.1:0", "[::1]:0", "unix:{directory}/socket")
        with HttpFixture(listen=listen) as server:
            self.assertEqual(4, len(server.listening))
            self.assertTrue(server.listening[0].startswith("[::]:"))
            ports = [int(name.rsplit(":", 1)[1]) for name in server.listening[:3]]
            for host, port in (("127.0.0.1", ports[0]), ("::1", ports[0]), ("127.0.0.1", ports[1]), ("::1", ports[2])):
                with socket.create_connection((host, port), timeout=WAIT_SECONDS) as client:
                    client.sendall(request("/metrics"))
                    self.assertEqual(200, read_response(client)[0])
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(server.directory / "socket"))
                client.sendall(request("/metrics"))
                self.assertEqual(200, read_response(client)[0])
            self.assertEqual(0, server.stop())
            self.assertFalse((server.directory / "socket").exists())

    def test_socket_files(self):
        with tempfile.TemporaryDirectory() as directory:
            stale, live, file = (os.path.join(directory, name) for name in ("stale", "live", "file"))
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(stale)
            with HttpFixture(listen=(f"unix:{stale}",)):
                pass
            open(file, "w").close()
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(live)
                listener.listen()
                for path, words in ((live, "Address already in use"), (file, "is not a socket")):
                    with self.assertRaisesRegex(AssertionError, words):
                        HttpFixture(listen=(f"unix:{path}",))
                    self.assertTrue(os.path.exists(path))

    def test_sockets_from_systemd(self):
        with socket.socket() as first, socket.socket() as second:
            for listener in (first, second):
                listener.bind(("127.0.0.1", 0))
                listener.listen()
            # Descriptor 3 and 4 and the pid: what systemd does before it executes a service.
            code = ("import os,sys; a, b = int(sys.argv[1]), int(sys.argv[2]); os.dup2(a, 30); os.dup2(b, 31); "
                    "os.dup2(30, 3); os.dup2(31, 4); os.environ['LISTEN_PID'] = str(os.getpid()); "
                    "os.environ['LISTEN_FDS'] = '2'; os.execv(sys.argv[3], sys.argv[3:])")
            prefix = (sys.executable, "-c", code, str(first.fileno()), str(second.fileno()))
            with HttpFixture("--systemd", listen=(), prefix=prefix, pass_fds=(first.fileno(), second.fileno())) as server:
                for listener in (first, second):
                    with server.connect(listener.getsockname()[1]) as client:
                        client.sendall(request("/metrics"))
                        self.assertEqual(200, read_response(client)[0])

    def test_no_sockets_from_systemd(self):
        with self.assertRaisesRegex(AssertionError, "LISTEN_FDS"):
            HttpFixture("--systemd", listen=())


if __name__ == "__main__":
    unittest.main()
