"""Starts that must fail: one line says why, the exit status says whether trying again helps, nothing is left
behind, and --config.check reports the same error without a start."""

import glob
import os
import re
import shutil
import socket
import subprocess
import unittest
from dataclasses import dataclass

import harness
from harness import EXPORTER, Exporter, children_of, free_port

WORKER = os.path.join(harness.BIN_DIR, "iperf3_exporter_worker")
ROGUE_WORKER = os.path.join(harness.BIN_DIR, "rogue_worker")
REFUSE_CALLS = os.path.join(harness.BIN_DIR, "refuse_calls")
ORDINARY_USER = str(0x7100_0000 + os.getpid())
AS_ORDINARY_USER = ("setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups")
PR_SET_CHILD_SUBREAPER = 36


def in_own_mounts(command):
    """Returns a launcher that runs the program in a mount namespace after `command`."""
    return ("unshare", "-m", "sh", "-c", f'{command} && exec "$@"', "sh")


@dataclass
class Case:
    flags: tuple[str, ...]
    expected_text: str  # a part of the line
    launcher: tuple[str, ...] = ()
    status: int = 2
    check_sees_it: bool = True
    attempts: int = 1  # a line each


class WrongStarts(unittest.TestCase):
    """`{d}` is the directory that setUp fills, `{lock}` the lock's name."""

    FLAGS = {
        "unknown flag": Case(("--nonsense",), "--nonsense"),
        "stray argument": Case(("stray",), "stray"),
        "no value": Case(("--log.level",), "--log.level"),
        "number": Case(("--worker.count=0",), "--worker.count"),
        "duration": Case(("--lock.timeout=5",), "--lock.timeout"),
        "choice": Case(("--lock.scope=x",), "--lock.scope"),
        "lock name": Case(("--lock.name=a/b",), "--lock.name"),
        "rule": Case(("--probe.allow-target=a..b",), "--probe.allow-target"),
        "paths": Case(("--web.probe-path=/metrics",), "--web.probe-path"),
        "address": Case(("--web.listen-address=host:1",), "--web.listen-address"),
    }
    FILES = {
        "missing file": Case(("--web.config.file={d}/missing.yml",), "missing.yml"),
        "no YAML": Case(("--web.config.file={d}/broken.yml",), "broken.yml:"),
        "control characters": Case(("--web.config.file={d}/control.yml",), "control.yml"),
        "bad hash": Case(("--web.config.file={d}/hash.yml",), "hash.yml:2:"),
        "no certificate": Case(("--web.config.file={d}/certificate.yml",), "none.crt"),
        "directory": Case(("--web.config.file={d}",), "not a file"),
        "unreadable": Case(("--web.config.file={d}/secret.yml",), f"user {ORDINARY_USER} can read: Permission denied",
                           AS_ORDINARY_USER),
        "no directory of the socket": Case(("--web.listen-address=unix:{d}/missing/web.sock",), "missing/web.sock"),
        "directory of the socket is a file": Case(("--web.listen-address=unix:{d}/broken.yml/web.sock",), "web.sock"),
        "directory of the socket is not writable": Case(("--web.listen-address=unix:{d}/web.sock",),
                                                        "web.sock: Permission denied", AS_ORDINARY_USER),
        "socket of another user": Case(("--web.listen-address=unix:{d}/shared/web.sock",),
                                       "web.sock: Permission denied", AS_ORDINARY_USER),
        "socket of another user, who alone may delete it": Case(("--web.listen-address=unix:{d}/shared/open.sock",),
                                                                "open.sock: Operation not permitted", AS_ORDINARY_USER),
        "file system without sockets": Case(("--web.listen-address=unix:/proc/web.sock",), "unix:/proc/web.sock: "),
        "another one": Case(("--web.listen-address=unix:/sys/web.sock",), "unix:/sys/web.sock: "),
        "socket is a file": Case(("--web.listen-address=unix:{d}/broken.yml",), "not a socket"),
    }
    PROGRAMS = {
        "no iperf3": Case(("--iperf3.path={d}/missing",), "--iperf3.path"),
        "iperf3 is a script": Case(("--iperf3.path={d}/script",), "not a script"),
        "iperf3 is not executable": Case(("--iperf3.path={d}/broken.yml",), "can execute"),
        "iperf3 is unreadable": Case(("--iperf3.path={d}/closed/iperf3",),
                                     f"user {ORDINARY_USER} can read: Permission denied", AS_ORDINARY_USER),
        "iperf3 is another program": Case(("--iperf3.path=/bin/true",), "--iperf3.path"),
        "iperf3 is an endless program": Case(("--iperf3.path=/usr/bin/yes",), "--iperf3.path"),
        "iperf3 can be replaced": Case(("--iperf3.path={d}/loose",), "writable by group or others"),
        "no worker": Case(("--worker.path={d}/missing",), "--worker.path"),
        "worker is unreadable": Case(("--worker.path={d}/closed/iperf3",),
                                     f"user {ORDINARY_USER} can read: Permission denied", AS_ORDINARY_USER),
        "worker is not executable": Case(("--worker.path={d}/broken.yml",), f"user {ORDINARY_USER} can execute",
                                         AS_ORDINARY_USER),
        "worker is a script": Case(("--worker.path={d}/script",), "not a script"),
        "worker is another program": Case(("--worker.path=/bin/true",), "--worker.path"),
        "worker fails": Case(("--worker.path=/bin/false",), "--worker.path"),
        "worker of another version": Case(("--worker.path={d}/rogue_worker_old_version",), "version"),
        "worker breaks the protocol": Case(("--worker.path={d}/rogue_worker_unasked_result",), "--worker.path"),
        "worker crashes": Case(("--worker.path={d}/rogue_worker_crash_at_start",), "signal 6", attempts=5),
    }
    LOCK = {
        "/dev/shm is read-only": Case((), "Read-only file system", in_own_mounts("mount -t tmpfs -o ro none /dev/shm")),
        "/dev/shm is not writable": Case((), "/dev/shm/{lock}@host: Permission denied",
                                         (*in_own_mounts("mount -t tmpfs -o mode=755 none /dev/shm"), *AS_ORDINARY_USER)),
        "/dev/shm is full": Case((), "allocating /dev/shm/{lock}@host-holders.2: No space left on device",
                                 in_own_mounts("mount -t tmpfs -o size=40k none /dev/shm"), status=1),
        "/dev/shm has no inode": Case((), "No space left on device",
                                      in_own_mounts("mount -t tmpfs -o nr_inodes=1 none /dev/shm"), status=1),
        "/dev/shm has too few inodes": Case((), "No space left on device",
                                            in_own_mounts("mount -t tmpfs -o nr_inodes=3 none /dev/shm"), status=1),
        "no /dev/shm": Case((), "No such file or directory",
                            in_own_mounts("mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3")),
        "lock is a directory": Case((), "/dev/shm/{lock}@host is a directory",
                                    in_own_mounts("mount -t tmpfs none /dev/shm && mkdir /dev/shm/{lock}@host")),
        "lock is a directory of another user": Case((), "/dev/shm/{lock}@host is a directory", in_own_mounts(
            "mount -t tmpfs none /dev/shm && mkdir /dev/shm/{lock}@host && chown 4321 /dev/shm/{lock}@host")),
        "lock of another user": Case((), "rm -f /dev/shm/{lock}@host",
                                     (*in_own_mounts("mount -t tmpfs none /dev/shm && mkfifo /dev/shm/{lock}@host"),
                                      *AS_ORDINARY_USER)),
    }
    LIMITS = {
        "10 descriptors": Case((), "ulimit -n", ("prlimit", "--nofile=10")),
        "descriptors of the exporter": Case((), "ulimit -n", ("prlimit", "--nofile=600")),
        "descriptors of a worker": Case((), "ulimit -Hn", ("prlimit", "--nofile=900")),
        "files": Case((), "ulimit -f", ("prlimit", "--fsize=0")),
        "stack": Case((), "ulimit -s", ("prlimit", "--stack=65536")),
        "address space": Case((), "ulimit -v", ("prlimit", f"--as={64 << 20}")),
        "processes": Case(("--worker.count=4",), "ulimit -u", ("prlimit", "--nproc=9", *AS_ORDINARY_USER)),
        "no /proc": Case((), "/proc", in_own_mounts("umount -l /proc")),
        "no /dev/null": Case((), "/dev/null", in_own_mounts("mount -t tmpfs none /dev")),
        "no seccomp": Case((), "seccomp", (REFUSE_CALLS, "seccomp", "--")),
        "no Landlock": Case((), "landlock", (REFUSE_CALLS, "landlock_restrict_self", "--")),
    }
    UNSEEN_BY_THE_CHECK = {
        "no socket of systemd": Case(("--web.systemd-socket",), "LISTEN_FDS", check_sees_it=False),
        "port below 1024": Case(("--web.listen-address=127.0.0.1:1",),
                                "Permission denied; a port below 1024 needs a socket unit", AS_ORDINARY_USER,
                                check_sees_it=False),
    }

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("to change the user and mounts needs root")
        # What an exporter leaves behind becomes our child.
        harness.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)

    def setUp(self):
        self.lock = f"e2e.wrong.{os.getpid()}"
        self.directory = self.enterContext(harness.temporary_directory())
        os.chmod(self.directory, 0o755)
        files = {"broken.yml": "tls_server_config: [\n", "secret.yml": "",
                 "hash.yml": "basic_auth_users:\n  user: password\n",
                 "certificate.yml": "tls_server_config:\n  cert_file: none.crt\n  key_file: none.key\n",
                 "script": "#!/bin/sh\n", "control.yml": "a: \0\n"}
        for name, text in files.items():
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(text)
        os.chmod(self.path("secret.yml"), 0o600)
        os.chmod(self.path("script"), 0o755)
        shutil.copy(harness.IPERF3, self.path("loose"))
        os.chmod(self.path("loose"), 0o775)
        os.mkdir(self.path("closed"), 0o700)
        shutil.copy(harness.IPERF3, self.path("closed/iperf3"))
        os.mkdir(self.path("shared"))
        os.chmod(self.path("shared"), 0o1777)
        for name, mode in (("web.sock", 0o755), ("open.sock", 0o777)):
            with socket.socket(socket.AF_UNIX) as stale:  # whoever made it has ended
                stale.bind(self.path("shared/" + name))
            os.chmod(self.path("shared/" + name), mode)
        for mode in ("old_version", "unasked_result", "crash_at_start"):
            os.symlink(ROGUE_WORKER, self.path(f"rogue_worker_{mode}"))
        # An ordinary user may not be able to read the directory of the checkout.
        for program in (EXPORTER, WORKER):
            shutil.copy(program, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def run_case(self, case, *more):
        """(exit status, lines that say why)"""
        def fill(text):
            return text.replace("{d}", self.directory).replace("{lock}", self.lock)
        flags = [f"--lock.name={self.lock}", *map(fill, case.flags), *more]
        if not any(flag.startswith("--web.listen") for flag in flags):
            flags.append("--web.listen-address=127.0.0.1:0")
        if case.flags == ("--log.level",):
            flags = [*more, *case.flags]
        command = [*map(fill, case.launcher), self.path("iperf3_exporter"), *flags]
        before = set(children_of(os.getpid()))
        files = set(glob.glob("/dev/shm/*")) | set(glob.glob(self.path("*"))) | set(glob.glob("/tmp/iperf3_exporter.*"))
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(set(children_of(os.getpid())) - before, set(), "a process is left")
        left = {path for path in glob.glob("/dev/shm/*") if self.lock in path} | set(glob.glob(self.path("*")))
        self.assertEqual(left - files, set(), "a file is left")
        # A warning of its own, where an ordinary user may not create namespaces (in a chroot) and no temporary
        # directory is mounted with noexec.
        is_other = re.compile('level=info|level=warn msg="iperf3 could execute code')
        return result.returncode, [line for line in result.stderr.splitlines() if not is_other.search(line)]

    def check(self, cases):
        for name, case in cases.items():
            expected = case.expected_text.replace("{lock}", self.lock)
            with self.subTest(name):
                status, lines = self.run_case(case)
                self.assertEqual((status, len(lines)), (case.status, case.attempts), lines)
                self.assertIn(expected, lines[-1])
            with self.subTest(name + ", --config.check"):
                status, lines = self.run_case(case, "--config.check")
                if not case.check_sees_it:
                    self.assertEqual((status, lines), (0, []))
                    continue
                self.assertEqual((status, len(lines)), (1, 1), lines)
                self.assertIn(expected, lines[0])

    def test_an_exporter_as_the_worker_does_not_serve(self):
        status, lines = self.run_case(Case((f"--worker.path={EXPORTER}",), ""))
        self.assertEqual(status, 2, lines)
        self.assertIn('unknown flag "--worker"', lines[0])  # the exporter that was started says so itself
        self.assertIn("--worker.path", lines[1])

    def test_flags(self):
        self.check(self.FLAGS)

    def test_files(self):
        self.check(self.FILES)

    def test_programs(self):
        self.check(self.PROGRAMS)

    def test_lock(self):
        self.check(self.LOCK)

    def test_a_start_without_space_leaves_no_file_of_the_lock(self):
        launcher = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=40k none /dev/shm; "$@"; ls /dev/shm >&2', "sh")
        _, lines = self.run_case(Case((), "", launcher))
        self.assertEqual(len(lines), 1, lines)

    def test_the_check_sees_that_a_socket_has_no_space(self):  # a start tries again for 15 s
        status, lines = self.run_case(Case(("--web.listen-address=unix:/mnt/web.sock", "--config.check"), "",
                                           in_own_mounts("mount -t tmpfs -o nr_inodes=1 none /mnt")))
        self.assertEqual((status, lines), (1, ["listen on unix:/mnt/web.sock: No space left on device"]))

    def test_limits_and_system(self):
        self.check(self.LIMITS)

    def test_what_the_check_does_not_see(self):
        self.check(self.UNSEEN_BY_THE_CHECK)

    def test_addresses_that_overlap(self):
        port = free_port()
        os.symlink(self.directory, self.path("link"))
        for first, second in ((f":{port}", f":{port}"), (f":{port}", f"[::]:{port}"), (f"127.0.0.1:{port}", f"localhost:{port}"),
                              (f"127.0.0.1:{port}", f"[::ffff:127.0.0.1]:{port}"), (f"[::1]:{port}", f":{port}"),
                              (f"0.0.0.0:{port}", f"127.0.0.1:{port}"), (f"[::1]:{port}", f"[0:0::1]:{port}"),
                              (f"[::1%lo]:{port}", f"[::1]:{port}"),
                              (f"unix:{self.directory}/web.sock", f"unix:{self.directory}/./web.sock"),
                              (f"unix:{self.directory}/web.sock", f"unix:{self.directory}/link/web.sock")):
            flags = (f"--web.listen-address={first}", f"--web.listen-address={second}")
            case = Case(flags, "--web.listen-address")
            for more, expected in (((), 2), (("--config.check",), 1)):
                with self.subTest(flags=flags, more=more):
                    status, lines = self.run_case(case, *more)
                    self.assertEqual((status, len(lines)), (expected, 1), lines)
                    self.assertIn(f'"{first}"', lines[0])
                    self.assertIn(f'"{second}"', lines[0])

    def test_addresses_that_do_not_overlap(self):
        port = free_port()
        with Exporter(f"--web.listen-address=127.0.0.1:{port}", f"--web.listen-address=[::1]:{port}",
                      f"--web.listen-address=[::ffff:127.0.0.2]:{port}", "--web.listen-address=127.0.0.1:0",
                      "--web.listen-address=127.0.0.1:0", f"--web.listen-address=unix:{self.directory}/a",
                      f"--web.listen-address=unix:{self.directory}/b") as exporter:
            self.assertEqual(exporter.log.count("msg=listening"), 7)
            self.assertIn(f"address=127.0.0.2:{port}", exporter.log)


class GoodCheck(unittest.TestCase):
    def check(self, *flags):
        result = subprocess.run([EXPORTER, "--config.check", *flags], capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("the configuration is valid", result.stdout)
        self.assertIn("not checked", result.stdout)

    def test_it_creates_no_lock(self):
        name = f"e2e.check.{os.getpid()}"
        self.check(f"--lock.name={name}")
        self.assertEqual(glob.glob(f"/dev/shm/*{name}*"), [])

    def test_it_does_not_disturb_a_running_exporter(self):
        with harness.temporary_directory() as directory, \
                Exporter("--web.listen-address=127.0.0.1:0", f"--web.listen-address=unix:{directory}/web.sock") as exporter:
            def state():
                files = glob.glob(f"/dev/shm/*{glob.escape(exporter.lock_name)}*") + [f"{directory}/web.sock"]
                return sorted((path, os.stat(path).st_ino) for path in files), sorted(exporter.workers())
            before = state()
            self.assertEqual(len(before[0]), 4)
            self.check(f"--lock.name={exporter.lock_name}", f"--web.listen-address=127.0.0.1:{exporter.port}",
                       f"--web.listen-address=unix:{directory}/web.sock")
            self.assertEqual(state(), before)
            self.assertEqual(exporter.get("/health").status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
