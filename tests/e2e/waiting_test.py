"""What a probe waits for before its test, between its tests and instead of one: names that do not
resolve, addresses and servers that refuse, other exporters, its deadline. Needs root where it makes
namespaces."""

import base64
import contextlib
import ctypes
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import unittest
from http.client import HTTPConnection

import harness
from harness import (IPERF3, SLOW_HASH, Exporter, ExporterElsewhere, FakePeer, Iperf3Server, UnixConnection, free_port, in_background,
                     lock_status, reason, value, wait_until)
from scraper import Scraper

# iperf3's ACCESS_DENIED, which a server sends while it runs another test.
BUSY = b"\xff"


def timed(call):
    began = time.monotonic()
    return call(), time.monotonic() - began


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def relay(connection, port):
    """Joins `connection` to that port until either end closes; so attempts can be counted. If the server refuses or
    resets its connection, as it does for a moment after a test, `connection` is reset."""
    try:
        join(connection, port)
    except OSError:
        reset(connection)


def join(connection, port):
    with socket.create_connection(("127.0.0.1", port)) as server:
        ends = {connection: server, server: connection}
        while True:
            for readable in select.select(list(ends), [], [])[0]:
                data = readable.recv(65536)
                if not data:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                ends[readable].sendall(data)


class NamingExporter(ExporterElsewhere):
    """An exporter with an /etc/hosts and a name server of its own, perhaps in a network namespace."""

    def __init__(self, directory, hosts, *flags, name_server="127.0.0.1", namespace=None):
        # One try that hangs for longer than any probe here.
        resolver = f"nameserver {name_server}\noptions timeout:30 attempts:1\n"
        files = []
        for name, text in (("hosts", hosts), ("resolv.conf", resolver)):
            files.append(os.path.join(directory, name))
            with open(files[-1], "w", encoding="ascii") as file:
                file.write(text)
        mount = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
        super().__init__([*(["ip", "netns", "exec", namespace] if namespace else []),
                          "unshare", "--mount", "sh", "-c", mount, *files], directory, *flags)

    def addresses(self, name):
        """In the order in which they are to be tried."""
        output = subprocess.run([*self.launcher, "getent", "ahosts", name], check=True,
                                capture_output=True, text=True).stdout
        return [line.split()[0] for line in output.splitlines() if "STREAM" in line]


# <linux/ptrace.h>
PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE = 7, 17, 0x4206
PTRACE_O_TRACEVFORK = 4
WALL = 0x40000000  # __WALL


def ptrace(request, pid, data=0):
    if harness.LIBC.ptrace(request, pid, None, ctypes.c_void_p(data)) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


