"""The tests of one machine, which init.sh starts in it: guest.py NAME all|smoke [CLOCK]

Prints lines that run.py understands: "TEST RESULT NAME (SECONDS)", after one that has not passed its reason as
"TEST | TEXT", and at the end "TEST end".
"""

import concurrent.futures
import functools
import itertools
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time
import typing
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
NAME, TESTS = sys.argv[1:3]
CLOCK = sys.argv[3] if len(sys.argv) > 3 else None
BINARIES = SOURCE / ("build/arm64-dev/bin" if NAME.startswith("arm64") else "build/dev/bin")
os.environ["EXPORTER_BIN_DIR"] = str(BINARIES)
os.environ["EXPORTER_EXTRA_FLAGS"] = "--sandbox=require"
os.environ["EXPORTER_IS_EMULATED"] = "1"
sys.path.insert(0, str(SOURCE / "tests/e2e"))
import crash_test  # noqa: E402  (the environment is set above)
import harness  # noqa: E402
from harness import Exporter, Iperf3Server, value  # noqa: E402

KERNEL = tuple(int(number) for number in os.uname().release.split(".")[:2])
# Emulated, on a busy host, everything takes its time. The limits only end what hangs.
PROBE_SECONDS = 60
PROGRAM_SECONDS = 300  # without output of a program
PROGRAMS_AT_ONCE = 3  # more than processors, because they also wait
USER = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups")

# The GoogleTest programs: the sandbox, the lock (with its torture), and what starts and kills processes.
PROGRAMS = ("*_sandbox_test", "lock_*_test", "host_lock_test", "*_process_test", "temporary_directory_test")
# They do not depend on the kernel: the first needs Prometheus, the second takes minutes, the others keep time.
LEFT_OUT = ("promtool_process_test", "report_corpus_process_test", "probe_dispatcher_process_test",
            "probe_dispatcher_races_process_test")
# The end-to-end tests that are about failures, crashes and the lock, and wait for events only.
END_TO_END = ("probe_test.FailedProbes", "hostile_test.Attacks", "hostile_test.SocketAttacks", "lifecycle_test.Crashes",
              "lock_test.Recovery")


class Skip(typing.NamedTuple):
    before: tuple[int, int]  # the first kernel that must not skip it
    tests: str


# What a kernel lacks; nothing else may be skipped.
SKIPS = (
    Skip((5, 13), r"LandlockTest\..*|.*HostileFilesTest\.CannotAccessFiles/.*|HostileWorkerTest\.CannotDeleteTheLock|"
                  r"Layers/RefusedLayerTest\..*/landlock_restrict_self"),
    Skip((6, 2), r"LandlockTest\.TruncatesOnlyTemporaryFiles"),
    Skip((6, 7), r"LandlockPortsTest\..*|.*HostileSocketsTest\.ConnectOnlyToTheServer/.*"),
    Skip((6, 9), r"Iperf3ProcessTest\.KillsTheWholeGroup"),
    Skip((99, 0), r"Modes/RealIperf3Test\.MeasuresWithEveryLayerRequired/AllStreamsBothWays"),  # iperf3 fails
    Skip((99, 0), r"WorkerLoopTest\.RealIperf3StopsConnectingBeforeItIsTerminated"),  # iperf3 starts too slowly
    Skip((6, 12), r"LandlockTest\.Cannot(SignalProcesses|ConnectToAbstractSockets)Outside"),
)


def report(result, name, seconds, text=""):
    if result == "skipped" and not any(KERNEL < skip.before and re.fullmatch(skip.tests, name) for skip in SKIPS):
        result, text = "FAILED", f"skipped, but this kernel has what it needs\n{text}"
    lines = [f"{result} {name} ({seconds:.1f} s)"]
    if result != "passed":
        lines += [f"| {line}" for line in text.splitlines()]
    # At once, because programs run in several threads.
    sys.stdout.write("".join(f"TEST {line}\n" for line in lines))
    sys.stdout.flush()


