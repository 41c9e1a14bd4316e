"""The lock between exporters: who is shown to hold it and to wait for it, how long, and what crashes leave of it."""

import concurrent.futures
import contextlib
import glob
import http.client
import os
import signal
import subprocess
import threading
import time
import unittest

from harness import Exporter, Iperf3Server, has_open_files, children_of, free_port, lock_status, reason, value, wait_until


def probe_ignoring_the_result(exporter, port, period="60s"):
    """A long probe whose answer does not count, or whose exporter will be ended under it."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        exporter.probe(port=port, period=period, bitrate="1M", scrape_timeout=100)


def has_tested(exporter):
    """Whether a probe is answered by a test. On a slow machine new workers may not be there in the time for which it
    waits for one."""
    answer = exporter.probe(port=free_port(), period="1s")
    return answer.status == 200 and reason(answer.metrics()) == "connection_refused"


class FullDirectory(unittest.TestCase):
    def test_tests_run_although_another_user_has_filled_it(self):
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        exporter = Exporter()
        exporter.launcher = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"', "sh"]
        with exporter, Iperf3Server() as server:
            fill = ["nsenter", "-m", "-t", str(exporter.pid), "dd", "if=/dev/zero", "of=/dev/shm/other", "bs=4k", "count=1024"]
            result = subprocess.run(fill, capture_output=True, text=True, timeout=60)
            self.assertIn("No space left", result.stderr)
            samples = exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
            self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (1, None))


class BetweenExporters(unittest.TestCase):
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
                Exporter(lock_name=first.lock_name) as third, Iperf3Server() as server:
            thread = threading.Thread(target=probe_ignoring_the_result, args=(first, server.port, "5s"))
            thread.start()
            wait_until(first.iperf3, "the first tests")
            self.check_lock_timeout(second, server.port)
            # One that could still wait, but has no second of test left, leaves then, long before its scraper gives up: of
            # its 2.5 s the last second, and what an iperf3 needs beside it, are of no use any more.
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for status, took in pool.map(lambda exporter: self.wait_in_vain(exporter, server.port),
                                             (first, third)):
                    self.assertEqual(status, 503)
                    self.assertGreater(took, 0.9)
                    self.assertLess(took, 2.5)
            self.assertEqual(len(first.iperf3()), 1, "the holder was still testing")
            thread.join()

    def check_lock_timeout(self, exporter, port):
        """A probe that waits as long as --lock.timeout=1s lets it."""
        seen = []
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(
            exporter.probe(port=port, period="1s")))
        waiter.start()
        while waiter.is_alive():
            status = lock_status(exporter)
            seen += status["waiting"]
            self.assertLessEqual(status["queue_size"], 1)
        self.assertEqual(answers[0].status, 503)
        self.assertIn("lock", answers[0].text)
        self.assertIn("retry-after", answers[0].headers)
        self.assertTrue(seen, "it was never shown that it waits for another exporter")
        self.assertEqual((seen[0]["target"], seen[0]["port"]), ("127.0.0.1", port))
        self.assertLessEqual(seen[0]["waited"] + seen[0]["left"], 1.1)
        self.assertGreater(seen[-1]["waited"], seen[0]["waited"])
        samples = exporter.get("/metrics").metrics()
        self.assertEqual(value(samples, "iperf3_exporter_lock_timeouts_total"), 1)
        self.assertRegex(exporter.log, f"probe refused.* holders=(localhost|127.0.0.1):{port}")

    @staticmethod
    def wait_in_vain(exporter, port):
        began = time.monotonic()
        status = exporter.probe(port=port, period="1s", scrape_timeout=3).status
        return status, time.monotonic() - began


class Recovery(unittest.TestCase):
    def test_everything_killed_at_once_leaves_the_lock_free(self):
        with Iperf3Server() as server, Exporter() as first:
            thread = threading.Thread(target=probe_ignoring_the_result, args=(first, server.port))
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
                self.assertLess(value(samples, "iperf3_lock_wait_seconds"), 5)
                self.assertEqual(lock_status(second)["recoveries"], 1)
                self.assertEqual(value(second.get("/metrics").metrics(),
                                       "iperf3_exporter_lock_recoveries_total"), 1)

    def test_a_killed_exporter_is_a_recovery(self):
        with Iperf3Server() as server, Exporter() as first, Exporter(lock_name=first.lock_name) as second:
            thread = threading.Thread(target=probe_ignoring_the_result, args=(first, server.port))
            thread.start()
            wait_until(first.iperf3, "iperf3 runs")
            # A worker that sees its socket closed before it is killed may still release the lock.
            for worker in first.workers():
                os.kill(worker, signal.SIGSTOP)
            os.kill(first.pid, signal.SIGKILL)
            first.process.wait()
            thread.join()
            self.assertEqual(reason(second.probe(port=free_port(), period="1s").metrics()), "connection_refused")
            self.assertEqual(lock_status(second)["recoveries"], 1)

    def test_a_stopped_worker_does_not_outlive_its_exporter(self):
        with Iperf3Server() as server, Exporter() as first, Exporter(lock_name=first.lock_name) as second:
            thread = threading.Thread(target=probe_ignoring_the_result, args=(first, server.port))
            thread.start()
            wait_until(first.iperf3, "iperf3 runs")
            workers = first.workers()
            for worker in workers:
                os.kill(worker, signal.SIGSTOP)
            os.kill(first.pid, signal.SIGKILL)
            first.process.wait()
            thread.join()
            self.assertEqual(reason(second.probe(port=free_port(), period="1s").metrics()), "connection_refused")
            wait_until(lambda: not any(has_open_files(worker) for worker in workers), "all workers have ended")

    def test_a_damaged_lock_is_made_anew(self):
        """A file that is cut short ends the workers, which map it; a wrong mode is replaced like another user's file."""
        with Exporter() as exporter:
            files = [f"/dev/shm/{name.format(exporter.lock_name)}" for name in ("sem.{}@host", "{}@host-holders.2")]
            for damage in (lambda path: os.truncate(path, 0), lambda path: os.chmod(path, 0o666)):
                for path in files:
                    damage(path)
                for worker in exporter.workers():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                wait_until(lambda: has_tested(exporter), exporter.log)
                self.assertEqual(os.stat(files[0]).st_mode & 0o777, 0o600)
                self.assertGreater(os.stat(files[1]).st_size, 0)

    def test_a_deleted_lock_is_made_anew(self):
        with Exporter() as exporter:
            self.assertTrue(has_tested(exporter), exporter.log)
            for path in glob.glob(f"/dev/shm/*{exporter.lock_name}*"):
                os.unlink(path)
            wait_until(lambda: has_tested(exporter), exporter.log)
            exporter.wait_for_line("changed while in use")
            for path in (f"sem.{exporter.lock_name}@host", f"{exporter.lock_name}@host"):
                self.assertTrue(os.path.exists(f"/dev/shm/{path}"), path)

    def test_a_lock_that_is_deleted_while_no_worker_lives_is_made_anew(self):
        with Exporter("--worker.count=1") as exporter:
            worker, = exporter.workers()
            os.kill(worker, signal.SIGSTOP)
            for path in glob.glob(f"/dev/shm/*{exporter.lock_name}*"):
                os.unlink(path)
            os.kill(worker, signal.SIGKILL)
            exporter.wait_for_line("changed while in use")
            wait_until(lambda: exporter.get("/health").status == 200, exporter.log)
            self.assertEqual(reason(exporter.probe(port=free_port(), period="1s").metrics()),
                             "connection_refused", exporter.log)

    def test_a_lock_that_cannot_be_created_is_not_said_to_exist(self):
        with Exporter("--worker.count=1") as exporter:
            worker, = exporter.workers()
            obstacle = f"/dev/shm/{exporter.lock_name}@host"
            os.kill(worker, signal.SIGSTOP)
            for path in glob.glob(f"/dev/shm/*{exporter.lock_name}*"):
                os.unlink(path)
            os.mkdir(obstacle)
            try:
                os.kill(worker, signal.SIGKILL)
                exporter.wait_for_line("cannot create the lock.*is a directory")
                self.assertNotRegex(exporter.log, "created( the lock)? again")
            finally:
                os.rmdir(obstacle)
            exporter.wait_for_line("created the lock again")
            wait_until(lambda: exporter.get("/health").status == 200, exporter.log)
            self.assertEqual(reason(exporter.probe(port=free_port(), period="1s").metrics()),
                             "connection_refused", exporter.log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
