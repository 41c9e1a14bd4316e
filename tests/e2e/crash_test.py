"""Processes killed at any moment: the next waiter gets the lock, promptly but not before the old test has ended, and
nothing is left behind."""

import contextlib
import glob
import http.client
import os
import random
import re
import signal
import socket
import threading
import time
import unittest

import harness
from harness import (IPERF3, WAIT_SECONDS, Exporter, Iperf3Server, Overlap, has_open_files, children_of, free_port, lock_status, reason,
                     remove_lock, value, wait_until)

REFUSE_CALLS = os.path.join(harness.BIN_DIR, "refuse_calls")


def start_thread(function, *arguments, **keywords):
    """Errors of the connection are ignored, because the exporter may be killed."""
    def run():
        with contextlib.suppress(OSError, http.client.HTTPException):
            function(*arguments, **keywords)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def iperf3_under(workers):
    """The first iperf3 of these workers, found in tens of microseconds; None if there is none."""
    real = os.path.realpath(IPERF3)
    for worker in workers:
        with contextlib.suppress(OSError), open(f"/proc/{worker}/task/{worker}/children", encoding="ascii") as file:
            for child in file.read().split():
                if os.readlink(f"/proc/{child}/exe") == real:
                    return int(child)
    return None


class NextHolder(unittest.TestCase):
    """One exporter tests, another one on the same host has a probe waiting, and the first dies."""

    NEXT_HOLDER_SECONDS = 0.25
    ATTEMPTS = 3  # the machine may be busy with something else; the best of them counts

    def setUp(self):
        self.servers = [self.enterContext(Iperf3Server()) for _ in range(2)]
        self.lock_name = f"iperf3_exporter_crash.{os.getpid()}.{time.monotonic_ns()}"
        self.addCleanup(remove_lock, self.lock_name)

    def handover(self, kill):
        """Seconds from the deaths to the second's iperf3."""
        with Exporter("--probe.retries=5", lock_name=self.lock_name) as first, \
                Exporter("--probe.retries=5", lock_name=self.lock_name) as second:
            workers = second.workers()
            answers = []
            threads = [start_thread(first.probe, port=self.servers[0].port, period="60s", bitrate="1M",
                                     scrape_timeout=100)]
            old, = wait_until(first.iperf3, "the first tests")
            threads.append(start_thread(lambda: answers.append(second.probe(
                port=self.servers[1].port, period="1s", bitrate="1M", scrape_timeout=60))))
            wait_until(lambda: lock_status(second)["waiting"], "the second waits")
            began = time.monotonic()
            kill(first, old)
            while not iperf3_under(workers):
                self.assertLess(time.monotonic() - began, WAIT_SECONDS)
            took = time.monotonic() - began
            self.assertFalse(has_open_files(old), "the old iperf3 still ran when the next one was there")
            if first.process.poll() is None:
                first.stop(signal.SIGTERM)
            for thread in threads:
                thread.join()
            samples = answers[0].metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, answers[0].text + second.log)
            wait_until(lambda: not children_of(first.pid), "nothing of the first is left")
            return took

    def check(self, kill):
        best = min(self.handover(kill) for _ in range(self.ATTEMPTS))
        print(f"next holder after {1000 * best:.0f} ms", flush=True)
        self.assertLess(best, self.NEXT_HOLDER_SECONDS)

    def test_the_worker_dies(self):
        self.check(lambda first, iperf3: os.kill(parent_of(iperf3), signal.SIGKILL))

    def test_the_supervisor_dies(self):
        self.check(lambda first, iperf3: os.kill(first.pid, signal.SIGKILL))

    def test_everything_dies(self):
        def kill(first, _):
            for pid in [*children_of(first.pid), first.pid]:
                with contextlib.suppress(ProcessLookupError):  # iperf3 dies with its worker
                    os.kill(pid, signal.SIGKILL)
        self.check(kill)


