"""Start, stop, crashes, leaks."""

import base64
import concurrent.futures
import contextlib
import glob
import http.client
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

import harness
from harness import (EXPORTER, HASH, Exporter, Iperf3Server, children_of, free_port, in_background, reason, smaps,
                     start, value, wait_until)
from scraper import Scraper

BEFORE_THE_TEST_ENDS = 10  # seconds, of a test of 20 s


def resources(exporter):
    """Descriptors, processes and threads of the exporter and its workers."""
    pids = [exporter.pid, *children_of(exporter.pid)]
    return {"descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
            "processes": len(pids),
            "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids)}


def settled_resources(exporter):
    """The minimum of several samples: the last request's connection may still be closing."""
    samples = []
    for _ in range(20):
        samples.append(resources(exporter))
        time.sleep(0.01)
    return min(samples, key=lambda sample: (sample["descriptors"], sample["threads"]))


def anonymous_kib(exporter):
    """Memory of their own: what is shared with other programs comes and goes with those."""
    return sum(smaps(pid, "Anonymous") for pid in [exporter.pid, *children_of(exporter.pid)])


def full_pipe():
    """(read end, write end)"""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b"x" * select.PIPE_BUF)
    os.set_blocking(write_end, True)
    return read_end, write_end


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def writes_to_stdout(pid):
    """Whether it is blocked in a call whose first argument is descriptor 1."""
    with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        return file.read().split()[1:2] == ["0x1"]


