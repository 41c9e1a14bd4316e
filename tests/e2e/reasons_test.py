"""The reasons of failed probes, each caused by a real network: routes, firewalls, options that this host refuses and
peers that stay silent. Needs root for the network namespaces."""

import concurrent.futures
import contextlib
import os
import struct
import subprocess
import sys
import unittest

import harness
from fake_iperf3_server import MOMENTS, RESULTS, RUNNING, SERVER_ERROR, Departure, FakeIperf3Server, states
from harness import Exporter, Iperf3Server, reason, value
from waiting_test import NamingExporter

FREE, BLOCKED_HERE, REJECTED, CLOSED = 5201, 5202, 5203, 5204
# A port for each probe, because its test occupies the server.
BLOCKED_THERE, SILENT = range(5210, 5214), range(5220, 5222)
# The test begins, but its data do not pass: iperf3's own messages are shorter than 1000 bytes.
DATA_DROPPED_HERE, DATA_REJECTED_HERE, DATA_DROPPED_THERE, DATA_REJECTED_THERE = (
    range(first, first + 5) for first in (5230, 5240, 5250, 5260))
OWN_PORT = 17001  # taken, TCP and UDP
AT_ONCE = 16      # probes


def data_rules(end, ports, verdict):
    return f"meta length > 1000 meta l4proto {{ tcp, udp }} th {end} {ports.start}-{ports.stop} {verdict}"


HERE = f"""
table inet t {{ chain out {{ type filter hook output priority 0;
  udp dport {BLOCKED_HERE} drop
  tcp dport {BLOCKED_HERE} ip saddr 10.98.1.4 drop
  ip daddr 10.98.1.3 udp dport {FREE} drop
  {data_rules("dport", DATA_DROPPED_HERE, "drop")}
  {data_rules("dport", DATA_REJECTED_HERE, "reject")}
}}
chain in {{ type filter hook input priority 0;
  {data_rules("sport", DATA_DROPPED_HERE, "drop")}
  {data_rules("sport", DATA_REJECTED_HERE, "reject")}
}}
}}"""
THERE = f"""
table inet t {{ chain in {{ type filter hook input priority 0;
  udp dport {BLOCKED_THERE.start}-{BLOCKED_THERE.stop} drop
  udp dport {REJECTED} reject
  {data_rules("dport", DATA_DROPPED_THERE, "drop")}
  {data_rules("dport", DATA_REJECTED_THERE, "reject")}
}}
chain out {{ type filter hook output priority 0;
  {data_rules("sport", DATA_DROPPED_THERE, "drop")}
}}
}}"""

# Accepts connections, by its backlog alone, and sends nothing; takes OWN_PORT at the near end.
HOLD = """
import socket, sys
held = []
for address, port in zip(sys.argv[1::2], sys.argv[2::2]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        held.append(socket.socket(socket.AF_INET, kind))
        held[-1].bind((address, int(port)))
    held[-2].listen()
print("held", flush=True)
sys.stdin.read()
"""


