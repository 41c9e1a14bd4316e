"""UDP loss is what the network dropped, whichever versions of iperf3 meet.

Each cell is one probe through a link that drops a known share of the datagrams: 0, 5, 30 or all of 100, evenly spread, or
all that follow the middle of the test. The clients and servers are the iperf3 of Debian 12 and of Debian 13. Needs root;
`make test-loss` runs it.
"""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import subprocess
import sys
import typing
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "e2e"))
import harness  # noqa: E402  (the path is set above)
from harness import ExporterElsewhere, Iperf3Server, value  # noqa: E402
import iperf3_packages  # noqa: E402

AT_ONCE = 16
# A busy computer sends and reads late, and loses packets of its own. So the programs run before all others, and a cell
# is wrong only if it is wrong every time.
ATTEMPTS = 3
REAL_TIME = ["chrt", "--rr", "1"]
TOLERANCE = 0.03
FIRST_PORT = 20000
DEVICE = "veth0"
ADDRESS = "10.99.9.2"

DATAGRAM_BYTES = 1000
HEADER_BYTES = 28  # IPv4 and UDP
PACKETS_PER_SECOND = 250  # of a stream
PERIOD_SECONDS = 1
# The share that is lost, and the nft statement that selects it. Even spacing makes the loss the same in every second.
LOSSES = {
    "none": (0.0, None),
    "5 %": (0.05, "numgen inc mod 20 < 1"),
    "30 %": (0.3, "numgen inc mod 10 < 3"),
    "all": (1.0, ""),
    "second half": (0.5, "quota over {half} bytes"),
}
DIRECTIONS = {
    "upload": {},
    "download": {"reverse_mode": "true"},
    "bidirectional": {"bidirectional": "true"},
}


class Cell(typing.NamedTuple):
    client: str
    server: str
    loss: str
    direction: str
    streams: int
    omit: int

    def rule(self):
        """The nft statement that selects what is dropped, None if nothing is."""
        statement = LOSSES[self.loss][1]
        packets = self.streams * PACKETS_PER_SECOND * (self.omit + PERIOD_SECONDS / 2)
        return statement and statement.format(half=int(packets * (DATAGRAM_BYTES + HEADER_BYTES)))

    def directions(self):
        return ("upload", "download") if self.direction == "bidirectional" else (self.direction,)


CELLS = [Cell(*each) for each in itertools.product(
    ("3.12", "3.18"), ("3.12", "3.18"), LOSSES, DIRECTIONS, (1, 4), (0, 1))]


def run(*command, **arguments):
    result = subprocess.run(command, capture_output=True, text=True, **arguments)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr}")


class Link:
    """Namespaces `near` and `far`, joined by a link."""

    def __enter__(self):
        self.near = f"ipx-loss-near-{os.getpid()}"
        self.far = f"ipx-loss-far-{os.getpid()}"
        with contextlib.ExitStack() as stack:
            for name in (self.near, self.far):
                harness.CLEANUP.add(["ip", "netns", "delete", name])
                run("ip", "netns", "add", name)
                stack.callback(run, "ip", "netns", "delete", name)
            run("ip", "-n", self.near, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE,
                "netns", self.far)
            for name, address in ((self.near, "10.99.9.1"), (self.far, ADDRESS)):
                run("ip", "-n", name, "address", "add", f"{address}/24", "dev", DEVICE)
                run("ip", "-n", name, "link", "set", DEVICE, "up")
                run("ip", "netns", "exec", name, "nft", "-f", "-",
                    input="table inet loss { chain input { type filter hook input priority 0; }; }")
            self.stack = stack.pop_all()
        return self

    def drop(self, cell, port):
        """Drops that share of the cell's datagrams where they arrive, but not the short ones that open a stream."""
        if cell.rule() is None:
            return
        for name, key in ((self.far, "dport"), (self.near, "sport")):
            run("ip", "netns", "exec", name, "nft", "add", "rule", "inet", "loss", "input",
                f"udp {key} {port} meta length > 500 {cell.rule()} drop")

    def __exit__(self, *_):
        self.stack.close()