def is_traced(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return "TracerPid:\t0\n" not in file.read()


def stop_next_child(pid):
    """Stops the next child of `pid` by SIGSTOP between its vfork and its exec; returns the child's pid."""
    ptrace(PTRACE_SEIZE, pid, PTRACE_O_TRACEVFORK)
    os.waitpid(pid, WALL)   # the child was made,
    child, _ = os.waitpid(-1, WALL)  # and is traced too
    os.kill(child, signal.SIGSTOP)
    ptrace(PTRACE_DETACH, child)
    ptrace(PTRACE_DETACH, pid)
    return child


class Directory(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = self.stack.enter_context(harness.temporary_directory())


@unittest.skipUnless(os.geteuid() == 0, "an /etc/hosts of its own needs root")
class Addresses(Directory):
    def exporter(self, hosts, *flags):
        return self.stack.enter_context(NamingExporter(self.directory, hosts, *flags))

    def test_the_next_address_of_a_name_is_tried_when_one_refuses(self):
        exporter = self.exporter("127.0.0.1 two.test\n127.0.0.2 two.test\n")
        first, second = exporter.addresses("two.test")
        for address, attempts in ((first, 1), (second, 2)):
            with self.subTest(address), Iperf3Server(address=address) as server:
                answer = exporter.probe("two.test", port=server.port, period="1s", bitrate="1M")
                samples = answer.metrics()
                self.assertEqual(value(samples, "iperf3_up"), 1, answer.text + exporter.log)
                self.assertEqual(value(samples, "iperf3_probe_attempts"), attempts)

    def test_when_all_refuse_the_probe_fails_so(self):
        exporter = self.exporter("127.0.0.1 two.test\n127.0.0.2 two.test\n")
        samples = exporter.probe("two.test", port=free_port(), period="1s").metrics()
        self.assertEqual(reason(samples), "connection_refused")
        self.assertEqual(value(samples, "iperf3_probe_attempts"), 2)

    def test_a_source_name_binds_each_family_to_its_own(self):
        exporter = self.exporter("::1 two.test\n127.0.0.1 two.test\n"
                                 "::1 source.test\n127.0.0.5 source.test\n")
        self.assertEqual(exporter.addresses("two.test"), ["::1", "127.0.0.1"])
        with Iperf3Server() as server:
            answer = exporter.probe("two.test", port=server.port, period="1s", bitrate="1M",
                                    bind_address="source.test")
            samples = answer.metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, answer.text + exporter.log)
            self.assertEqual(value(samples, "iperf3_probe_attempts"), 2)


class SilentResolverNamespace:
    """A network namespace whose name server receives every query and answers none."""

    def __enter__(self):
        self.name = f"ipx-mute-{os.getpid()}"
        self.stack = contextlib.ExitStack()
        with self.stack:
            harness.CLEANUP.add(["ip", "netns", "delete", self.name])
            self.run("ip", "netns", "add", self.name)
            self.stack.callback(self.run, "ip", "netns", "delete", self.name)
            self.run("ip", "-n", self.name, "link", "set", "lo", "up")
            mute = harness.start(
                ["ip", "netns", "exec", self.name, sys.executable, "-c",
                 "import socket, sys\n"
                 "mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                 "mute.bind(('127.0.0.1', 53))\n"
                 "print('bound', flush=True)\n"
                 "sys.stdin.read()\n"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.stack.callback(mute.wait)
            self.stack.callback(mute.stdout.close)
            self.stack.callback(mute.stdin.close)
            assert mute.stdout.readline() == b"bound\n"
            self.stack = self.stack.pop_all()
        return self

    @staticmethod
    def run(*command):
        subprocess.run(command, check=True, capture_output=True)

    def __exit__(self, *_):
        self.stack.close()


@unittest.skipUnless(os.geteuid() == 0, "making network namespaces needs root")
class HangingNames(Directory):
    HANGING = 70
    THREADS_OF_ONE_CLIENT = 8

    def setUp(self):
        super().setUp()
        namespace = self.stack.enter_context(SilentResolverNamespace()).name
        self.server = self.stack.enter_context(
            Iperf3Server(prefix=("ip", "netns", "exec", namespace)))
        self.exporter = self.stack.enter_context(
            NamingExporter(self.directory, "127.0.0.1 known.test\n", namespace=namespace))

    def assert_up(self, target):
        answer = self.exporter.probe(target, port=self.server.port, period="1s", bitrate="1M")
        self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text + self.exporter.log)

    def test_one_costs_its_own_probe_and_nothing_else(self):
        thread, answers = in_background(
            lambda: timed(lambda: self.exporter.probe("mute.test", port=1, omit=40, scrape_timeout=46)))
        self.assert_up("127.0.0.1")
        self.assertEqual(self.exporter.get("/metrics").status, 200)
        self.assertFalse(answers, "the name did not hang")
        thread.join()
        answer, took = answers[0]
        self.assertEqual(reason(answer.metrics()), "resolve", answer.text)
        self.assertLess(took, 40, "it was answered later than when the test no longer fitted")
        self.exporter.wait_for_line("no answer from the resolver in time")

    def test_many_that_hung_up_delay_no_name_that_was_resolved_before(self):
        self.assert_up("known.test")
        scrapers = []
        self.addCleanup(lambda: [scraper.close() for scraper in scrapers])
        for number in range(self.HANGING):
            scraper = UnixConnection(self.exporter.socket_path)
            scraper.request("GET", f"/probe?target=mute{number}.test",
                            headers={"X-Prometheus-Scrape-Timeout-Seconds": "60"})
            scrapers.append(scraper)
        tasks = f"/proc/{self.exporter.pid}/task"
        wait_until(lambda: len(os.listdir(tasks)) > self.THREADS_OF_ONE_CLIENT, "their threads")
        for scraper in scrapers:
            scraper.close()
        wait_until(lambda: value(self.exporter.get("/metrics").metrics(), "iperf3_exporter_probes_total",
                                 result="cancelled") == self.HANGING, "they have hung up")
        self.assert_up("known.test")
        self.assertLess(len(os.listdir(tasks)), 2 * self.THREADS_OF_ONE_CLIENT)
        self.assertEqual(self.exporter.stop(), 0)


@unittest.skipUnless(os.geteuid() == 0, "a resolv.conf of its own needs root")
class HangingNamesOfOneClient(Directory):
    def test_leave_threads_to_the_names_of_another(self):
        # Of this test alone, because a port of an address is bound once.
        name_server = f"127.53.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
        mute = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        mute.bind((name_server, 53))
        exporter = self.stack.enter_context(
            NamingExporter(self.directory, "127.0.0.1 new.test\n", "--web.listen-address=127.0.0.1:0",
                           name_server=name_server))
        port = int(exporter.wait_for_line(r"listening.*address=\"?127[^ ]*:(\d+)").group(1))
        scrapers = 30
        for number in range(scrapers):
            scraper = self.stack.enter_context(
                contextlib.closing(HTTPConnection("127.0.0.1", port, source_address=("127.0.0.2", 0))))
            scraper.request("GET", f"/probe?target=mute{number}.test",
                            headers={"X-Prometheus-Scrape-Timeout-Seconds": "60"})
        wait_until(lambda: value(exporter.get("/metrics").metrics(), "iperf3_exporter_http_connections") > scrapers,
                   "all have asked")
        other = HTTPConnection("127.0.0.1", port, timeout=harness.WAIT_SECONDS)
        self.stack.enter_context(contextlib.closing(other))
        other.request("GET", f"/probe?target=new.test&port={free_port()}", headers={"X-Prometheus-Scrape-Timeout-Seconds": "9"})
        self.assertEqual(reason(harness.Response(other.getresponse()).metrics()), "connection_refused")


class Retries(unittest.TestCase):
    def test_a_server_that_is_freed_is_found_again(self):
        with Exporter("--probe.retries=50") as exporter, Iperf3Server() as server, \
                FakePeer(lambda connection: relay(connection, server.port)) as peer:
            other = harness.start([IPERF3, "-c", "127.0.0.1", "-p", str(server.port), "-t", "60",
                                      "-b", "1M", "--forceflush"], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: b"connected" in other.stdout.readline(), "the other test runs")
                thread, answers = in_background(lambda: exporter.probe(
                    port=peer.port, period="1s", bitrate="1M", scrape_timeout=60))
                # One connection for each attempt, as long as the server is busy.
                wait_until(lambda: len(peer.connections) >= 2, "the second attempt")
            finally:
                other.terminate()
                other.wait()
                other.stdout.close()
            thread.join()
            samples = answers[0].metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, answers[0].text + exporter.log)
            self.assertGreaterEqual(value(samples, "iperf3_probe_attempts"), 2)

    def test_what_cannot_pass_is_tried_once(self):
        def speak_http(connection):
            connection.recv(37)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with Exporter("--probe.retries=5") as exporter, FakePeer(speak_http) as peer:
            samples = exporter.probe(port=peer.port, period="1s").metrics()
            self.assertEqual(reason(samples), "server_error")
            self.assertEqual(value(samples, "iperf3_probe_attempts"), 1)

    def test_they_end_inside_the_deadline(self):
        with Exporter("--probe.retries=100") as exporter:
            answer, took = timed(lambda: exporter.probe(port=free_port(), scrape_timeout=3))
            self.assertEqual(reason(answer.metrics()), "connection_refused", answer.text)
            self.assertGreaterEqual(value(answer.metrics(), "iperf3_probe_attempts"), 2)
            self.assertLess(took, 3)

    def test_the_time_out_of_the_lock_does_not_limit_them(self):
        with Exporter("--probe.retries=2", "--lock.timeout=50ms") as exporter, \
                FakePeer(lambda connection: connection.sendall(BUSY)) as peer:
            samples = exporter.probe(port=peer.port, period="1s", scrape_timeout=20).metrics()
            self.assertEqual(reason(samples), "server_busy")
            self.assertGreaterEqual(value(samples, "iperf3_probe_attempts"), 3)

    def test_a_busy_server_is_tried_again_until_no_test_fits(self):
        with Exporter("--probe.retries=1") as exporter, \
                FakePeer(lambda connection: connection.sendall(BUSY)) as peer:
            answer, took = timed(lambda: exporter.probe(port=peer.port, period="1s", scrape_timeout=6))
            self.assertEqual(reason(answer.metrics()), "server_busy", answer.text)
            self.assertEqual(value(answer.metrics(), "iperf3_probe_attempts"), len(peer.connections))
            # Its last moment is 4.1 s: 6 s less the offset, a second of test and 0.4 s.
            self.assertGreater(took, 4)
            self.assertLess(took, 6)

    def check_silent_retry(self, refuse):
        """The first connection fails by `refuse`; the second is served."""
        def serve(connection):
            if len(peer.connections) == 1:
                refuse(connection)
            else:
                relay(connection, server.port)
        with Exporter() as exporter, Iperf3Server() as server, FakePeer(serve) as peer:
            answer = exporter.probe(port=peer.port, period="1s", bitrate="1M")
            self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text + exporter.log)
            self.assertEqual(value(answer.metrics(), "iperf3_probe_attempts"), 2)

    def test_a_busy_server_is_tried_once_more_in_any_case(self):
        self.check_silent_retry(lambda connection: connection.sendall(BUSY))

    def test_a_reset_before_the_test_is_as_busy(self):
        def reset_after_cookie(connection):
            connection.recv(37)
            reset(connection)
        self.check_silent_retry(reset_after_cookie)

    def test_two_tests_of_one_server_leave_it_a_pause(self):
        times = []

        def serve(connection):
            times.append(time.monotonic())
            connection.recv(37)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(1000)  # until iperf3 has closed it
            times.append(time.monotonic())
        with Exporter() as exporter, FakePeer(serve) as peer:
            probes = [in_background(lambda: exporter.probe(port=peer.port, period="1s"))[0] for _ in range(10)]
            for probe in probes:
                probe.join()
        # A thread that is woken late sees a shorter pause than there was: the median, for a busy machine.
        pauses = [begin - end for end, begin in zip(times[1:-1:2], times[2::2])]
        self.assertGreater(statistics.median(pauses), 0.045, pauses)

    def test_a_probe_that_was_tried_is_answered_with_its_test_at_shutdown(self):
        with Exporter("--probe.retries=100") as exporter, \
                FakePeer(lambda connection: connection.sendall(BUSY)) as peer:
            thread, answers = in_background(lambda: exporter.probe(port=peer.port, scrape_timeout=60))
            # A second connection is a second attempt: the first has failed.
            wait_until(lambda: len(peer.connections) >= 2, "the second attempt")
            self.assertEqual(exporter.stop(), 0)
            thread.join()
            self.assertEqual(answers[0].status, 200, answers[0].text)
            # Of the second attempt, if the exporter did not know yet that it had begun.
            self.assertIn(reason(answers[0].metrics()), ("server_busy", "cancelled"))