class Namespaces:
    """10.98.1.1 and 10.98.1.4 (near) are joined to 10.98.1.2 and 10.98.1.3 (far)."""

    def __enter__(self):
        self.near, self.far = (f"ipx-{end}-{os.getpid()}" for end in ("near", "far"))
        self.stack = contextlib.ExitStack()
        with self.stack:
            for name in (self.near, self.far):
                harness.CLEANUP.add(["ip", "netns", "delete", name])
                self._run("ip", "netns", "add", name)
                self.stack.callback(self._run, "ip", "netns", "delete", name)
                self._run("ip", "-n", name, "link", "set", "lo", "up")
                # Otherwise one probe's rejected packets leave none for another.
                self._run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
            self._run("ip", "-n", self.near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", self.far)
            for name, device, hosts in ((self.near, "near", (1, 4)), (self.far, "far", (2, 3))):
                for host in hosts:
                    self._run("ip", "-n", name, "address", "add", f"10.98.1.{host}/24", "dev", device)
                self._run("ip", "-n", name, "-6", "address", "add", f"fd98::{hosts[0]}/64", "dev", device, "nodad")
                self._run("ip", "-n", name, "link", "set", device, "up")
            for kind, host in (("blackhole", 1), ("prohibit", 2), ("unreachable", 3)):
                self._run("ip", "-n", self.near, "route", "add", kind, f"10.97.{host}.0/24")
                self._run("ip", "-n", self.near, "-6", "route", "add", kind, f"fd97:{host}::/64")
            for name, rules in ((self.near, HERE), (self.far, THERE)):
                subprocess.run(["ip", "netns", "exec", name, "nft", "-f", "-"], input=rules.encode(), check=True)
            self._hold(self.near, "10.98.1.1", OWN_PORT)
            self._hold(self.far, *(word for port in SILENT for word in ("10.98.1.2", port)))
            for port in (FREE, BLOCKED_HERE, REJECTED, *BLOCKED_THERE, *DATA_DROPPED_HERE, *DATA_REJECTED_HERE,
                         *DATA_DROPPED_THERE, *DATA_REJECTED_THERE):
                self.stack.enter_context(Iperf3Server(prefix=("ip", "netns", "exec", self.far), address="0.0.0.0", port=port))
            self.stack = self.stack.pop_all()
        return self

    @staticmethod
    def _run(*command):
        subprocess.run(command, check=True, capture_output=True)

    def _hold(self, namespace, *places):
        holder = harness.start(["ip", "netns", "exec", namespace, sys.executable, "-c", HOLD, *map(str, places)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.stack.callback(holder.wait)
        self.stack.callback(holder.stdout.close)
        self.stack.callback(holder.stdin.close)
        assert holder.stdout.readline() == b"held\n"

    def __exit__(self, *_):
        self.stack.close()


def routes():
    """{name: (reason, parameters)}, for TCP and UDP."""
    found = {}
    for kind, host in (("blackhole", 1), ("prohibit", 2), ("unreachable", 3)):
        found[f"{kind} route"] = ("unreachable", {"target": f"10.97.{host}.1"})
        found[f"{kind} route, IPv6"] = ("unreachable", {"target": f"fd97:{host}::1"})
    found["link-local without a zone"] = ("unreachable", {"target": "fe80::1"})
    found["loopback as the source"] = ("unreachable", {"bind_address": "127.0.0.1"})
    found["no such source"] = ("invalid_option", {"bind_address": "192.0.2.1"})
    found["no such device"] = ("invalid_option", {"bind_device": "nosuch"})
    found["source port in use"] = ("invalid_option", {"cport": OWN_PORT})
    found["one of two source ports in use"] = ("invalid_option", {"cport": OWN_PORT - 1, "parallel": 2})
    found["nothing listens"] = ("connection_refused", {"port": CLOSED})
    return {f"{name}, {protocol}": (expected, {**parameters, **options})
            for name, (expected, parameters) in found.items()
            for protocol, options in (("TCP", {}), ("UDP", {"udp_mode": "true"}))}


UDP, DOWNLOAD, BOTH = {"udp_mode": "true"}, {"reverse_mode": "true"}, {"bidirectional": "true"}
DATA_MODES = {"TCP": {}, "TCP download": DOWNLOAD, "TCP both": BOTH, "UDP": UDP, "UDP both": {**UDP, **BOTH}}
# A stream that cannot send UDP ends alone; before 3.16 it ends the test.
IS_THREADED = harness.iperf3_is_threaded()
# The reason in each of these modes; None: up, as with the loss of all UDP packets.
DATA_CASES = {
    "dropped here": (DATA_DROPPED_HERE, ("no_data",) * 5),
    "rejected here": (DATA_REJECTED_HERE, ("no_data",) * 5),
    "dropped there": (DATA_DROPPED_THERE, ("no_data", "no_data", "no_data", None,
                                            "no_data" if IS_THREADED else "server_error")),
    "rejected there": (DATA_REJECTED_THERE, ("no_data", None, "no_data", *((None,) if IS_THREADED else ("no_data",)) * 2)),
}

CASES = {
    **routes(),
    **{f"data {what}, {mode}": (expected, {"port": port, **DATA_MODES[mode]})
       for what, (ports, reasons) in DATA_CASES.items()
       for mode, port, expected in zip(DATA_MODES, ports, reasons)},
    "own firewall, UDP": ("unreachable", {"port": BLOCKED_HERE, "udp_mode": "true"}),
    "own firewall, TCP": ("connect_timeout", {"port": BLOCKED_HERE, "bind_address": "10.98.1.4"}),
    "UDP rejected": ("connection_refused", {"port": REJECTED, "udp_mode": "true"}),
    "no such congestion control": ("invalid_option", {"congestion": "nonsense"}),
    **{f"{what}, {timeout} s": ("no_response", {"port": port, "scrape_timeout": timeout, **options})
       for what, ports, options in (("silent server", SILENT, {}),
                                    ("UDP dropped", BLOCKED_THERE[:2], {"udp_mode": "true"}),
                                    ("UDP download dropped", BLOCKED_THERE[2:], {"udp_mode": "true", "reverse_mode": "true"}))
       for timeout, port in zip((10, 40), ports)},
}


@unittest.skipUnless(os.geteuid() == 0, "making network namespaces needs root")
class Reasons(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(harness.temporary_directory())
        cls.namespaces = cls.enterClassContext(Namespaces())
        cls.exporter = cls.enterClassContext(NamingExporter(
            directory, "10.98.1.3 two.test\n10.98.1.2 two.test\n", "--lock.scope=target", f"--worker.count={AT_ONCE}",
            namespace=cls.namespaces.near))

    def probe(self, **parameters):
        return self.exporter.probe_in_time(**{"target": "10.98.1.2", "port": FREE, "period": "1s", "bitrate": "1M",
                                              "scrape_timeout": 120, **parameters})

    def test_each(self):
        with concurrent.futures.ThreadPoolExecutor(len(CASES)) as threads:
            answers = threads.map(lambda case: self.probe(**case[1]), CASES.values())
            for (name, (expected, _)), answer in zip(CASES.items(), answers):
                with self.subTest(name):
                    self.assertEqual(answer.status, 200, answer.text)
                    samples = answer.metrics()
                    self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (int(expected is None), expected),
                                     self.exporter.log)

    def test_the_next_address_is_tried_behind_the_own_firewall(self):
        self.assertEqual(self.exporter.addresses("two.test"), ["10.98.1.3", "10.98.1.2"])
        answer = self.probe(target="two.test", udp_mode="true")
        samples = answer.metrics()
        self.assertEqual(value(samples, "iperf3_up"), 1, answer.text + self.exporter.log)
        # One for each address, and the silent retry if the server still closes the test before.
        self.assertIn(value(samples, "iperf3_probe_attempts"), (2, 3))


class ServerErrorTexts(unittest.TestCase):
    """With SERVER_ERROR a server sends an error number of iperf3's and an errno, for which iperf3 prints the text."""

    # The server could also refuse or reset the connection, or be busy.
    OWN_CHOICE = {"server_error", "server_busy", "connection_refused", "connect_timeout", "unreachable"}
    AUTHENTICATION = "access_denied"
    NOTHING_RECEIVED = "no_data"  # or report this in its results
    NUMBERS = [*range(1, 31), *range(100, 160), *range(200, 215), 301, -1]
    ERRNOS = (0, 1, 11, 98, 99, 104, 110, 111)
    MODES = ({}, {"udp_mode": "true"})

    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter("--lock.scope=none", f"--worker.count={AT_ONCE}"))

    def ask(self, moment, number, errno, mode):
        message = states(SERVER_ERROR) + struct.pack("!ii", number, errno)
        with FakeIperf3Server(Departure(moment=moment, message=message)) as server:
            return reason(self.exporter.probe(port=server.port, period="1s", bitrate="1M", scrape_timeout=30, **mode).metrics())

    def test_chooses_no_reason(self):
        moments = [moment for moment in MOMENTS if moment not in (RUNNING, RESULTS, "end", "display")]
        cases = [(moment, number, self.ERRNOS[number % len(self.ERRNOS)], mode)
                 for moment in moments for number in self.NUMBERS for mode in self.MODES]
        cases += [(moment, number, errno, mode) for moment in moments for number in (*range(102, 108), *range(200, 206))
                  for errno in self.ERRNOS for mode in self.MODES]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            for case, got in zip(cases, threads.map(lambda case: self.ask(*case), cases)):
                with self.subTest(case):
                    if case[0] == "cookie":
                        self.assertIn(got, self.OWN_CHOICE | {self.AUTHENTICATION})
                    elif case[0] == "start" and "udp_mode" in case[3]:
                        self.assertIn(got, ("server_error", self.NOTHING_RECEIVED))
                    elif got != self.AUTHENTICATION:
                        self.assertEqual(got, "server_error")


if __name__ == "__main__":
    unittest.main(verbosity=2)
