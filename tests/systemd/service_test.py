"""The package and its units under a real systemd: installed, started, probed, broken, removed.

The cases build on each other and run in the order of their numbers. `make test-systemd` makes the package
first. The machine has a network of its own, so nothing here can meet a service of this host.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import unittest

from machine import Machine, wait_until  # it finds the modules above this directory
from debian_root import apt_get

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGE_DIRECTORY = ROOT / "build/package"
UNIT = "iperf3-exporter.service"
SETTINGS = "/etc/default/iperf3-exporter"
PROBE = "/probe?target=127.0.0.1&period=1s"
# What must be enabled below the supervisor, whatever else the unit does. Another user and namespaces are the
# unit's part; an exec makes iperf3 dumpable again, its filter forbids ptrace.
LAYERS = ("no_new_privileges", "descriptors", "parent_death", "rlimits", "environment", "seccomp", "landlock",
          "capabilities")
# Gone from the watchdog's signal to the new process: the shortened watchdog, RestartSec and the start.
RESTART_SECONDS = 30


def metric(text, name, labels=""):
    """Value of the first sample of that name whose labels contain the text, or None."""
    for line in text.splitlines():
        if re.match(re.escape(name) + r"[{ ]", line) and labels in line:
            return float(line.rsplit(" ", 1)[1])
    return None


class ServiceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        # Another architecture's package may be there too.
        architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
        packages = sorted(PACKAGE_DIRECTORY.glob(f"*_{architecture}.deb"), key=lambda path: path.stat().st_mtime)
        if not packages:
            raise RuntimeError("no package in build/package: make package")
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.close)
        shutil.copy(packages[-1], cls.machine.root / "root/exporter.deb")
        # The machine has no way out; what the package depends on is fetched before it boots.
        apt_get(cls.machine.root, "install", "--download-only", "/root/exporter.deb")
        cls.machine.boot()

    def show(self, name, unit=UNIT):
        return self.machine.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def main_pid(self):
        return self.show("MainPID")

    def processes(self, name=""):
        """Process ids of the exporter's user, of programs with that in their command line."""
        return self.machine.run("pgrep", "-u", "iperf3-exporter", "-f", name or ".", check=False).stdout.split()

    def set_args(self, args, path=SETTINGS):
        self.machine.path(path).write_text(f'ARGS="{args}"\n')

    def restart(self, args):
        self.set_args(args)
        self.machine.run("systemctl", "restart", UNIT)

    def probe_unless_busy(self, port):
        """None if the server is still ending another test."""
        answer = self.machine.get(PROBE, port)
        return None if 'reason="server_busy"' in answer[1] else answer

    def assert_probes(self, port=9579):
        status, body = wait_until(lambda: self.probe_unless_busy(port), 30, "the server is free")
        self.assertEqual(200, status, body + self.journal())
        self.assertEqual(1, metric(body, "iperf3_up"), body + self.journal())
        self.assertGreater(metric(body, "iperf3_received_bytes"), 0)

    def lock_status(self, port):
        return json.loads(self.machine.get("/lock-status", port)[1])

    def journal(self):
        return self.machine.run("journalctl", "-o", "cat", "-n", "60", "--no-pager").stdout

    def start_long_probe(self, answers, period="20s", port=9579):
        thread = threading.Thread(
            target=lambda: answers.append(self.machine.get(f"/probe?target=127.0.0.1&period={period}", port)))
        thread.start()
        self.addCleanup(thread.join)
        wait_until(lambda: self.processes(" -J"), 10, "a test is running")
        return thread

    def test_01_installs_without_starting(self):
        self.machine.run("apt-get", "install", "-y", "--no-install-recommends", "/root/exporter.deb", timeout=120)
        self.machine.run("id", "iperf3-exporter")
        self.assertEqual("inactive", self.show("ActiveState"))
        self.machine.start("iperf3", "-s", "-B", "127.0.0.1")

    def test_02_starts_and_probes(self):
        started = self.machine.run("systemctl", "start", UNIT, check=False)
        self.assertEqual(0, started.returncode, self.journal())
        # Type=notify: when start returns, the exporter is ready; no second try.
        self.assertEqual((200, "active"), (self.machine.get("/ready")[0], self.show("ActiveState")), self.journal())
        self.assertNotEqual("", self.show("StatusText"))
        self.assert_probes()
        self.assertIn('msg="sandbox: every available layer is enabled"', self.journal())
        self.assertNotIn("could execute code", self.journal(), "NoExecPaths= of the unit")

    def test_03_is_not_ready_without_a_worker(self):
        self.set_args("--worker.path=/bin/false")
        self.machine.run("systemctl", "stop", UNIT)
        self.assertNotEqual(0, self.machine.run("systemctl", "start", UNIT, check=False).returncode)
        self.assertNotEqual("active", self.show("ActiveState"))
        self.machine.run("systemctl", "stop", UNIT)
        self.machine.run("systemctl", "reset-failed", UNIT, check=False)

    def test_04_wrong_flag_is_not_tried_again(self):
        self.set_args("--worker.count=none")
        self.assertNotEqual(0, self.machine.run("systemctl", "start", UNIT, check=False).returncode)
        self.assertEqual(("failed", "2"), (self.show("ActiveState"), self.show("ExecMainStatus")))
        self.restart("")
        self.assert_probes()

    def test_05_every_layer_is_enabled(self):
        metrics = self.machine.get("/metrics")[1]
        for process, layers in (("worker", (*LAYERS, "not_dumpable")), ("iperf3", LAYERS)):
            for layer in layers:
                samples = [line for line in metrics.splitlines() if line.startswith("iperf3_exporter_sandbox_layer")
                           and f'process="{process}"' in line and f'layer="{layer}"' in line]
                self.assertEqual(["1"], [line.rsplit(" ", 1)[1] for line in samples], f"{process} {layer}\n{metrics}")
        for family in ("process_start_time_seconds", "process_resident_memory_bytes", "process_open_fds"):
            self.assertGreater(metric(metrics, family) or 0, 0, f"{family} can't be read inside the unit")

    def test_06_the_units_own_layers_are_enabled(self):
        status = self.machine.path(f"/proc/{self.main_pid()}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        self.assertEqual("1", fields["NoNewPrivs"].strip())
        self.assertEqual("2", fields["Seccomp"].strip())
        self.assertEqual(0, int(fields["CapBnd"], 16))
        self.assertNotIn("0", fields["Uid"].split())
        for line in self.machine.path(f"/proc/{self.main_pid()}/mountinfo").read_text().splitlines():
            if line.split()[4] in ("/tmp", "/var/tmp", "/dev/shm", "/var/lib/iperf3-exporter"):
                self.assertIn("noexec", line.split()[5].split(","), line)
        inside = self.machine.path(f"/proc/{self.main_pid()}/root")
        self.assertTrue((inside / "usr/bin/iperf3").exists())
        self.assertEqual(["iperf3-exporter"], os.listdir(inside / "var/lib"), "the host's /var is seen")
        self.assertFalse((inside / "home/anything").exists())

    def test_07_reloads(self):
        config = self.machine.path("/etc/iperf3-exporter-web.yml")
        config.write_text("http_server_config:\n  headers:\n    X-Frame-Options: deny\n")
        self.restart("--web.config.file=/etc/iperf3-exporter-web.yml")
        before = self.main_pid()
        config.write_text("nonsense: [\n")
        self.machine.run("systemctl", "reload", UNIT)
        name = "iperf3_exporter_config_last_reload_successful"
        wait_until(lambda: metric(self.machine.get("/metrics")[1], name) == 0, 10, "the bad file is noticed")
        self.assertEqual("active", self.show("ActiveState"))
        config.write_text("{}\n")
        self.machine.run("systemctl", "reload", UNIT)
        wait_until(lambda: metric(self.machine.get("/metrics")[1], name) == 1, 10, "the good file is read")
        self.assertEqual(before, self.main_pid())
        self.assert_probes()
        config.unlink()

    def test_08_watchdog_restarts_a_stuck_loop(self):
        drop_in = self.machine.path(f"/etc/systemd/system/{UNIT}.d")
        drop_in.mkdir()
        (drop_in / "test.conf").write_text("[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\n")
        self.machine.run("systemctl", "daemon-reload")
        self.restart("")
        stuck = self.main_pid()
        self.machine.run("kill", "-STOP", stuck)
        wait_until(lambda: self.main_pid() not in (stuck, "0") and self.show("ActiveState") == "active",
                   RESTART_SECONDS, "a new main process")
        self.assertGreaterEqual(int(self.show("NRestarts")), 1)
        self.assertIn("watchdog", self.journal().lower())
        self.assert_probes()
        shutil.rmtree(drop_in)
        self.machine.run("systemctl", "daemon-reload")

    def test_09_killed_main_process_leaves_no_test_behind(self):
        self.restart("")
        answers = []
        thread = self.start_long_probe(answers)
        old = set(self.processes())
        self.machine.run("kill", "-KILL", self.main_pid())
        thread.join()
        self.assertEqual(0, answers[0][0])
        wait_until(lambda: not old & set(self.processes()), 10, "every process of the killed exporter is gone")
        wait_until(lambda: self.show("ActiveState") == "active", RESTART_SECONDS, "it is back")
        # The lock's old holder was killed; the first probe must have it at once. The iperf3 server may need
        # a moment until it notices that its client is gone.
        wait_until(lambda: metric(self.machine.get(PROBE)[1], "iperf3_up") == 1, 20, "it probes again")
        self.assertEqual(200, self.machine.get(PROBE)[0])

    def test_10_stops_in_time(self):
        answers = []
        thread = self.start_long_probe(answers, "3s")
        self.machine.run("systemctl", "stop", UNIT)
        thread.join()
        self.assertEqual(200, answers[0][0], "the running probe was drained")
        self.assertEqual(1, metric(answers[0][1], "iperf3_up"))
        self.assertEqual(("inactive", "success"), (self.show("ActiveState"), self.show("Result")), self.journal())
        self.assert_nothing_runs()

    def assert_nothing_runs(self):
        self.assertEqual([], self.processes())
        self.assertEqual([], os.listdir(self.machine.path("/dev/shm")))
        self.assertFalse(self.machine.path("/run/iperf3-exporter").exists())

    def test_11_socket_activation(self):
        self.set_args("--web.systemd-socket")
        self.machine.run("systemctl", "start", "iperf3-exporter.socket")
        self.assertEqual("inactive", self.show("ActiveState"))
        # The very first request, sent before the program runs, is a probe; it waits and is answered.
        self.assert_probes()
        self.assertEqual("active", self.show("ActiveState"))
        self.machine.run("systemctl", "stop", "iperf3-exporter.socket", UNIT)
        self.assert_nothing_runs()

    def test_12_instances_share_the_lock(self):
        for name, port in (("a", 9581), ("b", 9582)):
            # With a retry, because the server may still be ending the first test when the second begins.
            self.set_args(f"--web.listen-address=127.0.0.1:{port} --probe.retries=1", f"{SETTINGS}-{name}")
            self.machine.run("systemctl", "start", f"iperf3-exporter@{name}")
        answers = []
        self.start_long_probe([], port=9581)
        waiter = threading.Thread(target=lambda: answers.append(self.machine.get(PROBE, 9582)))
        waiter.start()
        self.addCleanup(waiter.join)
        waited = wait_until(lambda: self.lock_status(9582)["waiting"], 30, "the second waits")[0]["waited"]
        self.assertFalse(self.lock_status(9582)["holder"]["own"])
        self.machine.run("pkill", "-f", "curl .*:9581/probe")
        waiter.join()
        self.assertEqual(1, metric(answers[0][1], "iperf3_up"), answers[0][1] + self.journal())
        self.assertGreater(metric(answers[0][1], "iperf3_lock_wait_seconds"), waited)
        # One instance stops: the lock, which both use, stays for the other.
        self.machine.run("systemctl", "stop", "iperf3-exporter@a")
        self.assert_probes(9582)
        self.machine.run("systemctl", "stop", "iperf3-exporter@b")

    def test_12b_example_of_a_server_unit(self):
        unit = "iperf3-server@5301"
        shutil.copy(self.machine.path("/usr/share/doc/iperf3-exporter/examples/iperf3-server@.service"),
                    self.machine.path("/etc/systemd/system/iperf3-server@.service"))
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", unit)
        self.assertNotEqual("0", self.show("UID", unit))
        for arguments in ((), ("-R",), ("--bidir",), ("-u", "-b", "10M"), ("-P", "16")):
            command = ("iperf3", "-c", "127.0.0.1", "-p", "5301", "-t", "1", "-J", *arguments)
            wait_until(lambda command=command: '"error"' not in self.machine.run(*command, check=False).stdout, 10,
                       f"{command}\n{self.journal()}")
        self.assertEqual(("active", "0"), (self.show("ActiveState", unit), self.show("NRestarts", unit)), self.journal())
        self.machine.run("systemctl", "stop", unit)
        self.machine.path("/etc/systemd/system/iperf3-server@.service").unlink()

    def start_fails(self):
        """Starts the unit, which must fail for good. Returns its messages."""
        self.machine.run("systemctl", "stop", UNIT)
        cursor = self.cursor()
        self.assertNotEqual(0, self.machine.run("systemctl", "start", UNIT, check=False).returncode)
        self.assertEqual(("failed", "2", "0"), tuple(self.show(name) for name in (
            "ActiveState", "ExecMainStatus", "NRestarts")), self.journal())
        return self.messages(cursor)

    def cursor(self):
        text = self.machine.run("journalctl", "-n", "1", "--show-cursor", "--no-pager").stdout
        return text.partition("cursor: ")[2].strip()

    def messages(self, cursor):
        """What the exporter has logged since then, without its ordinary lines."""
        self.machine.run("journalctl", "--sync")
        # No match for the program: with one, journalctl 252 skips the first entry after the cursor.
        text = self.machine.run("journalctl", "-o", "cat", "--no-pager", f"--after-cursor={cursor}").stdout
        return [line for line in text.splitlines()
                if line.startswith(("ts=", "iperf3_exporter: ")) and "level=info" not in line]

    def test_13_what_cannot_heal_is_said_once_and_not_tried_again(self):
        self.machine.path("/etc/broken.yml").write_text("tls_server_config: [\n")
        cases = {"--web.config.file=/etc/broken.yml": "/etc/broken.yml:",
                 "--web.config.file=/etc/missing.yml": "/etc/missing.yml",
                 "--iperf3.path=/usr/bin/missing": "--iperf3.path",
                 "--web.listen-address=unix:/missing/web.sock": "/missing/web.sock"}
        for flag, words in cases.items():
            with self.subTest(flag):
                self.set_args(flag)
                messages = self.start_fails()
                self.assertEqual(1, len(messages), messages)
                self.assertIn(words, messages[0])
        self.machine.path("/etc/broken.yml").unlink()
        self.machine.run("systemctl", "reset-failed", UNIT)
        self.assert_nothing_runs()

    def test_14_a_socket_without_its_flag_does_not_loop(self):
        self.set_args("")
        cursor = self.cursor()
        self.machine.run("systemctl", "start", "iperf3-exporter.socket")
        self.assertEqual(0, self.machine.get("/metrics")[0])
        wait_until(lambda: self.show("ActiveState", "iperf3-exporter.socket") == "failed", 30, "the socket gives up")
        messages = self.messages(cursor)
        self.assertIn(len(messages), range(1, 4), messages)
        for message in messages:
            self.assertIn("--web.systemd-socket", message)
        self.machine.run("systemctl", "reset-failed", UNIT, "iperf3-exporter.socket")
        self.assert_nothing_runs()

    def test_15_a_port_in_use_is_tried_again_with_growing_pauses(self):
        self.set_args("")
        occupant = self.machine.start("iperf3", "-s", "-p", "9579")
        wait_until(lambda: self.machine.run("sh", "-c", "ss -Hltn sport = :9579 2>/dev/null || grep -l ':256B ' "
                                            "/proc/net/tcp /proc/net/tcp6", check=False).stdout, 10, "the port is taken")
        cursor = self.cursor()
        self.machine.run("systemctl", "start", "--no-block", UNIT)
        wait_until(lambda: self.pauses(cursor)[2:], 30, "it is tried again")
        pauses = self.pauses(cursor)
        self.assertEqual(sorted(set(pauses)), pauses, "they grow")
        self.machine.run("pkill", "-f", "iperf3 -s -p 9579")
        occupant.wait()
        wait_until(lambda: self.show("ActiveState") == "active", 30, "it has the port")
        self.assertEqual("0", self.show("NRestarts"))
        self.assert_probes()
        self.machine.run("systemctl", "stop", UNIT)

    def pauses(self, cursor):
        return [int(number) for number in re.findall(r"next_attempt_seconds=(\d+)", "\n".join(self.messages(cursor)))]

    def start_demo(self):
        """What `make run` does after its build."""
        log = self.machine.path("/root/demo.log")
        log.unlink(missing_ok=True)
        demo = self.machine.start("bash", "-c", "exec bash /root/demo /usr/bin >/root/demo.log 2>&1")
        wait_until(lambda: demo.poll() is not None or log.exists() and "Ctrl-C stops both." in log.read_text(), 60,
                   "the demo has run its test")
        self.assertIsNone(demo.poll(), log.read_text())
        return demo

    def test_16_the_demo_and_the_service_do_not_disturb_each_other(self):
        shutil.copy(ROOT / ".ci/demo", self.machine.root / "root/demo")
        demo = self.start_demo()
        self.machine.run("pkill", "-INT", "-f", "/root/demo")
        demo.wait()
        self.machine.run("systemctl", "start", UNIT)
        demo = self.start_demo()
        self.assert_probes()
        self.machine.run("pkill", "-INT", "-f", "/root/demo")
        demo.wait()
        self.machine.run("systemctl", "stop", UNIT)
        self.assert_nothing_runs()

    def start_by_hand(self):
        """As root, with the service's lock."""
        process = self.machine.start("/usr/bin/iperf3_exporter", "--web.listen-address=127.0.0.1:9600")
        wait_until(lambda: self.machine.get("/ready", 9600)[0] == 200, 30, "the exporter of root is ready")
        return process

    def test_17_an_exporter_that_root_started_leaves_nothing_in_the_way(self):
        process = self.start_by_hand()
        self.assertIn("root (0)", self.start_fails()[0], "it runs")
        self.machine.run("pkill", "-f", "web.listen-address=127.0.0.1:9600")
        process.wait()
        self.machine.run("systemctl", "start", UNIT)
        self.assert_probes()
        by_hand = self.machine.run("iperf3_exporter", "--web.listen-address=127.0.0.1:9600", check=False)
        self.assertEqual(2, by_hand.returncode)
        self.assertIn("iperf3-exporter (", by_hand.stderr)
        self.machine.run("systemctl", "stop", UNIT)

    def test_18_the_message_about_another_users_lock_helps(self):
        process = self.start_by_hand()
        self.machine.run("pkill", "-KILL", "-f", "web.listen-address=127.0.0.1:9600")
        process.wait()
        check = self.machine.run("setpriv", "--reuid=iperf3-exporter", "--regid=iperf3-exporter", "--clear-groups",
                                 "iperf3_exporter", "--config.check", check=False)
        self.assertEqual(1, check.returncode, check.stdout)
        message = self.start_fails()[0]
        for text in (check.stderr, message):
            self.assertIn("rm -f /dev/shm/iperf3_exporter@host ", text)
        self.machine.run("sh", "-c", re.search(r"\((rm -f [^)]*)\)", message)[1])
        self.machine.run("systemctl", "start", UNIT)
        self.assert_probes()
        self.machine.run("systemctl", "stop", UNIT)
        self.assert_nothing_runs()

    def nice_of(self, pid):
        text = self.machine.path(f"/proc/{pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[16])

    def test_19_iperf3_runs_below_its_worker(self):
        self.restart("--worker.count=1")
        answers = []
        thread = self.start_long_probe(answers, "3s")
        worker, iperf3 = *self.processes("/iperf3_exporter_worker"), *self.processes(" -J")
        self.assertEqual(self.nice_of(worker) + 5, self.nice_of(iperf3))
        thread.join()
        self.assertEqual(200, answers[0][0])
        self.machine.run("systemctl", "stop", UNIT)
        self.assert_nothing_runs()

    def test_20_removal_leaves_only_the_user(self):
        self.set_args("")
        self.machine.run("systemctl", "enable", "--now", UNIT)
        for instance in ("a", "b"):  # these files are the operator's own
            self.machine.path(f"{SETTINGS}-{instance}").unlink(missing_ok=True)
        self.machine.run("apt-get", "purge", "-y", "iperf3-exporter", timeout=120)
        # The group may still read the operator's keys, so its number must not be free for another package.
        self.machine.run("id", "iperf3-exporter")
        self.assertEqual([], os.listdir(self.machine.path("/dev/shm")))
        self.assertEqual("", self.machine.run("pgrep", "-f", "iperf3_exporter", check=False).stdout)
        left = self.machine.run("find", "/etc", "/usr", "/run", "/var/lib", "/tmp", "-xdev", "-name", "*iperf3?exporter*")
        self.assertEqual("", left.stdout)
        self.assertEqual("not-found", self.show("LoadState"))


if __name__ == "__main__":
    unittest.main(failfast=True, verbosity=2)
