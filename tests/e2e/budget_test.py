"""Budgets of own tests: the state directory, and what the link between two network namespaces really carries. The tests
with a link need root."""

import array
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import EXPORTER, Exporter, ExporterElsewhere, free_port, value, wait_until

SERVER = "10.98.1.2"
# An option of ethtool and its command: offloads would join packets before the counters see them.
OFFLOADS = {"tso": 0x1f, "gso": 0x24, "gro": 0x2c}
SIOCETHTOOL = 0x8946


def run(*command, **arguments):
    return subprocess.run(command, check=True, capture_output=True, text=True, **arguments).stdout


def disable_offloads(device):
    with socket.socket() as any_socket:
        for command in OFFLOADS.values():
            setting = array.array("B", struct.pack("II", command, 0))
            fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP8x", device.encode(), setting.buffer_info()[0]))


class Link:
    """Namespaces near and far, joined by a link. A counter of nft at each end counts what arrives."""

    def __enter__(self):
        self.near, self.far = (f"ipx-{end}-{os.getpid()}" for end in ("bnear", "bfar"))
        self.stack = contextlib.ExitStack()
        with self.stack:
            for name in (self.near, self.far):
                harness.CLEANUP.add(["ip", "netns", "delete", name])
                run("ip", "netns", "add", name)
                self.stack.callback(run, "ip", "netns", "delete", name)
            run("ip", "-n", self.near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", self.far)
            for namespace, device, host in ((self.near, "near", 1), (self.far, "far", 2)):
                run("ip", "-n", namespace, "address", "add", f"10.98.1.{host}/24", "dev", device)
                run("ip", "-n", namespace, "link", "set", device, "up")
                run("ip", "netns", "exec", namespace, "/usr/bin/python3", "-c",
                    f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import budget_test; "
                    f"budget_test.disable_offloads({device!r})")
                run("ip", "netns", "exec", namespace, "nft", "-f", "-", input=(
                    "table inet budget {\nchain seen {\ntype filter hook input priority 0\n"
                    f'iifname "{device}" counter\n}}\n}}\n'))
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def serve(self, port):
        """A server, which ends with the link."""
        server = harness.start(["ip", "netns", "exec", self.far, harness.IPERF3, "-s", "-p", str(port)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(server.wait)
        self.stack.callback(server.kill)
        wait_until(lambda: run("ip", "netns", "exec", self.far, "ss", "-Hltn", "sport", f"= :{port}"),
                   "the server listens")
        return server

    def bytes(self):
        """What was carried, in both directions."""
        return sum(expression["counter"]["bytes"] for namespace in (self.near, self.far)
                   for entry in json.loads(run("ip", "netns", "exec", namespace, "nft", "-j", "list", "table", "inet",
                                               "budget"))["nftables"]
                   for expression in entry.get("rule", {}).get("expr", ()) if "counter" in expression)


class Site:
    """A configuration file and a state directory."""

    def __init__(self, case):
        directory = tempfile.TemporaryDirectory()
        case.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.state = os.path.join(self.directory, "state")
        self.config = os.path.join(self.directory, "tests.yml")
        os.mkdir(self.state, 0o700)
        self.flags = [f"--config.file={self.config}", f"--state.directory={self.state}", "--lock.scope=target"]

    def configure(self, modules, tests):
        """Both are lists of lines, without their indentation."""
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("modules:\n" + "".join(f"  {line}\n" for line in modules) +
                       "tests:\n" + "".join(f"  - {line}\n" for line in tests))

    def used(self):
        """{test: bytes} of the files."""
        found = {}
        for name in os.listdir(self.state):
            if name.endswith(".budget"):
                with open(os.path.join(self.state, name), encoding="ascii") as file:
                    found[name.removesuffix(".budget")] = sum(
                        int(number) for number in re.findall(r"^used \d+ \d+ (\d+)$", file.read(), re.MULTILINE))
        return found


def test_line(name, port, module, every="10s", budget="1G", target=SERVER):
    return (f"{{name: {name}, target: {target}, port: {port}, module: {module}, every: {every}, "
            f"budget: {{bytes: {budget}, per: 24h}}}}")


def check(*flags):
    """Exit status and message of a check of flags and files."""
    process = subprocess.run([EXPORTER, "--config.check", "--lock.scope=none", *flags], capture_output=True, text=True,
                             check=False)
    return process.returncode, process.stderr


def results(exporter):
    return exporter.get("/results").metrics()


@unittest.skipIf(os.geteuid() != 0, "needs root")
class Traffic(unittest.TestCase):
    # A module for each kind of test.
    MODULES = {
        "tcp_up": "{bitrate: 10M, period: 2s}",
        "tcp_down": "{bitrate: 10M, period: 2s, reverse_mode: true}",
        "tcp_both": "{bitrate: 8M, period: 2s, bidirectional: true}",
        "tcp_streams": "{bitrate: 2M, period: 2s, parallel: 4}",
        "tcp_bytes": "{bitrate: 20M, bytes: 3M, period: 4s}",
        "tcp_omit": "{bitrate: 10M, period: 1s, omit: 1}",
        "udp_up": "{bitrate: 10M, period: 2s, udp_mode: true}",
        "udp_down": "{bitrate: 10M, period: 2s, udp_mode: true, reverse_mode: true}",
        "udp_both": "{bitrate: 8M, period: 2s, udp_mode: true, bidirectional: true}",
        "udp_small": "{bitrate: 4M, period: 2s, udp_mode: true, length: 200}",
        "udp_omit": "{bitrate: 10M, period: 1s, udp_mode: true, reverse_mode: true, omit: 1}",
        "refused": "{bitrate: 10M, period: 2s}",
        "long": "{bitrate: 10M, period: 4s}",
        "long_down": "{bitrate: 10M, period: 4s, reverse_mode: true}",
    }

    def test_agrees_with_the_counters_of_the_link(self):
        """Twenty tests or more: successful ones of every kind, a cancelled one, and ones whose server dies, freezes, or is
        not there."""
        site = Site(self)
        with Link() as link:
            ports = {name: 5301 + index for index, name in enumerate(self.MODULES)}
            ports |= {"dies": 5401, "dies_down": 5402, "freezes": 5403, "cancelled": 5404}
            kinds = {name: name for name in self.MODULES}
            kinds |= {"dies": "long", "dies_down": "long_down", "freezes": "long", "cancelled": "long"}
            del kinds["long"], kinds["long_down"]
            servers = {name: link.serve(ports[name]) for name in kinds if name != "refused"}
            modules = [f"{name}: {options}" for name, options in self.MODULES.items()]
            tests = [test_line(name, ports[name], module, every="20s") for name, module in kinds.items()]
            site.configure(modules, tests)
            before = link.bytes()
            with ExporterElsewhere(["ip", "netns", "exec", link.near], site.directory, *site.flags) as exporter:
                def cancel():
                    site.configure(modules, [line for line in tests if "name: cancelled," not in line])
                    exporter.process.send_signal(signal.SIGHUP)

                for name, action in (("dies", servers["dies"].kill), ("dies_down", servers["dies_down"].kill),
                                     ("freezes", lambda: servers["freezes"].send_signal(signal.SIGSTOP)),
                                     ("cancelled", cancel)):
                    helper = threading.Thread(target=self.in_mid_test, args=(link, ports[name], action))
                    helper.start()
                    self.addCleanup(helper.join)
                runs = wait_until(lambda: self.runs_of(exporter, kinds), "all tests have run", 120)
                self.assertGreaterEqual(sum(runs.values()), 20, runs)
                self.assertEqual(0, exporter.stop())
            time.sleep(0.5)  # what is on its way arrives
            carried = link.bytes() - before
            used = site.used()
            self.assertEqual(set(kinds), set(used))
            self.assertLess(used["cancelled"], 3_500_000)
            print(f"runs {runs}\ncarried {carried}, counted {sum(used.values())}: {sum(used.values()) / carried:.4f}")
            self.assertAlmostEqual(1, sum(used.values()) / carried, delta=0.05)
            self.assertEqual(0, used["refused"])

    def runs_of(self, exporter, kinds):
        """{(test, result): runs} once there are enough: each test was run, and twenty in all."""
        samples = results(exporter)
        runs = {(dict(labels)["test"], dict(labels)["result"]): int(number)
                for (name, labels), number in samples.items() if name == "iperf3_runs_total"}
        each = {name: runs.get((name, "success"), 0) + runs.get((name, "failure"), 0) for name in kinds}
        if each.pop("cancelled") > 0 or ("cancelled", "success") in runs:
            return None  # until the reload has dropped it
        failed = all(runs.get((name, "failure"), 0) > 0 for name in ("refused", "dies", "dies_down", "freezes"))
        return runs if min(each.values()) > 0 and failed and sum(each.values()) >= 20 else None

    def in_mid_test(self, link, port, action):
        """Acts a second and a half into the first test of that server."""
        connected = lambda: len(run("ip", "netns", "exec", link.far, "ss", "-Htn", "state", "established", "sport",
                                    f"= :{port}").splitlines()) >= 2
        wait_until(connected, f"a test of port {port} runs")
        time.sleep(1.5)
        action()

    def test_a_cancelled_test_counts(self):
        site = Site(self)
        with Link() as link:
            link.serve(5301)
            site.configure(["long: {bitrate: 10M, period: 5s}"], [test_line("gone", 5301, "long")])
            with ExporterElsewhere(["ip", "netns", "exec", link.near], site.directory, *site.flags) as exporter:
                self.await_test(link)
                site.configure(["long: {bitrate: 10M, period: 5s}"], [test_line("other", 5399, "long", every="24h")])
                exporter.process.send_signal(signal.SIGHUP)
                wait_until(lambda: site.used()["gone"] < 5_000_000, "the reservation is replaced")
                self.assertEqual(0, exporter.stop())
            used, carried = site.used()["gone"], link.bytes()
            self.assertGreater(carried, 500_000)
            self.assertAlmostEqual(1, used / carried, delta=0.1)

    def await_test(self, link, seconds=1.5):
        """Returns when a test has run for that long."""
        idle = link.bytes()
        wait_until(lambda: link.bytes() > idle + 100_000, "the test runs")
        time.sleep(seconds)

    def test_a_kill_in_mid_test_loses_less_than_one_test(self):
        site = Site(self)
        with Link() as link:
            link.serve(5301)
            site.configure(["long: {bitrate: 8M, period: 6s}"], [test_line("uplink", 5301, "long")])
            launcher = ["ip", "netns", "exec", link.near]
            with ExporterElsewhere(launcher, site.directory, *site.flags) as exporter:
                self.await_test(link)
                os.kill(exporter.pid, signal.SIGKILL)
                exporter.process.wait()
            wait_until(lambda: not run("ip", "netns", "pids", link.near), "the workers have ended")
            used, carried = site.used()["uplink"], link.bytes()
            worst_case = 8_000_000 / 8 * 7 * 1.2 + 200_000
            self.assertGreater(used, carried)
            self.assertLess(used, worst_case)
            os.unlink(os.path.join(site.directory, "web.sock"))
            with ExporterElsewhere(launcher, site.directory, *site.flags) as exporter:
                state = lambda: value(results(exporter), "iperf3_budget_bytes", test="uplink", state="used")
                self.assertGreaterEqual(wait_until(state, "the state was read"), used)

    def skipped(self, exporter):
        return value(results(exporter), "iperf3_skipped_total", test="uplink", reason="budget")

    def test_a_worst_case_above_what_is_left_does_not_start(self):
        site = Site(self)
        with Link() as link:
            link.serve(5301)
            # The first test transfers 0.5 MB. What it leaves is less than the worst case of 1.3 MB.
            site.configure(["up: {bitrate: 4M, period: 1s}"], [test_line("uplink", 5301, "up", budget="1500K")])
            with ExporterElsewhere(["ip", "netns", "exec", link.near], site.directory, *site.flags) as exporter:
                wait_until(lambda: self.skipped(exporter), "a test was skipped")
                samples = results(exporter)
                runs = value(samples, "iperf3_runs_total", test="uplink", result="success")
                self.assertGreaterEqual(runs, 1)
                carried = link.bytes()
                self.assertLess(carried, 1500 * 1024)
                left = value(samples, "iperf3_budget_bytes", test="uplink", state="left")
                self.assertEqual(1500 * 1024, left + value(samples, "iperf3_budget_bytes", test="uplink", state="used"))
                exporter.wait_for_line(f"test skipped by its budget.*exceeds_what_is_left.*left_bytes={int(left)}")
                wait_until(lambda: self.skipped(exporter) >= 2, "the next was skipped, too")
                self.assertLess(link.bytes() - carried, 1000)


class State(unittest.TestCase):
    MODULES = ["up: {bitrate: 1M, period: 1s}"]

    def setUp(self):
        self.site = Site(self)
        self.site.configure(self.MODULES, [test_line("uplink", free_port(), "up", target="127.0.0.1"),
                                           test_line("other", free_port(), "up", target="127.0.0.1")])

    def test_unusable_state_stops_its_test_only(self):
        with open(os.path.join(self.site.state, "uplink.budget"), "w", encoding="ascii") as file:
            file.write("iperf3_exporter budget 1\ntest upl")
        with Exporter(*self.site.flags) as exporter:
            exporter.wait_for_line('level=error msg="the test cannot run, because the state of its budget is unusable" '
                                   'test=uplink detail=".*/uplink.budget: incomplete"')
            wait_until(lambda: value(results(exporter), "iperf3_skipped_total", test="uplink", reason="budget"),
                       "the test was skipped")
            wait_until(lambda: value(results(exporter), "iperf3_runs_total", test="other", result="failure"),
                       "the other test has run")
            samples = results(exporter)
            self.assertIsNone(value(samples, "iperf3_budget_bytes", test="uplink", state="left"))
            self.assertEqual(1 << 30, value(samples, "iperf3_budget_bytes", test="other", state="left"))
            self.assertEqual(0, value(samples, "iperf3_runs_total", test="uplink", result="failure"))
            # An operator decides to begin anew.
            os.unlink(os.path.join(self.site.state, "uplink.budget"))
            wait_until(lambda: value(results(exporter), "iperf3_runs_total", test="uplink", result="failure"),
                       "the test has run")

    def test_two_exporters_do_not_share_a_directory(self):
        with Exporter(*self.site.flags):
            second = subprocess.run(
                [EXPORTER, "--web.listen-address=127.0.0.1:0", "--lock.scope=none", *self.site.flags[:2]],
                capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(1, second.returncode, second.stderr)
            self.assertIn(f"--state.directory: {self.site.state}: another exporter uses it", second.stderr)
            # A check does not mind, and does not disturb.
            self.assertEqual(0, check(*self.site.flags[:2])[0])

    def test_the_directory_must_be_private(self):
        os.chmod(self.site.state, 0o770)
        self.assertEqual(1, check(*self.site.flags[:2])[0])
        self.assertIn("other users can write to it, expected a mode such as 0700", check(*self.site.flags[:2])[1])
        status, message = check(self.site.flags[0], f"--state.directory={self.site.directory}/missing")
        self.assertEqual(1, status)
        self.assertIn("--state.directory: ", message)
        self.assertIn("missing: No such file or directory", message)
        self.assertIn("--state.directory: got \"state\", expected the absolute path of a directory",
                      check("--state.directory=state")[1])

    def test_a_budget_needs_the_directory_and_a_worst_case(self):
        status, message = check(self.site.flags[0])
        self.assertEqual(1, status)
        self.assertRegex(message, r"tests\.yml:\d+: tests\.uplink: budget: .*--state\.directory")
        self.site.configure(["up: {period: 1s}"], [test_line("uplink", 5201, "up")])
        self.assertRegex(check(*self.site.flags[:2])[1],
                         r"tests\.yml:\d+: tests\.uplink: budget: nothing limits what a test")
        self.site.configure(self.MODULES, [test_line("uplink", 5201, "up", budget="100K")])
        self.assertRegex(check(*self.site.flags[:2])[1],
                         r"tests\.uplink: budget: one test may transfer up to \d+ bytes")


if __name__ == "__main__":
    unittest.main(verbosity=2)