def documented_layers():
    """{layer: its cell} in the column of this kernel in docs/SECURITY.md."""
    text = (SOURCE / "docs/SECURITY.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head = next(number for number, row in enumerate(rows) if row[0] == "layer" and row[1].startswith("Linux "))
    column = rows[head].index(f"Linux {KERNEL[0]}.{KERNEL[1]}")
    table = itertools.takewhile(lambda row: re.fullmatch("`[a-z_]+`", row[0]), rows[head + 2:])
    return {row[0].strip("`"): row[column] for row in table}


class Kernel(unittest.TestCase):
    def test_the_clock_source_is_the_chosen_one(self):
        path = pathlib.Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        if CLOCK:
            self.assertEqual(path.read_text().strip(), CLOCK)


class Layers(unittest.TestCase):
    """The exporter reports in each place those layers that docs/SECURITY.md names for this kernel."""

    # Layers of one process only; an exec makes iperf3 dumpable again.
    NOT_FOR = {"worker": {"landlock_ports"}, "iperf3": {"not_dumpable"}}

    def check(self, is_root):
        documented = documented_layers()
        self.assertLessEqual(set(documented.values()), {"yes", "no", "as root"})
        enabled = {layer for layer, cell in documented.items() if cell == "yes" or (cell == "as root" and is_root)}
        exporter = Exporter("--worker.count=1")
        exporter.launcher = [] if is_root else USER
        with exporter:
            metrics = exporter.get("/metrics").metrics()
            page = exporter.get("/").text
            line = exporter.wait_for_line('msg="sandbox: every available layer is enabled" not_offered="?([a-z_,]*)')
        rows = re.findall(r"<tr><td>(\w+)</td><td>(\w+)</td><td>(\w+)</td></tr>", page)
        self.assertEqual({row[0] for row in rows}, set(documented))
        for column, process in enumerate(("worker", "iperf3"), 1):
            expected = {layer: layer in enabled and layer not in self.NOT_FOR[process] for layer in documented}
            self.assertEqual({layer: value(metrics, "iperf3_exporter_sandbox_layer", process=process, layer=layer) == 1
                              for layer in documented}, expected, process)
            self.assertEqual({row[0]: {"enabled": True, "not_offered": False}[row[column]] for row in rows}, expected, process)
        self.assertEqual(set(filter(None, line.group(1).split(","))), set(documented) - enabled)

    def test_started_as_root(self):
        self.check(is_root=True)

    def test_started_as_another_user(self):
        self.check(is_root=False)


class Modes(unittest.TestCase):
    """Every mode. As many probes run at once as the exporter has workers, because each mostly waits."""

    MODES = {
        f"{protocol_name}_{direction_name}_{streams}": {**protocol, **direction, "parallel": streams}
        for protocol_name, protocol in {"tcp": {}, "udp": {"udp_mode": "1"}}.items()
        for direction_name, direction in {"upload": {}, "download": {"reverse_mode": "1"},
                                          "bidirectional": {"bidirectional": "1"}}.items()
        for streams in (1, 4)
    }
    WORKERS = 4

    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter("--probe.retries=5", "--lock.scope=none",
                                                      f"--worker.count={cls.WORKERS}"))
        cls.servers = queue.Queue()
        for _ in range(cls.WORKERS):
            cls.servers.put(cls.enterClassContext(Iperf3Server("--logfile", "/dev/null")))
        pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(cls.WORKERS))
        cls.answers = {name: pool.submit(cls.probe, mode) for name, mode in cls.MODES.items()}

    @classmethod
    def probe(cls, mode):
        server = cls.servers.get()
        try:
            return cls.exporter.probe(port=server.port, period="1s", bitrate="1M", scrape_timeout=PROBE_SECONDS, **mode)
        finally:
            cls.servers.put(server)

    def check(self, name):
        answer = self.answers[name].result()
        samples = answer.metrics()
        self.assertEqual(value(samples, "iperf3_up"), 1, answer.text + self.exporter.log)
        self.assertEqual(value(samples, "iperf3_streams"), self.MODES[name]["parallel"])
        received = [count for (name, _), count in samples.items() if name == "iperf3_received_bytes"]
        self.assertEqual(len(received), 2 if "bidirectional" in self.MODES[name] else 1)
        self.assertGreater(min(received), 0)