class Deadline(Directory):
    """Everything, the answer included, is over at the scrape timeout less the offset."""

    def test_an_iperf3_that_ignores_sigterm_does_not_delay_the_answer(self):
        fake = os.path.abspath(os.path.join(harness.BIN_DIR, "fake_iperf3"))
        with Exporter(f"--iperf3.path={fake}") as exporter:
            answer, took = timed(lambda: exporter.probe(bind_device="ignore-term", period="1s", scrape_timeout=3))
            # The second if the worker, on a busy machine, has not reported by then.
            self.assertIn(reason(answer.metrics()), ("deadline", "worker_lost"), answer.text)
            self.assertLess(took, 3)

    def check_stopped_worker(self, exporter, server, worker_when_ready):
        """The scraper is answered before its own timeout; the worker is killed and replaced later."""
        with Scraper(exporter, server.port, timeout=4, period="1s", bitrate="1M") as scraper:
            os.kill(worker_when_ready(), signal.SIGSTOP)
            samples, took = timed(scraper.metrics)
        self.assertEqual(reason(samples), "worker_lost")
        self.assertLess(took, 4)
        wait_until(lambda: value(exporter.get("/metrics").metrics(), "iperf3_exporter_worker_restarts_total",
                                 reason="hung") == 1, "the worker is killed")
        exporter.wait_until_idle()
        samples = exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
        self.assertEqual(value(samples, "iperf3_up"), 1, exporter.log)

    def test_a_worker_that_is_stopped_before_its_job_does_not_delay_the_answer(self):
        with Exporter("--worker.count=1") as exporter, Iperf3Server() as server:
            worker, = exporter.workers()
            os.kill(worker, signal.SIGSTOP)
            self.check_stopped_worker(exporter, server, lambda: worker)

    def test_a_worker_that_is_stopped_in_its_test_does_not_delay_the_answer(self):
        with Exporter("--worker.count=1", "--probe.retries=9") as exporter, Iperf3Server() as server:
            worker, = exporter.workers()

            def when_iperf3_runs():
                wait_until(exporter.iperf3, "the test runs")
                return worker
            self.check_stopped_worker(exporter, server, when_iperf3_runs)

    @unittest.skipUnless(os.geteuid() == 0, "tracing a sandboxed worker needs root")
    def test_an_iperf3_that_is_stopped_before_it_is_executed_does_not_delay_the_answer(self):
        """Its worker waits for the exec, without an answer to any signal but SIGKILL."""
        with Exporter("--worker.count=1") as exporter, Iperf3Server() as server:
            worker, = exporter.workers()
            tracer, children = in_background(lambda: stop_next_child(worker))
            wait_until(lambda: is_traced(worker), "the worker is traced")
            answer, took = timed(lambda: exporter.probe(port=server.port, period="1s", scrape_timeout=4))
            tracer.join()
            self.assertEqual(reason(answer.metrics()), "worker_lost", answer.text)
            self.assertLess(took, 4)
            wait_until(lambda: not os.path.exists(f"/proc/{children[0]}"), "the child is gone")
            exporter.wait_until_idle()
            samples = exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, exporter.log)

    def test_the_time_that_a_password_takes_is_part_of_it(self):
        config = os.path.join(self.directory, "web.yml")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"basic_auth_users:\n  scraper: {SLOW_HASH}\n")
        release = threading.Event()
        self.addCleanup(release.set)
        with Exporter(f"--web.config.file={config}") as exporter, \
                FakePeer(lambda connection: release.wait(60)) as peer:
            def headers(password):
                user = base64.b64encode(f"scraper:{password}".encode()).decode()
                return {"Authorization": "Basic " + user, "X-Prometheus-Scrape-Timeout-Seconds": "7"}

            _, checking = timed(lambda: exporter.get("/metrics", headers("wrong")))
            answer, took = timed(lambda: exporter.get(
                f"/probe?target=127.0.0.1&port={peer.port}&period=1s", headers("secret")))
            self.assertEqual(answer.status, 200, answer.text)
            # If the check took most of the time, there was none for a test.
            self.assertIn(reason(answer.metrics()), ("no_response", "deadline"))
            elsewhere = took - value(answer.metrics(), "iperf3_probe_duration_seconds")
            self.assertLess(elsewhere, checking / 2)


class Shutdown(unittest.TestCase):
    def test_a_probe_that_waits_for_another_exporter_leaves_at_once(self):
        with Exporter() as first, Exporter(lock_name=first.lock_name) as second, \
                Iperf3Server() as server:
            holder, _ = in_background(
                lambda: first.probe(port=server.port, period="6s", bitrate="1M"))
            wait_until(first.iperf3, "the first tests")
            waiter, answers = in_background(
                lambda: second.probe(port=server.port, period="1s", bitrate="1M"))
            wait_until(lambda: lock_status(second)["waiting"], "the second waits")
            second.process.send_signal(signal.SIGTERM)
            waiter.join()
            self.assertTrue(first.iperf3(), "the first's test is over")
            self.assertEqual(answers[0].status, 503, answers[0].text)
            self.assertIn("shutting down", answers[0].text)
            self.assertEqual(second.stop(), 0)
            holder.join()


if __name__ == "__main__":
    unittest.main(verbosity=2)
