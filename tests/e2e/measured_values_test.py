"""The metrics of a test agree with what the iperf3 server measured: it prints its own report."""

import concurrent.futures
import contextlib
import unittest

from harness import Exporter, Iperf3Server, iperf3_is_threaded, value

STREAMS = (1, 8)
# Of UDP: packets small enough that a second holds hundreds of them.
UDP = {"udp_mode": "true", "length": "1000"}
MODES = {
    "upload": {},
    "download": {"reverse_mode": "true"},
    "both ways": {"bidirectional": "true"},
    "UDP upload": UDP,
    "UDP download": {**UDP, "reverse_mode": "true"},
    "UDP both ways": {**UDP, "bidirectional": "true"},
}


class MeasuredValues(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All tests at once, each with a server of its own: no value depends on the others."""
        cases = [(mode, streams) for mode in MODES for streams in STREAMS]
        with Exporter("--lock.scope=none", f"--worker.count={len(cases)}") as exporter, \
                contextlib.ExitStack() as stack, \
                concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
            servers = [stack.enter_context(Iperf3Server("-J", "-1")) for _ in cases]

            def run(case, server):
                mode, streams = case
                return exporter.probe(port=server.port, period="1s", bitrate="2M", scrape_timeout=20,
                                      parallel=str(streams), **MODES[mode])

            answers = list(pool.map(run, cases, servers))
            reports = [server.report() for server in servers]
            # A threaded server tells its client before it has stopped its threads: its own report may have a packet
            # more or less of each stream, of some hundreds, or fewer on a busy machine.
            cls.slack = 5e-2 if iperf3_is_threaded() else 1e-12
            cls.runs = {case: (answer.metrics(), report["end"])
                        for case, answer, report in zip(cases, answers, reports)}

    def each(self, *modes):
        for mode in modes:
            for streams in STREAMS:
                with self.subTest(mode=mode, streams=streams):
                    samples, end = self.runs[mode, streams]
                    self.assertEqual(value(samples, "iperf3_up"), 1, samples)
                    self.assertEqual(value(samples, "iperf3_streams"), streams)
                    yield (samples, end, {"direction": "upload"} if "both" in mode else {},
                           {"direction": "download"} if "both" in mode else {},
                           "_bidir_reverse" if "both" in mode else "")

    def assert_same(self, samples, name, total, key, scale=1, slack=1e-12, **labels):
        """A factor may cost the last digit; the numbers themselves are printed as they were read."""
        found = value(samples, name, **labels)
        self.assertIsNotNone(found, (name, labels))
        self.assertAlmostEqual(found, total[key] * scale, delta=slack * abs(found), msg=name)

    def test_bytes_and_seconds_that_the_server_received(self):
        for samples, end, labels, _, _ in self.each("upload", "both ways", "UDP upload",
                                                    "UDP both ways"):
            total = end["sum_received"]
            self.assertGreater(total["bytes"], 0)
            self.assert_same(samples, "iperf3_received_bytes", total, "bytes", **labels)
            self.assert_same(samples, "iperf3_received_seconds", total, "seconds", **labels)
            self.assert_same(samples, "iperf3_bits_per_second", total, "bits_per_second",
                             direction="upload", side="receiver")
            self.assert_same(samples, "iperf3_bandwidth_upload_mbps", total, "bits_per_second", 1e-6)

    def test_bytes_and_seconds_that_the_server_sent(self):
        self.assert_sent("download", "both ways")

    def test_packets_in_bytes_that_the_server_sent(self):
        self.assert_sent("UDP download", "UDP both ways", slack=self.slack)

    def assert_sent(self, *modes, slack=1e-12):
        for samples, end, _, labels, suffix in self.each(*modes):
            total = end["sum_sent" + suffix]
            self.assertGreater(total["bytes"], 0)
            self.assert_same(samples, "iperf3_sent_bytes", total, "bytes", slack=slack, **labels)
            self.assert_same(samples, "iperf3_sent_seconds", total, "seconds", **labels)
            self.assert_same(samples, "iperf3_bits_per_second", total, "bits_per_second", slack=slack,
                             direction="download", side="sender")

    def test_retransmits_of_the_server(self):
        # What this host's iperf3 sent again the server does not know.
        for samples, end, _, labels, suffix in self.each("download", "both ways"):
            self.assert_same(samples, "iperf3_retransmits", end["sum_sent" + suffix], "retransmits",
                             **labels)

    def test_packets_that_the_server_received_and_missed(self):
        for samples, end, labels, _, _ in self.each("UDP upload", "UDP both ways"):
            total = end["sum_received"]
            self.assertGreater(total["packets"], 0)
            received = total["packets"] - total["lost_packets"]
            self.assertEqual(value(samples, "iperf3_received_packets", **labels), received)
            # On a busy machine the server may end before packets arrive that a gap would have shown: then all that are
            # missing count.
            lost = {total["lost_packets"], value(samples, "iperf3_sent_packets", **labels) - received}
            for name in ("lost_packets", "sent_lost_packets", "received_lost_packets"):
                self.assertIn(value(samples, f"iperf3_{name}", **labels), lost)
            self.assertGreater(total["jitter_ms"], 0)
            for name in ("sent_jitter_ms", "received_jitter_ms"):
                self.assert_same(samples, f"iperf3_{name}", total, "jitter_ms", **labels)
            self.assert_same(samples, "iperf3_jitter_seconds", total, "jitter_ms", 1e-3,
                             direction="upload")

    def test_packets_that_the_server_sent(self):
        for samples, end, _, labels, suffix in self.each("UDP download", "UDP both ways"):
            total = end["sum_sent" + suffix]
            self.assertGreater(total["packets"], 0)
            self.assert_same(samples, "iperf3_sent_packets", total, "packets", slack=self.slack, **labels)


class LowBitrate(unittest.TestCase):
    def test_tcp_exceeds_a_low_bitrate_by_no_more_than_a_short_block(self):
        with Exporter() as exporter:
            for mode in ("upload", "download"):
                with self.subTest(mode=mode), Iperf3Server("-1") as server:
                    samples = exporter.probe(port=server.port, period="1s", bitrate="100k", scrape_timeout=20,
                                             **MODES[mode]).metrics()
                    self.assertLess(value(samples, "iperf3_bits_per_second", direction=mode, side="sender"), 120_000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