class SilentPeer:
    """Accepts connections and sends nothing, so that an iperf3 runs until it is terminated. A process's connections are
    closed before its share of the lock is released: when a second iperf3 connects, the first connection has been
    closed, or the two overlap."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open = []
        self.taken = 0
        self.overlaps = 0
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def _serve(self):
        while True:
            try:
                fresh, _ = self.listener.accept()
            except OSError:
                return
            self.taken += 1
            self.open = [each for each in self.open if not self._has_ended(each)]
            self.overlaps += len(self.open)
            self.open.append(fresh)

    @staticmethod
    def _has_ended(connection):
        connection.setblocking(False)
        try:
            while connection.recv(4096):  # what iperf3 says first
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        connection.close()
        return True

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for each in self.open:
            each.close()


class AtAnyMoment(unittest.TestCase):
    # The delay until a worker is replaced doubles with each death: many exporters with one worker
    # each, which share the lock, die more often in the same time.
    EXPORTERS = 14
    ROUNDS = 7
    # Until the next death: from the last one, which is within the next job's start, or from the time when that has
    # connected. If a test keeps the lock (see below), none connects.
    MAX_DELAY_SECONDS = 0.005
    MAX_CONNECT_SECONDS = 0.5

    def test_never_two_at_once_and_nothing_is_left(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}", flush=True)
        randomness = random.Random(seed)
        directories = set()
        name = f"iperf3_exporter_crash.{os.getpid()}.{time.monotonic_ns()}"
        self.addCleanup(remove_lock, name)
        with contextlib.ExitStack() as stack:
            peer = stack.enter_context(SilentPeer())
            exporters = [stack.enter_context(self.exporter(name)) for _ in range(self.EXPORTERS)]
            for _ in range(self.ROUNDS):
                for exporter in exporters:
                    exporter.wait_until_idle()
                    directories.update(self.private_directories(exporter))
                self.kill_all_in_turn(exporters, peer, randomness)
            print(f"{peer.taken} iperf3 of {self.EXPORTERS * self.ROUNDS} jobs had connected", flush=True)
            self.assertGreaterEqual(peer.taken, self.ROUNDS)
            self.assertEqual(peer.overlaps, 0)
            for exporter in exporters:
                exporter.wait_until_idle()
                self.assertEqual(reason(exporter.probe(port=free_port(), period="1s").metrics()),
                                 "connection_refused", exporter.log)
                self.assertEqual(list(children_of(exporter.pid)), exporter.workers())
                self.assertEqual(len(exporter.workers()), 1)
            self.assertIs(lock_status(exporters[0])["is_locked"], False)
        self.assertGreaterEqual(len(directories), self.EXPORTERS * self.ROUNDS)
        self.assertEqual([path for path in directories if os.path.exists(path)], [])

    @staticmethod
    def exporter(lock_name):
        """Its workers may not mount a file system for iperf3's files: it would vanish with them."""
        exporter = Exporter("--worker.count=1", lock_name=lock_name)
        exporter.launcher = [REFUSE_CALLS, "fsopen", "--"]
        return exporter

    @staticmethod
    def private_directories(exporter):
        """Those that its workers have for iperf3's files. Each worker has a lock on its own. Other exporters on this
        host have such directories, too."""
        workers = exporter.workers()
        with open("/proc/locks", encoding="ascii") as file:
            locks = [line.split() for line in file]
        inodes = {fields[5].rpartition(":")[2] for fields in locks if fields[1] == "FLOCK" and int(fields[4]) in workers}
        for parent in ("/tmp", "/var/tmp", "/dev/shm"):
            for path in glob.glob(f"{parent}/iperf3_exporter.*"):
                with contextlib.suppress(FileNotFoundError):
                    if str(os.stat(path).st_ino) in inodes:
                        yield path

    def kill_all_in_turn(self, exporters, peer, randomness):
        """Each has a job; one of them tests and the others wait. Whose worker dies next, and when, is
        as it comes."""
        workers = [exporter.workers()[0] for exporter in exporters]
        request = (f"GET /probe?target=127.0.0.1&port={peer.port}&period=1s HTTP/1.1\r\nHost: x\r\n"
                   "Connection: close\r\n\r\n").encode()
        with contextlib.ExitStack() as stack:
            scrapers = []
            for exporter in exporters:
                scrapers.append(stack.enter_context(socket.create_connection(("127.0.0.1", exporter.port))))
                scrapers[-1].sendall(request)
            randomness.shuffle(workers)
            for worker in workers:
                connected = peer.taken
                latest = time.monotonic() + randomness.choice((0, self.MAX_CONNECT_SECONDS))
                while peer.taken == connected and time.monotonic() < latest:
                    time.sleep(0.0005)
                moment = time.monotonic() + randomness.uniform(0, self.MAX_DELAY_SECONDS)
                while time.monotonic() < moment:
                    pass
                os.kill(worker, signal.SIGKILL)
            for scraper in scrapers:
                scraper.settimeout(2 * WAIT_SECONDS)
                # A job that came only after its worker's death waits for a new worker, in vain if that is in back-off.
                # Otherwise its iperf3 holds the lock until its deadline, because the peer never answers, and a second
                # one of that kind waits for the lock in vain.
                self.assertRegex(scraper.recv(65536),
                                 b"^HTTP/1.1 (200 |503 [^$]*(the lock was not acquired in time|no worker is alive))")


class Deletion(unittest.TestCase):
    def test_who_waits_moves_to_the_new_lock(self):
        with Iperf3Server() as one, Iperf3Server() as other, Exporter("--probe.retries=5") as first, \
                Exporter("--probe.retries=5", lock_name=first.lock_name) as second:
            answers = []

            def probe(exporter, port, period):
                answers.append(exporter.probe(port=port, period=period, bitrate="1M", scrape_timeout=60))

            threads = [start_thread(probe, first, one.port, "8s")]
            old, = wait_until(first.iperf3, "the first tests")
            threads.append(start_thread(probe, second, other.port, "1s"))
            wait_until(lambda: lock_status(second)["waiting"], "the second waits")
            for path in glob.glob(f"/dev/shm/*{glob.escape(first.lock_name)}*"):
                os.unlink(path)
            wait_until(second.iperf3, "the second tests")
            self.assertTrue(has_open_files(old), "the first was not disturbed, and the second did not wait for its end")
            self.assertEqual(len(re.findall("changed while in use", second.log)), 1, second.log)
            for thread in threads:
                thread.join()
            for exporter in (first, second):
                exporter.wait_until_idle()  # workers that had the old lock are replaced
            # From the end of that test on there is one lock for both again.
            with Overlap(first, second) as overlap:
                threads = [start_thread(probe, exporter, server.port, "1s")
                           for exporter, server in ((first, one), (second, other)) * 2]
                for thread in threads:
                    thread.join()
            self.assertEqual(overlap.max_seen, 1)
            self.assertEqual([value(answer.metrics(), "iperf3_up") for answer in answers], [1] * 6,
                             first.log + second.log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
