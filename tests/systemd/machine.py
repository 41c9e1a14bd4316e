"""A Debian machine with a real systemd, in a container of its own network, for the tests beside this file.

The root directory is made with debootstrap from the mirror that this host uses, in a temporary directory, and goes
away with the machine. Needs root, debootstrap and systemd-nspawn. While you work on a test, set EXPORTER_TEST_ROOT
to a directory that such a root may be kept in: the next run copies it.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from debian_root import make_root  # noqa: E402  (the path is set above)

PACKAGES = "systemd,systemd-sysv,dbus,curl,procps,ca-certificates"
# systemd-nspawn's own filter lacks these, and the exporter's layers need them.
CALLS = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "bpf", "@keyring")
BOOT_SECONDS = 60

# SIGTERM still runs the clean-up.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def wait_until(condition, seconds, what):
    """Calls `condition` until it returns something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)


class Machine:
    """Boots on creation; close() powers it off and removes everything."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="exporter-machine-", dir="/var/tmp"))
        self.root = self.directory / "root"
        self.process = None
        self.leader = None
        self.programs = []
        try:
            self._make_root()
        except BaseException:
            self.close()
            raise

    def _make_root(self):
        kept = os.environ.get("EXPORTER_TEST_ROOT")
        if not kept:
            make_root(self.root, PACKAGES)
            return
        if not os.path.isdir(kept):
            make_root(kept, PACKAGES)
        subprocess.run(["cp", "-a", kept, self.root], check=True)

    def boot(self):
        self.name = f"exporter{os.getpid()}"
        self.console = open(self.directory / "console", "wb")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={self.name}", "--boot",
             "--register=no", "--keep-unit", "--console=pipe", "--capability=all", "--private-network",
             f"--system-call-filter={' '.join(CALLS)}"],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, stdin=subprocess.DEVNULL,
            stdout=self.console, stderr=self.console, start_new_session=True)
        self.leader = wait_until(self._find_leader, BOOT_SECONDS, "a first process in the container")
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip()
                   in ("running", "degraded"), BOOT_SECONDS, "the machine is up")

    def _find_leader(self):
        if self.process.poll() is not None:
            raise RuntimeError("systemd-nspawn ended: " + (self.directory / "console").read_text(errors="replace"))
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            # Before its exec the child still is systemd-nspawn, in no namespaces worth entering.
            try:
                name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
            except OSError:  # it was a passing helper
                continue
            if name in ("systemd", "init"):
                return int(child)
        return None

    def run(self, *command, check=True, timeout=60):
        """Runs a command inside."""
        result = subprocess.run(["nsenter", "-t", str(self.leader), "-a", "-r", "-w", "--", "env", "-i",
                                 "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *command],
                                capture_output=True, text=True, timeout=timeout)
        if check and result.returncode != 0:
            raise RuntimeError(f"{command} gave {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def start(self, *command):
        """Starts a program inside and returns its process, which ends with the machine."""
        process = subprocess.Popen(
            ["nsenter", "-t", str(self.leader), "-a", "-r", "-w", "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.programs.append(process)
        return process

    def path(self, name):
        """Where a file of the machine is seen from the host, its own mounts included."""
        return pathlib.Path(f"/proc/{self.leader}/root") / name.lstrip("/")

    def get(self, path, port=9579, timeout=40):
        """(status, body) of a request to the exporter inside; status 0: no answer."""
        result = self.run("curl", "-sS", "-m", str(timeout), "-w", "\n%{http_code}",
                          f"http://127.0.0.1:{port}{path}", check=False, timeout=timeout + 10)
        body, _, status = result.stdout.rpartition("\n")
        return int(status or 0), body

    def close(self):
        if self.process is not None:
            if self.process.poll() is None and self.leader:
                try:
                    os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd: power off
                    self.process.wait(30)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            for program in self.programs:
                program.kill()  # nsenter stops itself when a power-off stops its child
                program.wait()
            self.console.close()
            propagate = pathlib.Path("/run/systemd/nspawn/propagate") / self.name
            if propagate.is_dir() and not os.path.ismount(propagate):
                propagate.rmdir()
        shutil.rmtree(self.directory)