class Start(unittest.TestCase):
    def refused(self, *flags, descriptors=None, file_bytes=None):
        def limit():
            for which, most in ((resource.RLIMIT_NOFILE, descriptors), (resource.RLIMIT_FSIZE, file_bytes)):
                if most is not None:
                    resource.setrlimit(which, (most, most))
        result = subprocess.run([EXPORTER, *flags], capture_output=True, text=True, timeout=60,
                                preexec_fn=limit)
        harness.remove_lock(f"e2e.start.{os.getpid()}")
        return result.returncode, result.stderr

    def test_a_port_in_use_is_tried_again_with_growing_pauses(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            code, log = self.refused(f"--web.listen-address=127.0.0.1:{port}",
                                     f"--lock.name=e2e.start.{os.getpid()}")
        # Not 2: systemd tries again.
        self.assertEqual(code, 1)
        self.assertRegex(log.splitlines()[-1], "cannot start.*Address already in use")
        pauses = [int(pause) for pause in re.findall(r"next_attempt_seconds=(\d+)", log)]
        self.assertGreater(len(pauses), 2)
        self.assertEqual(pauses, sorted(set(pauses)), "growing")

    def test_a_port_that_becomes_free_is_taken(self):
        with contextlib.ExitStack() as stack:
            taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = taken.getsockname()[1]
            exporter = stack.enter_context(Exporter(f"--web.listen-address=127.0.0.1:{port}", wait_ready=False))
            exporter.wait_for_line("cannot listen yet.*Address already in use")
            taken.close()
            exporter.wait_until_ready()
            self.assertEqual(exporter.get("/ready").status, 200)

    def test_all_addresses_share_the_pauses(self):
        with contextlib.ExitStack() as stack:
            taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            addresses = ["127.0.0.1:%d" % each.getsockname()[1] for each in taken]
            exporter = stack.enter_context(Exporter(*(f"--web.listen-address={address}" for address in addresses),
                                                    wait_ready=False))
            for address, each in zip(addresses, taken):
                exporter.wait_for_line(f"cannot listen yet.*{address}:")
                each.close()
            exporter.wait_until_ready()
            pauses = [int(pause) for pause in re.findall(r"next_attempt_seconds=(\d+)", exporter.log)]
            self.assertEqual(pauses, sorted(set(pauses)), "growing over both")

    def test_sigterm_ends_the_wait_for_a_port(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with Exporter(f"--web.listen-address=127.0.0.1:{port}", wait_ready=False) as exporter:
                exporter.wait_for_line("cannot listen yet")
                self.assertEqual(exporter.stop(), 0)

    def test_what_the_operator_must_mend_exits_with_2_and_one_line(self):
        with harness.temporary_directory() as directory:
            files = {"broken.yml": "tls_server_config: [\n",
                     "no_certificate.yml": "tls_server_config:\n  cert_file: none.crt\n  key_file: none.key\n"}
            for name, text in files.items():
                with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                    file.write(text)
            cases = [(f"--web.config.file={directory}/{name}", name) for name in files]
            cases += [(f"--web.config.file={directory}/missing.yml", "missing.yml"),
                      (f"--web.listen-address=unix:{directory}/missing/web.sock", "missing/web.sock"),
                      (f"--iperf3.path={directory}/missing", "--iperf3.path"),
                      ("--iperf3.path=/bin/true", "--iperf3.path"),
                      ("--worker.path=/bin/true", "--worker.path"),
                      ("--web.systemd-socket", "LISTEN_FDS")]
            for flag, words in cases:
                with self.subTest(flag):
                    flags = [flag, f"--lock.name=e2e.start.{os.getpid()}"]
                    if "listen" not in flag:
                        flags.append("--web.listen-address=127.0.0.1:0")
                    code, log = self.refused(*flags)
                    self.assertEqual(code, 2, log)
                    errors = [line for line in log.splitlines() if "level=info" not in line]
                    self.assertIn(words, errors[-1])
                    self.assertEqual(len(errors), 1, log)

    def test_a_socket_of_systemd_without_its_flag_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as passed:
            result = subprocess.run(
                ["bash", "-c", 'exec 3<&"$1"; shift; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "bash",
                 str(passed.fileno()), EXPORTER, f"--lock.name=e2e.start.{os.getpid()}"],
                pass_fds=[passed.fileno()], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertIn("--web.systemd-socket", result.stderr)

    def test_signals_that_a_parent_has_blocked_are_handled(self):
        exporter = Exporter()
        exporter.launcher = [sys.executable, "-c", "import os, signal, sys\n"
                             "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
                             "os.execv(sys.argv[1], sys.argv[1:])"]
        with exporter:
            self.assertEqual(exporter.stop(), 0)

    def test_sighup_does_not_end_a_start(self):
        read_end, write_end = full_pipe()
        self.addCleanup(os.close, read_end)
        # Held up before it handles any signal.
        process = harness.start([EXPORTER, "--help"], stdout=write_end)
        os.close(write_end)
        wait_until(lambda: writes_to_stdout(process.pid), "it waits for its reader")
        process.send_signal(signal.SIGHUP)
        while os.read(read_end, 1 << 16):
            pass
        self.assertEqual(process.wait(harness.WAIT_SECONDS), 0)

    def test_programs_that_are_something_else_are_named(self):
        for flag, program in (("--worker.path", "/bin/true"), ("--iperf3.path", "/bin/true")):
            with self.subTest(flag):
                code, log = self.refused(f"{flag}={program}", "--web.listen-address=127.0.0.1:0",
                                         f"--lock.name=e2e.start.{os.getpid()}")
                self.assertEqual(code, 2)
                self.assertIn(flag, log)
                self.assertNotIn("msg=ready", log)

    @contextlib.contextmanager
    def worker_that_starts(self, mode, *flags):
        """An exporter whose worker is a rogue, before that is ready."""
        with harness.temporary_directory() as directory:
            worker = os.path.join(directory, f"rogue_worker_{mode}")  # its behaviour depends on its name
            os.symlink(os.path.join(harness.BIN_DIR, "rogue_worker"), worker)
            with Exporter(f"--worker.path={worker}", "--worker.count=1", *flags, wait_ready=False) as exporter:
                exporter.wait_until_listening()
                yield exporter
    def wait_for_queue(self, exporter, length):
        wait_until(lambda: harness.lock_status(exporter)["queue_size"] == length, f"{length} probes wait")

    def test_while_the_first_worker_starts_probes_wait(self):
        with self.worker_that_starts("stopped_start") as exporter:
            self.assertEqual(exporter.get("/metrics").status, 200)
            self.assertEqual(exporter.get("/ready").status, 503)
            probe, answers = in_background(exporter.probe)
            self.wait_for_queue(exporter, 1)
            leaver = exporter.connect()
            leaver.request("GET", "/probe?target=127.0.0.1")
            self.wait_for_queue(exporter, 2)
            leaver.close()
            self.wait_for_queue(exporter, 1)
            self.assertEqual(answers, [])
            while probe.is_alive():  # a worker that was stopped for too long has been replaced by another
                for pid in children_of(exporter.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
                probe.join(0.01)
            self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1)
            self.assertEqual(exporter.get("/ready").status, 200)
            samples = exporter.get("/metrics").metrics()
            for result in ("success", "cancelled"):
                self.assertEqual(value(samples, "iperf3_exporter_probes_total", result=result), 1, result)

    def test_a_probe_that_waits_for_the_first_worker_is_refused_at_the_end(self):
        with self.worker_that_starts("silent_start") as exporter:
            probe, answers = in_background(exporter.probe)
            self.wait_for_queue(exporter, 1)
            self.assertEqual(exporter.stop(), 0)
            probe.join()
            self.assertEqual((answers[0].status, answers[0].text), (503, "no worker is ready\n"))

    def test_a_probe_waits_for_the_first_worker_until_its_deadline(self):
        with self.worker_that_starts("stopped_start") as exporter:
            began = time.monotonic()
            answer = exporter.probe(scrape_timeout=1)
            self.assertEqual((answer.status, answer.text), (503, "no worker is ready\n"))
            self.assertLess(time.monotonic() - began, 1)
            self.assertIn("retry-after", answer.headers)

    def test_probes_that_wait_for_the_first_worker_count_as_queued(self):
        with self.worker_that_starts("stopped_start", "--probe.max-queued=2") as exporter:
            probes = [in_background(exporter.probe)[0] for _ in range(2)]
            self.wait_for_queue(exporter, 2)
            self.assertEqual(harness.lock_status(exporter)["waiting_omitted"], 2)
            self.assertEqual(value(exporter.get("/metrics").metrics(), "iperf3_exporter_queue_length"), 2)
            answer = exporter.probe()
            self.assertEqual(answer.status, 503)
            self.assertEqual(answer.text, "the queue is full (--probe.max-queued=2)\n")
            self.assertEqual(exporter.stop(), 0)
            for probe in probes:
                probe.join()

    def test_a_first_worker_that_is_slow_or_killed_is_replaced(self):
        with self.worker_that_starts("stopped_start") as exporter:
            probe, answers = in_background(lambda: exporter.probe(scrape_timeout=60))
            self.wait_for_queue(exporter, 1)
            exporter.wait_for_line('level=error msg="worker replaced" .*reason=not_ready detail="it or iperf3 --help was too slow"')
            killed, = wait_until(lambda: children_of(exporter.pid), "the next worker")
            os.kill(killed, signal.SIGKILL)
            exporter.wait_for_line(f'level=error msg="worker replaced" .*pid={killed} reason=crashed')
            last, = wait_until(lambda: children_of(exporter.pid), "the next worker")
            wait_until(lambda: is_stopped(last), "it has stopped")
            os.kill(last, signal.SIGCONT)
            probe.join()
            self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1)
            self.assertEqual(exporter.get("/ready").status, 200)

    def test_a_failed_start_refuses_what_waits(self):
        with self.worker_that_starts("stopped_start") as exporter:
            probe, answers = in_background(exporter.probe)
            self.wait_for_queue(exporter, 1)
            worker = exporter.flag("--worker.path")
            os.symlink("/bin/false", f"{worker}.new")
            os.rename(f"{worker}.new", worker)
            for pid in children_of(exporter.pid):
                os.kill(pid, signal.SIGKILL)
            probe.join()
            self.assertEqual(answers[0].status, 503)
            self.assertEqual(exporter.process.wait(harness.WAIT_SECONDS), 2)

    def test_a_start_that_fails_at_its_second_address_refuses_what_waits(self):
        with harness.temporary_directory() as directory, socket.socket(socket.AF_UNIX) as other:
            path = os.path.join(directory, "web.sock")
            other.bind(path)
            other.listen()
            port = free_port()
            with Exporter(f"--web.listen-address=127.0.0.1:{port}", f"--web.listen-address=unix:{path}",
                          wait_ready=False) as exporter:
                exporter.wait_for_line("cannot listen yet")
                exporter.port = port
                probe, answers = in_background(exporter.probe)
                self.wait_for_queue(exporter, 1)
                with open(path + ".new", "wb"):
                    pass
                os.rename(path + ".new", path)  # a file that is not a socket does not become free
                probe.join()
                self.assertEqual((answers[0].status, answers[0].text), (503, "no worker is ready\n"))
                self.assertEqual(exporter.process.wait(harness.WAIT_SECONDS), 2)

    def test_variables_of_libevent_have_no_effect(self):
        names = ("EVENT_NOEPOLL", "EVENT_NOPOLL", "EVENT_NOSELECT")
        with Exporter(env={**os.environ, **dict.fromkeys(names, "1")}) as exporter:
            self.assertEqual(exporter.get("/ready").status, 200)

    def test_more_connections_than_descriptors_never_start(self):
        code, log = self.refused("--web.max-connections=100000", "--web.listen-address=127.0.0.1:0",
                                 f"--lock.name=e2e.start.{os.getpid()}", descriptors=2000)
        self.assertEqual(code, 2)
        self.assertIn("--web.max-connections=100000", log)

    def test_limits_that_are_too_low_are_named(self):
        cases = [({"descriptors": 4}, "ulimit -n"), ({"descriptors": 8}, "ulimit -n"),
                 ({"file_bytes": 0}, "ulimit -f"), ({"file_bytes": 1 << 16}, "ulimit -f")]
        for limit, words in cases:
            with self.subTest(limit):
                code, log = self.refused("--web.listen-address=127.0.0.1:0", f"--lock.name=e2e.start.{os.getpid()}", **limit)
                self.assertEqual(code, 2, log)
                self.assertEqual(len(log.splitlines()), 1, log)
                self.assertIn(words, log)

    def test_what_the_system_lacks_is_named(self):
        cases = {"umount -l /proc": "/proc", "mount -t tmpfs none /dev": "/dev/null"}
        for command, path in cases.items():
            with self.subTest(path):
                result = subprocess.run(["unshare", "-m", "sh", "-c", f'{command} && exec "$@"', "sh", EXPORTER,
                                         "--web.listen-address=127.0.0.1:0", f"--lock.name=e2e.start.{os.getpid()}"],
                                        capture_output=True, text=True, timeout=60)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertIn(path, result.stderr)

    def test_a_start_says_how_it_is_protected(self):
        with harness.temporary_directory() as directory:
            path = os.path.join(directory, "web.yml")
            with open(path, "w", encoding="utf-8") as file:
                file.write("basic_auth_users:\n  u: $2y$04$" + "." * 53 + "\n")
            cases = [([], "tls=false users=false", 1),
                     (["--probe.allow-target=127.0.0.1", f"--web.config.file={path}"], "tls=false users=true", 0)]
            for flags, access, warnings in cases:
                with self.subTest(flags), Exporter(*flags) as exporter:
                    self.assertRegex(exporter.log, f"msg=listening .* {access}\n")
                    self.assertEqual(exporter.log.count("sandbox"), exporter.log.count('msg="sandbox: every available'))
                    self.assertEqual(exporter.log.count("level=warn msg=\"every target is allowed"), warnings)

    def test_room_is_kept_for_workers_whatever_the_scope(self):
        # They would be missed only under load.
        flags = ("--worker.count=128", "--web.max-connections=512", "--web.listen-address=127.0.0.1:0",
                 f"--lock.name=e2e.start.{os.getpid()}")
        kept = {}
        for scope in ("none", "target"):
            code, log = self.refused(*flags, f"--lock.scope={scope}", descriptors=600)
            self.assertEqual(code, 2, log)
            kept[scope] = int(re.search(r"(\d+) of them for the exporter itself", log).group(1))
        self.assertGreater(kept["none"], 2 * 128 + 100)
        self.assertEqual(kept["target"], kept["none"], "any number of keys needs the same few descriptors")

    def test_without_standard_descriptors_nothing_of_ours_takes_their_place(self):
        name = f"e2e.closed.{os.getpid()}"
        with harness.temporary_directory() as directory:
            path = os.path.join(directory, "web.sock")
            process = harness.start(
                ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", EXPORTER, f"--lock.name={name}",
                 f"--web.listen-address=unix:{path}"], close_fds=True)
            try:
                wait_until(lambda: os.path.exists(path), "it listens")
                # A worker that still starts has iperf3 under it, whose output is a pipe.
                wait_until(lambda: len(children_of(process.pid)) == 4 and
                           not any(children_of(pid) for pid in children_of(process.pid)),
                           "four workers have started")
                for pid in [process.pid, *children_of(process.pid)]:
                    for descriptor in (0, 1, 2):
                        self.assertEqual(os.readlink(f"/proc/{pid}/fd/{descriptor}"), "/dev/null")
            finally:
                process.terminate()
                self.assertEqual(process.wait(10), 0)
                harness.remove_lock(name)

    def test_a_flag_that_cannot_work_is_named(self):
        code, log = self.refused("--probe.max-parallel=1000")
        self.assertEqual(code, 2)
        self.assertEqual(len(log.splitlines()), 1)
        self.assertIn("--probe.max-parallel", log)
        self.assertIn("1000", log)

    def test_help_and_version(self):
        for flag in ("--help", "-help", "--version"):
            result = subprocess.run([EXPORTER, flag], capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stderr, "")
            self.assertIn("iperf3_exporter", result.stdout)

    def test_says_if_its_output_is_lost(self):
        for flag in ("--help", "--version", "--config.check"):
            with self.subTest(flag=flag), open("/dev/full", "wb") as full:
                result = subprocess.run([EXPORTER, flag], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                                        check=False)
                self.assertEqual(result.stderr, "stdout: No space left on device\n")
                self.assertEqual(result.returncode, 1)

    def module_store_check(self):
        result = subprocess.run([EXPORTER, "--config.check"], capture_output=True, text=True,
                                timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        code, log = self.refused("--config.check", "--web.config.file=/nonexistent.yml")
        self.assertEqual(code, 1)
        self.assertIn("/nonexistent.yml", log)

    def module_store_check_reports_a_lock_of_another_user(self):
        with Exporter() as exporter:
            for path in glob.glob(f"/dev/shm/*{exporter.lock_name}*"):
                os.chown(path, 12345, 12345)
            code, log = self.refused("--config.check", f"--lock.name={exporter.lock_name}")
        self.assertEqual(code, 1)
        self.assertIn("user 12345", log)
        self.assertIn("--lock.name", log)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter())

    def test_every_path_and_its_methods(self):
        expected = {
            "/": (200, "text/html; charset=utf-8"),
            "/metrics": (200, "text/plain; version=0.0.4; charset=utf-8"),
            "/results": (200, "text/plain; version=0.0.4; charset=utf-8"),
            "/health": (200, "text/plain; charset=utf-8"),
            "/ready": (200, "text/plain; charset=utf-8"),
            "/-/healthy": (200, "text/plain; charset=utf-8"),
            "/-/ready": (200, "text/plain; charset=utf-8"),
            "/lock-status": (200, "application/json"),
            "/probe": (400, "text/plain; charset=utf-8"),
            "/nothing": (404, "text/plain; charset=utf-8"),
            "/debug/pprof/": (404, "text/plain; charset=utf-8"),
        }
        for path, (status, content_type) in expected.items():
            with self.subTest(path):
                answer = self.exporter.get(path)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["content-type"], content_type)
                self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
                if status == 404:
                    self.assertEqual(answer.text.strip(), "404 page not found")
                    continue
                head = self.exporter.request("HEAD", path)
                self.assertEqual(head.body, b"")
                if path in ("/probe", "/results"):
                    self.assertNotIn("content-length", head.headers)
                if path != "/probe":
                    self.assertEqual(head.status, status)
                for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
                    refused = self.exporter.request(method, path)
                    self.assertEqual(refused.status, 405, method)
                    self.assertIn("GET", refused.headers["allow"])

    def test_head_of_a_probe_runs_no_test(self):
        answer = self.exporter.request("HEAD", f"/probe?target=127.0.0.1&port={free_port()}")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.exporter.iperf3(), [])

    def test_reload_is_a_post(self):
        self.assertEqual(self.exporter.request("POST", "/-/reload").status, 200)
        refused = self.exporter.get("/-/reload")
        self.assertEqual((refused.status, refused.headers["allow"]), (405, "POST"))

    def test_gzip_when_allowed(self):
        answer = self.exporter.get("/metrics", {"Accept-Encoding": "gzip"})
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertEqual(answer.body[:2], b"\x1f\x8b")

    def test_what_the_supervisor_denies_itself(self):
        samples = self.exporter.get("/metrics").metrics()
        own = {dict(labels)["layer"]: have for (name, labels), have in samples.items()
               if name == "iperf3_exporter_sandbox_layer" and ("process", "supervisor") in labels}
        # A build with a sanitizer stays dumpable and does not speak of that layer.
        self.assertEqual({"not_dumpable": 1, **own}, {"no_new_privileges": 1, "not_dumpable": 1, "rlimits": 1})
        # Its own numbers are in /proc/self, which is closed to others.
        self.assertGreater(value(samples, "process_open_fds"), 10)
        self.assertGreater(value(samples, "process_resident_memory_bytes"), 1 << 20)
        with open(f"/proc/{self.exporter.pid}/limits", encoding="ascii") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        self.assertIn(core.split()[4], ("0", "1"))

    def test_lock_status_of_an_idle_exporter(self):
        status = json.loads(self.exporter.get("/lock-status").text)
        self.assertIs(status["is_locked"], False)
        for key in ("locked_by", "locked_at", "lock_duration", "holder"):
            self.assertIsNone(status[key], key)
        self.assertEqual((status["queue_size"], status["waiting"]), (0, []))
        self.assertEqual((status["scope"], status["name"]), ("host", self.exporter.lock_name))


