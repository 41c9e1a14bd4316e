"""What the end-to-end tests share: the real exporter, real iperf3 servers, scrapes, and the clean-up."""

import atexit
import contextlib
import ctypes
import glob
import http.client
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

BIN_DIR = os.path.abspath(os.environ.get("EXPORTER_BIN_DIR", "build/dev/bin"))
EXPORTER = os.path.join(BIN_DIR, "iperf3_exporter")
# Another iperf3 than the installed one, for the servers and for every exporter.
IPERF3 = os.environ.get("EXPORTER_IPERF3") or shutil.which("iperf3")
# Extra flags for every exporter, such as --sandbox=require.
EXTRA_FLAGS = os.environ.get("EXPORTER_EXTRA_FLAGS", "").split()
WAIT_SECONDS = 60.0  # until a wait for something that must happen fails; long, because machines are loaded
# bcrypt of "secret", at costs that take about a quarter of a second and a second.
HASH = "$2b$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"
SLOW_HASH = "$2b$14$abcdefghijklmnopqrstuug2/T3netL3BPRcnafSaAr9lEfTNoLyC"


def iperf3_is_threaded():
    """Whether IPERF3 is 3.16 or newer: those have a thread for each stream."""
    output = subprocess.run([IPERF3, "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(map(int, re.match(r"iperf (\d+)\.(\d+)", output).groups())) >= (3, 16)


def wait_until(condition, what, seconds=WAIT_SECONDS):
    """Polls `condition` until it is true; fails with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def raise_descriptor_limit(wanted=16384):
    """Thousands of connections are more than the usual soft limit of 1,024 allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


raise_descriptor_limit()


class CleanupShell:
    """Runs clean-up commands after this program has ended, even by SIGKILL: a shell that waits for the end of its
    standard input."""

    def __init__(self):
        self.shell = None
        self.guard = threading.Lock()

    def add(self, command):
        """`command` is a list; it must be harmless if there is nothing to clean up."""
        with self.guard:
            if self.shell is None:
                self.shell = subprocess.Popen(
                    ["sh", "-c", 'while read -r line; do commands="$line; $commands"; done; eval "$commands"'],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True)
                atexit.register(self.execute)
            self.shell.stdin.write(shlex.join(command).encode() + b"\n")
            self.shell.stdin.flush()

    def execute(self):
        self.shell.stdin.close()
        self.shell.wait()


CLEANUP = CleanupShell()
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def die_with(parent):
    """For a child between fork and exec: killed when the thread that made it ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def start(command, **arguments):
    """subprocess.Popen of a process that does not outlive the calling thread."""
    parent = os.getpid()
    return subprocess.Popen(command, preexec_fn=lambda: die_with(parent), **arguments)


RESERVED = contextlib.ExitStack()  # sockets that hold the ports of free_port() to the end
atexit.register(RESERVED.close)


def free_port(address="127.0.0.1", reserve=True):
    """Returns a port on which nothing listens, and keeps a bound socket so that no other test gets it. A server with
    SO_REUSEADDR (iperf3, Prometheus) can still listen there. With reserve=False no socket is kept, for a client that
    binds the port; it is outside the ephemeral range."""
    if not reserve:
        return unreserved_port(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    holder = socket.socket(family)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((address, 0))
    port = holder.getsockname()[1]
    RESERVED.enter_context(holder)
    return port


def unreserved_port(address):
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as holder, contextlib.suppress(OSError):
            holder.bind((address, port))
            return port


def children_of(pid):
    """Every living descendant of `pid`, as {pid: command}."""
    parents = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        command = text[text.index("(") + 1:text.rindex(")")]
        state, parent = text[text.rindex(")") + 2:].split()[:2]
        if state != "Z":
            parents[int(stat.split("/")[2])] = (int(parent), command)
    found = {}
    while True:
        more = {child: command for child, (parent, command) in parents.items()
                if (parent == pid or parent in found) and child not in found}
        if not more:
            return found
        found.update(more)


def iperf3_of(pid):
    """Pids of the iperf3 clients below `pid`, without `iperf3 --version`. Compared by executable, because the command
    name depends on how it was executed."""
    real = os.path.realpath(IPERF3)
    found = []
    for child in children_of(pid):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{child}/exe") == real and b"-c" in arguments_of(child):
                found.append(child)
    return found


def lock_status(exporter):
    return json.loads(exporter.get("/lock-status").text)


def in_background(call):
    """(thread, list that will hold what `call` returns)."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread, answers


def has_open_files(pid):
    """Whether the process still has descriptors. A dying process closes them before it is gone."""
    try:
        return bool(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def arguments_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")


def smaps(pid, field):
    """A sum over all mappings of `pid`, such as "Pss" or "Anonymous", in KiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith(field + ":")).split()[1])


class Response:
    def __init__(self, response):
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8")

    def metrics(self):
        return parse_metrics(self.text)


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    """{(name, frozenset of labels): value}."""
    samples = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        labels = frozenset(LABEL.findall(match.group(2) or ""))
        assert (match.group(1), labels) not in samples, f"twice: {line!r}"
        samples[(match.group(1), labels)] = float(match.group(3))
    return samples


def value(samples, name, **labels):
    """The one sample of `name` whose labels include `labels`; None when there is none."""
    found = [v for (n, have), v in samples.items()
             if n == name and set(labels.items()) <= set(have)]
    assert len(found) <= 1, f"{name} {labels}: {len(found)} samples"
    return found[0] if found else None


def reason(samples):
    """The reason of a failed probe, None for a good one."""
    reasons = [dict(labels)["reason"] for (name, labels), v in samples.items()
               if name == "iperf3_probe_failure" and v == 1]
    assert len(reasons) <= 1, reasons
    return reasons[0] if reasons else None


class Exporter:
    """A running exporter on a port of its own, with a lock of its own unless one is named. It has started when all
    its workers are idle; the log line `ready` comes with the first."""

    def __init__(self, *flags, lock_name=None, env=None, wait_ready=True, stderr=subprocess.PIPE):
        self.lock_name = lock_name or f"iperf3_exporter_e2e.{os.getpid()}.{time.monotonic_ns()}"
        self.owns_lock = lock_name is None
        self.flags = [f"--lock.name={self.lock_name}", *EXTRA_FLAGS, *flags]
        if "EXPORTER_IPERF3" in os.environ and self.flag("--iperf3.path") is None:
            self.flags.append(f"--iperf3.path={IPERF3}")
        if not any(flag.startswith("--web.listen-address") or flag.startswith("--web.systemd")
                   for flag in self.flags):
            self.flags.insert(0, "--web.listen-address=127.0.0.1:0")
        self.env = env
        self.launcher = []  # words before the program, such as `ip netns exec NAME`
        self.program = EXPORTER
        self.wait_ready = wait_ready
        self.stderr = stderr  # where the log goes; only that of a PIPE is read
        self.process = None
        self.lines = []

    def flag(self, name, default=None):
        """The value of `--name=value`, the last one."""
        return next((flag.partition("=")[2] for flag in reversed(self.flags)
                     if flag.partition("=")[0] == name), default)

    def __enter__(self):
        CLEANUP.add(["find", "/dev/shm", "-maxdepth", "1", "-name", f"*{self.lock_name}*", "-delete"])
        self.process = start([*self.launcher, self.program, *self.flags], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=self.stderr, env=self.env)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            if self.wait_ready:
                self.wait_until_ready()
                self.wait_until_idle()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def wait_until_listening(self):
        self.port = int(self.wait_for_line(r"listening.*address=\"?[^ ]*:(\d+)").group(1))

    def wait_until_ready(self):
        self.wait_until_listening()
        self.wait_for_line(r'msg="?ready')

    def wait_until_idle(self):
        """Not if workers are fakes, and not if the web configuration may refuse the request."""
        if self.flag("--worker.path") or self.flag("--web.config.file"):
            return
        count = int(self.flag("--worker.count", "4"))
        page = self.flag("--web.telemetry-path", "/metrics")
        wait_until(lambda: value(self.get(page).metrics(), "iperf3_exporter_workers",
                                 state="idle") == count, f"{count} idle workers\n{self.log}")

    def _read(self):
        for line in self.process.stderr or ():
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    @property
    def log(self):
        return "\n".join(self.lines)

    def wait_for_line(self, pattern):
        def search():
            for line in list(self.lines):
                match = re.search(pattern, line)
                if match:
                    return match
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log}")
            return None
        return wait_until(search, f"log line {pattern}\n{self.log}")

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        return [child for child, command in children_of(self.pid).items()
                if command.startswith("iperf3_exporter")]

    def iperf3(self):
        return iperf3_of(self.pid)

    def stop(self, number=signal.SIGTERM):
        """Ends the exporter and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS + 35)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(WAIT_SECONDS)
        if self.process.stderr:
            self.process.stderr.close()
        if self.owns_lock:
            remove_lock(self.lock_name)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def request(self, method, path, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, headers=headers or {})
            return Response(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers)

    def probe(self, target="127.0.0.1", port=None, scrape_timeout=None, **parameters):
        query = {"target": target}
        if port is not None:
            query["port"] = port
        query.update(parameters)
        headers = {}
        if scrape_timeout is not None:
            headers["X-Prometheus-Scrape-Timeout-Seconds"] = str(scrape_timeout)
        return self.get("/probe?" + urllib.parse.urlencode(query), headers)

    def probe_in_time(self, **arguments):
        """A probe whose test lasts until the deadline. On a busy machine the worker may need longer than the 0.13 s that
        it then has to report how the test ended; such a probe is repeated."""
        for _ in range(5):
            answer = self.probe(**arguments)
            if 'reason="worker_lost"' not in answer.text:
                break
        return answer


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class ExporterElsewhere(Exporter):
    """An exporter that `launcher` starts where its ports can't be reached from here: it listens on a Unix socket
    in `directory`."""

    def __init__(self, launcher, directory, *flags):
        self.socket_path = os.path.join(directory, "web.sock")
        super().__init__(f"--web.listen-address=unix:{self.socket_path}", *flags)
        self.launcher = launcher

    def wait_until_ready(self):
        self.wait_for_line('msg="?ready')

    def connect(self):
        return UnixConnection(self.socket_path)


def remove_lock(name):
    for path in glob.glob(f"/dev/shm/*{glob.escape(name)}*"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


TCP_ESTABLISHED, TCP_LISTEN = "01", "0A"  # the states in /proc/net/tcp


class Iperf3Server:
    """A real iperf3 server on a free port of loopback, or on `port` if one is given."""

    def __init__(self, *arguments, address="127.0.0.1", prefix=(), port=None):
        self.arguments = arguments
        self.address = address
        self.prefix = prefix
        self.port = port

    def __enter__(self):
        if self.port is None:
            # Inside another network namespace the port needs no reservation, nor can it have one.
            self.port = free_port() if self.prefix else free_port(self.address)
        self.process = start(
            [*self.prefix, IPERF3, "-s", "-p", str(self.port), "-B", self.address, *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_until(self._listens, "iperf3 -s listens")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def report(self):
        """What a server started with -J and -1 measured; waits for its end."""
        output, _ = self.process.communicate(timeout=WAIT_SECONDS)
        return json.loads(output)

    def connections(self):
        """How many connections the server has: one for control, one for each stream of TCP."""
        return self._sockets(TCP_ESTABLISHED)

    def _listens(self):
        if self.process.poll() is not None:
            raise AssertionError("iperf3 -s ended: " + self.process.stdout.read().decode())
        return self._sockets(TCP_LISTEN)

    def _sockets(self, state):
        wanted = f":{self.port:04X}"
        count = 0
        for table in ("tcp", "tcp6"):
            with open(f"/proc/{self.process.pid}/net/{table}", encoding="ascii") as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    count += fields[1].endswith(wanted) and fields[3] == state
        return count

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class CountingServer(Iperf3Server):
    """Counts its tests by its own log, which it writes to `directory`."""

    def __init__(self, directory, **arguments):
        self.log = os.path.join(directory, f"iperf3.{time.monotonic_ns()}.log")
        super().__init__("--logfile", self.log, "--forceflush", **arguments)

    def tests(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read().count("Accepted connection from ")


class Overlap:
    """Maximum number of iperf3 clients of `exporters` seen at the same time."""

    PAUSE_SECONDS = 0.01  # a test lasts a hundred of them

    def __init__(self, *exporters):
        self.exporters = exporters
        self.max_seen = 0
        self.stop = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.stop.wait(self.PAUSE_SECONDS):
            seen = [pid for each in self.exporters for pid in each.iperf3()]
            # Those found earlier may have ended: count the ones that still run.
            self.max_seen = max(self.max_seen, sum(map(has_open_files, seen)))

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class FakePeer:
    """A TCP peer that is not an iperf3 server: `serve` is given each connection."""

    def __init__(self, serve):
        self.serve = serve

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError):  # ValueError: select() on what __exit__ has closed
            self.serve(connection)

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()
        self.thread.join(WAIT_SECONDS)


@contextlib.contextmanager
def temporary_directory():
    with tempfile.TemporaryDirectory(prefix="iperf3_exporter_test.") as path:
        CLEANUP.add(["rm", "-rf", path])
        yield path