for mode_name in Modes.MODES:
    setattr(Modes, f"test_{mode_name}", functools.partialmethod(Modes.check, mode_name))


class OneLock(unittest.TestCase):
    def test_two_exporters_take_turns(self):
        name = f"kernels.{os.getpid()}"
        self.addCleanup(harness.remove_lock, name)
        with Iperf3Server() as one, Iperf3Server() as other, Exporter("--probe.retries=5", lock_name=name) as first, \
                Exporter("--probe.retries=5", lock_name=name) as second, harness.Overlap(first, second) as overlap:
            probes = [harness.in_background(functools.partial(exporter.probe, port=server.port, period="2s", bitrate="1M",
                                                              scrape_timeout=PROBE_SECONDS))
                      for exporter, server in ((first, one), (second, other))]
            for thread, answers in probes:
                thread.join()
                self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1, answers[0].text + first.log + second.log)
        self.assertEqual(overlap.max_seen, 1)


class NextHolder(crash_test.NextHolder):
    """Without the limit of time, which an emulated machine does not keep."""

    NEXT_HOLDER_SECONDS = PROBE_SECONDS
    ATTEMPTS = 1


class AtAnyMoment(crash_test.AtAnyMoment):
    """With fewer exporters and deaths, and a moment that suits this machine."""

    EXPORTERS = 4
    ROUNDS = 3
    MAX_DELAY_SECONDS = 0.05
    MAX_CONNECT_SECONDS = 5


class Printer(unittest.TestResult):
    """A line for each test."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.subtest_failed = False

    def _report(self, result, test, text=""):
        report(result, test.id().removeprefix("__main__."), time.monotonic() - self.began, text)

    def addSuccess(self, test):
        if not self.subtest_failed:
            self._report("passed", test)

    def addSkip(self, test, reason):
        self._report("skipped", test, reason)

    def addFailure(self, test, err):
        self._report("FAILED", test, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        self.began = getattr(self, "began", time.monotonic())
        self._report("FAILED", test, self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.subtest_failed = True
            self._report("FAILED", subtest, self._exc_info_to_string(err, test))


def run_tests(*names):
    unittest.defaultTestLoader.loadTestsFromNames(names).run(Printer())


CASE = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(,? .*)? \((\d+) ms\)")
RESULTS = {"OK": "passed", "FAILED": "FAILED", "SKIPPED": "skipped"}


def run_program(path):
    """A GoogleTest program: a line for each case."""
    program = subprocess.Popen([path, "--gtest_color=no"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    has_failed = False
    while True:
        timer = threading.Timer(PROGRAM_SECONDS, program.kill)
        timer.start()
        line = program.stdout.readline()
        timer.cancel()
        if not line:
            break
        case = CASE.match(line)
        if case:
            result = RESULTS[case.group(1)]
            report(result, case.group(2), int(case.group(4)) / 1000, "".join(lines))
            has_failed |= result == "FAILED"
            lines = []
        elif line.startswith("[ RUN "):
            lines = []
        else:
            lines.append(line)
    status = program.wait()
    if status != 0 and not has_failed:
        report("FAILED", path.name, 0, f"ended with {status}\n{''.join(lines)}")


def main():
    run_tests("__main__.Kernel", "__main__.Layers", "__main__.Modes")
    if TESTS == "smoke":
        run_tests("probe_test.FailedProbes.test_nothing_listens", "probe_test.FailedProbes.test_peer_that_speaks_http")
    else:
        run_tests("__main__.OneLock", "__main__.NextHolder", "__main__.AtAnyMoment", *END_TO_END)
        programs = {path for pattern in PROGRAMS for path in BINARIES.glob(pattern) if path.name not in LEFT_OUT}
        with concurrent.futures.ThreadPoolExecutor(PROGRAMS_AT_ONCE) as pool:
            for _ in pool.map(run_program, sorted(programs)):
                pass
    print("TEST end", flush=True)


if __name__ == "__main__":
    main()