class Manager:
    """A service manager's notification socket, in a directory or with an abstract name."""

    def __init__(self, abstract=False):
        self.abstract = abstract

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.path = os.path.join(self.stack.enter_context(harness.temporary_directory()), "notify")
        if self.abstract:
            self.path = "@" + self.path
        self.socket = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(self.address)
        self.socket.settimeout(harness.WAIT_SECONDS)
        return self

    @property
    def address(self):
        return self.path.replace("@", "\0")

    def __exit__(self, *_):
        self.stack.close()

    def exporter(self, *flags, **variables):
        return Exporter(*flags, env={**os.environ, "NOTIFY_SOCKET": self.path, **variables})

    def fill(self):
        """The socket takes nothing more until it is read."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.sendto(b"X_FULL=1", self.address)

    def await_message(self, wanted):
        while wanted not in self.socket.recv(4096).decode():
            pass

    def rest(self):
        messages = []
        while select.select([self.socket], [], [], 0)[0]:
            messages.append(self.socket.recv(4096).decode())
        return messages


class UnreadLog(unittest.TestCase):
    """Standard error takes nothing: a full pipe that nobody reads, or a full disk."""

    def setUp(self):
        self.directory = self.enterContext(harness.temporary_directory())
        self.read_end, self.write_end = full_pipe()
        for end in (self.read_end, self.write_end):
            self.addCleanup(os.close, end)

    @contextlib.contextmanager
    def exporter(self, stderr, *flags, launcher=()):
        exporter = harness.ExporterElsewhere(list(launcher), self.directory, *flags)
        exporter.stderr = stderr
        exporter.wait_ready = False
        with exporter:
            def is_ready():
                with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):  # it does not listen yet
                    return exporter.get("/ready").status == 200
            wait_until(is_ready, "ready")
            exporter.wait_until_idle()
            yield exporter

    def lost(self, exporter):
        return value(exporter.get("/metrics").metrics(), "iperf3_exporter_log_lines_lost_total")

    def read_log(self):
        """What is in the pipe now."""
        os.set_blocking(self.read_end, False)
        text = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                text += os.read(self.read_end, 1 << 16)
        return text.decode()

    def test_nobody_waits_for_its_reader(self):
        # Diagnosing makes each worker log, too.
        with self.exporter(self.write_end, "--sandbox=diagnose") as exporter:
            before = self.lost(exporter)
            self.assertGreater(before, 0)
            self.assertEqual(reason(exporter.probe(port=free_port()).metrics()), "connection_refused")
            self.assertEqual(self.lost(exporter), before + 1)
            self.assertEqual(exporter.stop(), 0)
        self.assertTrue(os.get_blocking(self.write_end), "other programs share its flags")

    def test_a_failed_start_ends(self):
        own = (f"--lock.name=e2e.unread.{os.getpid()}", "--web.listen-address=127.0.0.1:0")
        cases = ((("--nonsense",), (), 2), (("--config.check", "--nonsense"), (), 1),
                 (own, ("prlimit", "--nofile=600"), 2), (("--iperf3.path=/bin/true", *own), (), 2))
        for flags, launcher, expected in cases:
            with self.subTest(flags=flags, launcher=launcher):
                process = start([*launcher, EXPORTER, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=self.write_end)
                try:
                    self.assertEqual(process.wait(harness.WAIT_SECONDS), expected)
                finally:
                    process.kill()
                    process.wait()
        self.assertTrue(os.get_blocking(self.write_end), "other programs share its flags")

    def test_its_reader_learns_how_many_lines_were_lost(self):
        with self.exporter(self.write_end) as exporter:
            lost = self.lost(exporter)
            self.assertGreater(lost, 0)
            self.read_log()
            for _ in range(2):
                exporter.probe(port=free_port())
            lines = self.read_log().splitlines()
            self.assertEqual(["log lines lost", "probe failed", "probe failed"],
                             [re.search('msg="(log lines lost|[^"]*)', line)[1] for line in lines])
            self.assertTrue(lines[0].endswith(f" lines={lost:.0f}"), lines[0])
            self.assertEqual(self.lost(exporter), lost)

    def test_a_full_disk_is_no_obstacle(self):
        with open("/dev/full", "wb") as full, self.exporter(full) as exporter:
            self.assertGreater(self.lost(exporter), 0)
            self.assertEqual(exporter.stop(), 0)

    def test_a_log_file_that_reached_its_limit_is_no_obstacle(self):
        limit = 1 << 20
        with open(os.path.join(self.directory, "log"), "ab") as log:
            log.truncate(limit)
            with self.exporter(log, launcher=("prlimit", f"--fsize={limit}")) as exporter:
                self.assertGreater(self.lost(exporter), 0)
                self.assertEqual(exporter.stop(), 0)


class Watchdog(unittest.TestCase):
    def test_the_manager_hears_from_it_within_each_timeout(self):
        timeout = 4
        with Manager() as manager, manager.exporter(WATCHDOG_USEC=str(timeout * 1_000_000)):
            manager.await_message("WATCHDOG=1")
            heard = time.monotonic()
            manager.await_message("WATCHDOG=1")
            self.assertLess(time.monotonic() - heard, timeout)


class Status(unittest.TestCase):
    def test_it_follows_tests_waiting_probes_and_scrapers_that_hang_up(self):
        with Manager() as manager, manager.exporter() as exporter, Iperf3Server() as server, \
                Scraper(exporter, server.port, 60, period="20s", bitrate="1M") as first:
            manager.await_message("STATUS=1 running, 0 waiting")
            with Scraper(exporter, server.port, 60, period="20s", bitrate="1M") as second:
                manager.await_message("STATUS=1 running, 1 waiting")
                second.close()
                manager.await_message("STATUS=1 running, 0 waiting")
            first.close()
            manager.await_message("STATUS=0 running, 0 waiting")


class UnreadNotifications(unittest.TestCase):
    """The service manager does not read, so that its socket is full."""

    def test_nobody_waits_for_the_manager(self):
        with Manager() as manager:
            manager.fill()
            with manager.exporter() as exporter:
                for _ in range(30):
                    exporter.process.send_signal(signal.SIGHUP)
                    self.assertEqual(exporter.get("/health").status, 200)
                self.assertEqual(exporter.stop(), 0)

    def test_what_was_lost_is_sent_again(self):
        for abstract in (False, True):
            with self.subTest(abstract=abstract), Manager(abstract) as manager:
                manager.fill()
                # The next notification of the watchdog is due in an hour.
                with manager.exporter(WATCHDOG_USEC="7200000000") as exporter:
                    self.assertEqual(exporter.get("/ready").status, 200)
                    for message in ("READY=1", "STATUS=0 running, 0 waiting", "WATCHDOG=1"):
                        manager.await_message(message)
                    manager.fill()
                    exporter.process.send_signal(signal.SIGHUP)
                    self.assertEqual(exporter.get("/health").status, 200)
                    for message in ("RELOADING=1", "READY=1"):
                        manager.await_message(message)


class Stop(unittest.TestCase):
    def test_the_last_exporter_removes_the_lock(self):
        name = f"e2e.last.{os.getpid()}"
        with Exporter(lock_name=name) as first, Exporter(lock_name=name) as last:
            files = glob.glob(f"/dev/shm/*{name}*")
            self.assertEqual(len(files), 3)
            self.assertEqual(first.stop(), 0)
            self.assertEqual(files, glob.glob(f"/dev/shm/*{name}*"))
            self.assertEqual(last.stop(), 0)
            self.assertEqual([], glob.glob(f"/dev/shm/*{name}*"))

    def test_a_running_probe_is_answered_and_a_queued_one_refused(self):
        with Exporter() as exporter, Iperf3Server() as server:
            probe = lambda: exporter.probe(port=server.port, period="2s", bitrate="1M")
            first, first_answers = in_background(probe)
            wait_until(exporter.iperf3, "the first runs")
            second, second_answers = in_background(probe)
            wait_until(lambda: json.loads(exporter.get("/lock-status").text)["queue_size"] == 1,
                       "the second waits")
            children = children_of(exporter.pid)
            self.assertEqual(exporter.stop(), 0)
            first.join()
            second.join()
            self.assertEqual(value(first_answers[0].metrics(), "iperf3_up"), 1)
            self.assertEqual(second_answers[0].status, 503)
            self.assertIn("shutting down", second_answers[0].text)
            self.assertIn("retry-after", second_answers[0].headers)
            for child in children:
                self.assertFalse(os.path.exists(f"/proc/{child}"), child)

    def test_a_request_whose_password_is_checked_is_answered(self):
        with harness.temporary_directory() as directory:
            config = os.path.join(directory, "web.yml")
            with open(config, "w", encoding="ascii") as file:
                file.write(f"basic_auth_users:\n  scraper: {HASH}\n")
            with Exporter(f"--web.config.file={config}") as exporter:
                user = base64.b64encode(b"scraper:secret").decode()
                tasks = f"/proc/{exporter.pid}/task"
                before = len(os.listdir(tasks))
                thread, answers = in_background(
                    lambda: exporter.get("/", {"Authorization": "Basic " + user}))
                wait_until(lambda: len(os.listdir(tasks)) > before, "the check has begun")
                self.assertEqual(exporter.stop(), 0)
                thread.join()
                self.assertEqual(answers[0].status, 200)

    def test_a_stopped_worker_does_not_delay_the_end(self):
        with Exporter() as exporter, Iperf3Server() as server:
            thread, answers = in_background(
                lambda: exporter.probe(port=server.port, period="50s", bitrate="1M", scrape_timeout=60))
            wait_until(exporter.iperf3, "the test runs")
            children = children_of(exporter.pid)
            for worker in exporter.workers():
                os.kill(worker, signal.SIGSTOP)
            began = time.monotonic()
            self.assertEqual(exporter.stop(), 0)
            self.assertLess(time.monotonic() - began, 30, "as the documents promise")
            thread.join()
            self.assertEqual(reason(answers[0].metrics()), "worker_lost")
            self.assertEqual([child for child in children if os.path.exists(f"/proc/{child}")], [])

    def test_a_holder_table_without_its_holder_changes_nothing(self):
        """Every worker can write it, so that nothing is decided by it."""
        with Exporter() as exporter, Iperf3Server() as server:
            thread, answers = in_background(
                lambda: exporter.probe(port=server.port, period="3s", bitrate="1M"))
            wait_until(exporter.iperf3, "the test runs")
            table, = glob.glob(f"/dev/shm/*{glob.escape(exporter.lock_name)}*holders*")
            with open(table, "r+b") as file:
                file.write(bytes(os.path.getsize(table)))
            status = harness.lock_status(exporter)
            self.assertIsNone(status["locked_by"], "the table is not empty")
            self.assertEqual((status["queue_size"], status["waiting"]), (0, []))
            in_flight = value(exporter.get("/metrics").metrics(), "iperf3_exporter_probes_in_flight")
            self.assertEqual(in_flight, 1)
            self.assertEqual(exporter.stop(), 0)
            thread.join()
            self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1, exporter.log)

    def test_a_reload_while_draining_does_not_tell_systemd_that_it_is_ready(self):
        with Manager() as manager:
            with manager.exporter() as exporter, Iperf3Server() as server:
                manager.await_message("READY=1")
                exporter.process.send_signal(signal.SIGHUP)
                manager.await_message("RELOADING=1")
                manager.await_message("READY=1")
                kept = exporter.connect()
                kept.request("GET", "/ready")
                self.assertEqual(kept.getresponse().read(), b"Ready\n")
                thread, answers = in_background(
                    lambda: exporter.probe(port=server.port, period="2s", bitrate="1M"))
                wait_until(exporter.iperf3, "a probe runs")
                exporter.process.send_signal(signal.SIGTERM)
                manager.await_message("STOPPING=1")
                exporter.process.send_signal(signal.SIGHUP)
                kept.request("POST", "/-/reload")
                self.assertEqual(kept.getresponse().status, 200)
                kept.close()
                thread.join()
                self.assertEqual(answers[0].status, 200)
                self.assertEqual(exporter.process.wait(harness.WAIT_SECONDS), 0)
            after = manager.rest()
            self.assertTrue(after, "nothing more was told")
            self.assertNotIn("READY=1", "\n".join(after))
            self.assertNotIn("RELOADING=1", "\n".join(after))

    def test_a_second_signal_ends_at_once_and_leaves_nothing(self):
        with Exporter() as exporter, Iperf3Server() as server:
            thread, _ = in_background(lambda: self.probe_ignoring_the_result(exporter, server))
            wait_until(exporter.iperf3, "iperf3 runs")
            children = children_of(exporter.pid)
            exporter.process.send_signal(signal.SIGTERM)
            exporter.wait_for_line("shutting down")
            exporter.process.send_signal(signal.SIGTERM)
            exporter.process.wait(harness.WAIT_SECONDS)
            thread.join()
            wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children),
                       "no child is left", BEFORE_THE_TEST_ENDS)

    @staticmethod
    def probe_ignoring_the_result(exporter, server):
        try:
            exporter.probe(port=server.port, period="20s", bitrate="1M")
        except (OSError, http.client.HTTPException):
            pass


class Crashes(unittest.TestCase):
    def test_kill_of_the_supervisor_leaves_nothing_and_the_next_start_probes(self):
        with Iperf3Server() as server, Exporter() as first:
            thread, _ = in_background(lambda: Stop.probe_ignoring_the_result(first, server))
            wait_until(first.iperf3, "iperf3 runs")
            children = children_of(first.pid)
            first.process.kill()
            first.process.wait()
            wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children),
                       "workers and iperf3 are gone", BEFORE_THE_TEST_ENDS)
            thread.join()
            with Exporter(lock_name=first.lock_name) as second:
                # A server whose client was killed may be busy for a moment.
                wait_until(lambda: value(second.probe(port=server.port, period="1s", bitrate="1M")
                                         .metrics(), "iperf3_up") == 1, "the next start probes")

    def test_a_worker_that_died_idle_costs_no_probe(self):
        port = free_port()
        with Exporter() as exporter:
            for _ in range(4):  # the back-off of their replacements grows
                wait_until(lambda: len(exporter.workers()) == 4, "four workers")
                victims = exporter.workers()[:3]
                for worker in victims:
                    os.kill(worker, signal.SIGKILL)
                wait_until(lambda: not set(victims) & set(exporter.workers()), "they are dead")
                samples = exporter.probe(port=port, period="1s").metrics()
                self.assertEqual(reason(samples), "connection_refused")

    def test_kill_of_the_worker_costs_its_probe_and_nothing_else(self):
        with Exporter() as exporter, Iperf3Server() as server:
            thread, answers = in_background(
                lambda: exporter.probe(port=server.port, period="20s", bitrate="1M"))
            tested = wait_until(exporter.iperf3, "iperf3 runs")[0]
            with open(f"/proc/{tested}/stat", encoding="utf-8") as file:
                worker = int(file.read().rsplit(")", 1)[1].split()[1])
            os.kill(worker, signal.SIGKILL)
            thread.join()
            samples = answers[0].metrics()
            self.assertEqual(reason(samples), "worker_lost")
            wait_until(lambda: not os.path.exists(f"/proc/{tested}"), "iperf3 is gone", BEFORE_THE_TEST_ENDS)
            wait_until(lambda: value(exporter.get("/metrics").metrics(), "iperf3_exporter_workers",
                                     state="idle") == 4, "the worker is replaced")
            status = lambda: json.loads(exporter.get("/lock-status").text)["is_locked"]
            wait_until(lambda: not status(), "the lock is free", BEFORE_THE_TEST_ENDS)
            wait_until(lambda: value(exporter.probe(port=server.port, period="1s", bitrate="1M")
                                     .metrics(), "iperf3_up") == 1, "the next probe runs")


@unittest.skipUnless(os.geteuid() == 0, "to change the user needs root")
class TasksUsedUp(unittest.TestCase):
    """A user whose limit of tasks is reached, as with TasksMax= or `ulimit -u`."""

    LIMIT = 100
    USE_UP = ("import sys, threading\n"
              "for _ in range(int(sys.argv[1])): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
              "print('used up', flush=True)\n"
              "sys.stdin.read()\n")

    @contextlib.contextmanager
    def used_up(self, as_user, threads=LIMIT):
        with start([*as_user, sys.executable, "-c", self.USE_UP, str(threads)], stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE) as tasks:
            self.assertEqual(tasks.stdout.readline(), b"used up\n")
            yield

    def exporter_of_a_user(self, **how):
        """(exporter, words that run a program as its user)"""
        user = str(0x7000_0000 + os.getpid())
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        exporter = Exporter(**how)
        exporter.launcher = ["prlimit", f"--nproc={self.LIMIT}", *as_user]
        # That user may not be able to read the directory of the checkout.
        directory = self.enterContext(harness.temporary_directory())
        os.chmod(directory, 0o755)
        for name in ("iperf3_exporter", "iperf3_exporter_worker"):
            shutil.copy(os.path.join(harness.BIN_DIR, name), directory)
        exporter.program = os.path.join(directory, "iperf3_exporter")
        return exporter, as_user

    def test_a_start_fails_and_may_be_repeated(self):
        exporter, as_user = self.exporter_of_a_user(wait_ready=False)
        with self.used_up(as_user, self.LIMIT - 2), exporter:  # the last two are python itself and the exporter
            self.assertEqual(exporter.process.wait(harness.WAIT_SECONDS), 1)
            exporter.reader.join()
            self.assertIn("Resource temporarily unavailable", exporter.log)

    def test_health_says_it_and_recovers(self):
        exporter, as_user = self.exporter_of_a_user()
        with exporter, Iperf3Server() as server:
            def health():
                answer = exporter.get("/health")
                return answer.status, answer.text

            self.assertEqual(health(), (200, "OK\n"))
            with self.used_up(as_user):
                status, text = health()
                self.assertEqual(status, 503)
                self.assertRegex(text, "no process can be started.*Resource temporarily unavailable")
                answer = exporter.probe(port=server.port, period="1s")
                self.assertEqual(reason(answer.metrics()), "exec", answer.text)
                self.assertEqual(health(), (503, "iperf3 can't be started: clone: Resource temporarily unavailable\n"))
            wait_until(lambda: health() == (200, "OK\n"), "recovered", 60)
            answer = exporter.probe(port=server.port, period="1s", bitrate="1M")
            self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text + exporter.log)


class Leaks(unittest.TestCase):
    def test_a_thousand_failing_probes_leave_no_trace(self):
        port = free_port()  # nobody else can come to listen there meanwhile
        with Exporter() as exporter:
            def probe(_):
                answer = exporter.probe(port=port, period="1s")
                self.assertEqual(reason(answer.metrics()), "connection_refused")

            def run(count):
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    list(pool.map(probe, range(count)))
                wait_until(lambda: value(exporter.get("/metrics").metrics(),
                                         "iperf3_exporter_http_connections") == 1, "idle again")
                return settled_resources(exporter), anonymous_kib(exporter)

            # Allocators and caches have grown to what they need when the counting begins.
            resources_before, _ = run(200)
            resources_between, memory_between = run(500)
            resources_after, memory_after = run(500)
            self.assertEqual(resources_between, resources_before)
            self.assertEqual(resources_after, resources_before)
            print(f"{memory_after - memory_between} KiB more after 500 probes", flush=True)
            self.assertLess(memory_after - memory_between, 250, "half a KiB for each probe")


@unittest.skipUnless(os.geteuid() == 0, "workers with users of their own need root")
class TemporaryDirectories(unittest.TestCase):
    @staticmethod
    def exporter(workers):
        """Without the right to mount: the workers have directories in /tmp, each with a user of its own."""
        exporter = Exporter("--sandbox=best-effort", f"--worker.count={workers}")
        exporter.launcher = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
        return exporter

    @staticmethod
    def directories_of(pid):
        links = (os.readlink(path) for path in glob.glob(f"/proc/{pid}/fd/*"))
        return [link for link in links if re.search(r"/iperf3_exporter\.\w{6}$", link)]

    def test_what_a_killed_exporter_left_is_removed_at_the_next_start(self):
        with self.exporter(workers=3) as killed:
            workers = killed.workers()
            directories = [path for pid in workers for path in self.directories_of(pid)]
            self.assertEqual(len(directories), 3, directories)
            for pid in workers:  # it must not see that the exporter has ended
                os.kill(pid, signal.SIGSTOP)
            for pid in (killed.pid, *workers):
                with contextlib.suppress(ProcessLookupError):  # by its parent-death signal
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), "the workers are gone")
        with self.exporter(workers=1):
            self.assertEqual([path for path in directories if os.path.exists(path)], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