class Loss(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("making network namespaces needs root")
        cls.prefix = iperf3_packages.launchers()  # `ip netns exec` makes a mount namespace
        cls.link = cls.enterClassContext(Link())
        directory = cls.enterClassContext(harness.temporary_directory())
        cls.exporters = {version: cls.enterClassContext(cls.start_exporter(directory, version))
                         for version in cls.prefix}
        cls.ports = itertools.count(FIRST_PORT)

    @classmethod
    def start_exporter(cls, directory, version):
        own_directory = os.path.join(directory, version)
        os.mkdir(own_directory)
        launcher = [*REAL_TIME, "ip", "netns", "exec", cls.link.near, *cls.prefix[version]]
        return ExporterElsewhere(launcher, own_directory, "--lock.scope=none", f"--worker.count={AT_ONCE}")

    def test_the_clients_have_the_versions_that_the_cells_name(self):
        for version, exporter in self.exporters.items():
            self.assertEqual(value(exporter.get("/metrics").metrics(), "iperf3_exporter_iperf3_info", version=version), 1)

    def test_every_cell(self):
        wrong = {cell: ["not run"] for cell in CELLS}
        for _ in range(ATTEMPTS):
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
                wrong = {cell: found for cell, found in zip(wrong, threads.map(self.measure, wrong)) if found}
        for cell, found in wrong.items():
            with self.subTest(**cell._asdict()):
                self.fail("\n".join(found))

    def measure(self, cell):
        """What is wrong with the loss of that cell."""
        port = next(self.ports)
        self.link.drop(cell, port)
        prefix = [*REAL_TIME, "ip", "netns", "exec", self.link.far, *self.prefix[cell.server]]
        with Iperf3Server("-J", "-1", address=ADDRESS, prefix=prefix, port=port) as server:
            samples = self.exporters[cell.client].probe(
                ADDRESS, port, scrape_timeout=30, udp_mode="true", period=f"{PERIOD_SECONDS}s", parallel=cell.streams,
                bitrate=PACKETS_PER_SECOND * DATAGRAM_BYTES * 8, length=DATAGRAM_BYTES, omit=cell.omit,
                **DIRECTIONS[cell.direction]).metrics()
            if value(samples, "iperf3_up") != 1:
                return [f"failed: {harness.reason(samples)}"]
            end = server.report()["end"]
        return [fault for direction in cell.directions() for fault in self.faults(cell, direction, samples, end)]

    def faults(self, cell, direction, samples, end):
        labels = {"direction": direction} if cell.direction == "bidirectional" else {}
        found = {name: value(samples, f"iperf3_{name}", **labels) for name in
                 ("sent_bytes", "received_bytes", "sent_packets", "received_packets", "lost_packets", "lost_percent")}
        # Of the bytes of the server's side the server itself knows best.
        suffix = "_bidir_reverse" if direction == "download" and labels else ""
        side = "received" if direction == "upload" else "sent"
        server_bytes = end[f"sum_{side}{suffix}"]["bytes"]
        bytes_ = {**found, f"{side}_bytes": server_bytes}
        ratio = value(samples, "iperf3_lost_ratio", direction=direction)
        dropped = LOSSES[cell.loss][0]
        by_bytes = 1 - bytes_["received_bytes"] / bytes_["sent_bytes"]
        text = f"{direction}: {ratio}, dropped {dropped}, by bytes {by_bytes:.3f}, server {server_bytes}, {found}"
        good = (ratio is not None and abs(ratio - dropped) <= TOLERANCE and abs(ratio - by_bytes) <= TOLERANCE
                and abs(found["lost_percent"] - 100 * ratio) < 1e-6
                and found["received_packets"] * DATAGRAM_BYTES == found["received_bytes"]
                and found["sent_packets"] * DATAGRAM_BYTES == found["sent_bytes"]
                and abs(found["lost_packets"] - ratio * found["sent_packets"]) <= TOLERANCE * found["sent_packets"])
        return [] if good else [text]


if __name__ == "__main__":
    unittest.main(verbosity=2)
