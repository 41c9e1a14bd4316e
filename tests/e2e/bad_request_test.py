"""What /probe refuses: 400 with one line that begins with the words for that error, never a test, never a crash."""

import contextlib
import os
import random
import socket
import unittest

from harness import BIN_DIR, Exporter, value

BOOLEAN = "parameter must be true or false (boolean)"
COUNT_OF_BYTES = "parameter must be a number of bytes as #[KMGT] from "
TEXT = "parameter must be UTF-8 text without control characters"
TOO_LONG = "the query must be at most 8192 bytes long, got "

# (query, the first words of the answer): at least one for each row of the table of parameters.
REFUSED = (
    ("", "'target' parameter must be specified"),
    ("target=", "'target' parameter must be specified"),
    ("target=%22", "'target' parameter must be a host name, an IPv4 address or an IPv6 address"),
    ("target=-c", "'target' parameter must be a host name"),
    ("target=a%3Bb", "'target' parameter must be a host name"),
    ("target=" + "a" * 254, "'target' parameter must be a host name"),
    ("target=a&port=0x10", "'port' parameter must be an integer"),
    ("target=a&port=65536", "'port' parameter must be an integer"),
    ("target=a&port=-1", "'port' parameter must be an integer"),
    ("target=a&reverse_mode=yes", f"'reverse_mode' {BOOLEAN}"),
    ("target=a&udp_mode=2", f"'udp_mode' {BOOLEAN}"),
    ("target=a&bidirectional=on", f"'bidirectional' {BOOLEAN}"),
    ("target=a&reverse_mode=1&bidirectional=1",
     "'bidirectional' parameter must not be true together with 'reverse_mode'"),
    ("target=a&bitrate=fast", "bitrate must provided as #[KMGT][/#]"),
    ("target=a&bitrate=1M/x", "bitrate must provided as #[KMGT][/#]"),
    ("target=a&period=5x", "'period' parameter must be a duration"),
    ("target=a:5201&port=5201", "'target' parameter must be a host name"),
    ("target=a&bytes=0", f"'bytes' {COUNT_OF_BYTES}"),
    ("target=a&mptcp=x", f"'mptcp' {BOOLEAN}"),
    ("target=a&gso=x", f"'gso' {BOOLEAN}"),
    ("target=a&dont_fragment=x", f"'dont_fragment' {BOOLEAN}"),
    ("target=::1&udp_mode=1&dont_fragment=1", "'dont_fragment' parameter must be true only over IPv4"),
    ("target=a&bytes=0.5", "'bytes' parameter must be a number of bytes as #[KMGT] from 1 to"),
    ("target=a&bitrate=0.4", "bitrate must provided as #[KMGT][/#]"),
    ("target=a&dont_fragment=1", "'dont_fragment' parameter must be true only together with 'udp_mode'"),
    ("target=a&skip_rx_copy=x", f"'skip_rx_copy' {BOOLEAN}"),
    ("target=a&bind=192.0.2.1%25", "'bind' parameter must be an IP address or a host name"),
    ("target=a&period=-1s", "'period' parameter must be a duration"),
    ("target=a&period=61m", "'period' parameter must be a duration"),
    ("target=a&bind_address=-x", "'bind_address' parameter must be an IP address or a host name"),
    ("target=a&bind=%24", "'bind' parameter must be an IP address or a host name"),
    ("target=a&bind_device=a/b", "'bind_device' parameter must be the name of a network interface"),
    ("target=a&parallel=0", "'parallel' parameter must be an integer from 1 to 128"),
    ("target=a&parallel=129", "'parallel' parameter must be an integer from 1 to 128"),
    ("target=a&omit=-1", "'omit' parameter must be a duration"),
    ("target=a&window=big", f"'window' {COUNT_OF_BYTES}"),
    ("target=a&mss=1", "'mss' parameter must be an integer from "),
    ("target=a&length=9G", f"'length' {COUNT_OF_BYTES}"),
    ("target=a&udp_mode=1&length=1", f"'length' {COUNT_OF_BYTES}"),
    ("target=a&congestion=a%20b", "'congestion' parameter must be the name of a congestion control"),
    ("target=a&dscp=64", "'dscp' parameter must be 0 to 63 or a class"),
    ("target=a&max_age=60", "'max_age' parameter must be a duration such as 90s or 1m30s, from 0 to 24h0m0s"),
    ("target=a&max_age=-1s", "'max_age' parameter must be a duration"),
    ("target=a&max_age=24h1s", "'max_age' parameter must be a duration"),
    ("target=a&ip_version=5", "'ip_version' parameter must be 4 or 6"),
    ("target=127.0.0.1&ip_version=6", "'ip_version' parameter must agree with the address"),
    ("target=a&cport=80", "'cport' parameter must be an integer from 1024 to 65535"),
    ("target=a&no_delay=x", f"'no_delay' {BOOLEAN}"),
    ("target=a&zerocopy=x", f"'zerocopy' {BOOLEAN}"),
    # Errors of the query itself, in parameters that nobody reads too.
    ("target=a%00b", f"'target' {TEXT}"),
    ("target=a%0Ab", f"'target' {TEXT}"),
    ("target=%FF%FE", f"'target' {TEXT}"),
    ("target=a&x=%01", f"'x' {TEXT}"),
    ("target=a&x=%C2%9B31m", f"'x' {TEXT}"),
    ("target=a&%C2%85=1", "the name of a parameter must be UTF-8 text"),
    ("target=a&%00=1", "the name of a parameter must be UTF-8 text"),
    ("target=a%2", "'target' parameter must be percent-encoded"),
    ("target=a&x=%zz", "'x' parameter must be percent-encoded"),
    ("target=" + "a" * 10_000, TOO_LONG),
    ("target=" + "%41" * 3400, TOO_LONG),
    ("target=" + "%FF" * 3400, TOO_LONG),
    ("target=a&x=" + "b" * 10_000, TOO_LONG),
)
BAD_TIMEOUTS = (b"x", b"", b"0", b"-1", b"1s", b"inf", b"nan", b"1e400", b"\xff", b"9" * 4000 + b"x")


class BadRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter())

    def tearDown(self):
        """Whatever came, the exporter still runs, and nothing was tried."""
        self.assertIsNone(self.exporter.process.poll(), self.exporter.log)
        self.assertEqual(self.exporter.get("/health").status, 200)
        self.assertEqual(len(self.exporter.workers()), 4)
        samples = self.exporter.get("/metrics").metrics()
        self.assertEqual({dict(labels)["result"] for (name, labels), count in samples.items()
                          if name == "iperf3_exporter_probes_total" and count}, {"bad_request"})

    def exchange(self, target, *headers):
        """A request of any bytes; its status and body."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.exporter.port),
                                                         timeout=30)) as client:
            client.sendall(b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: x",
                                         b"Connection: close", *headers, b"", b""]))
            with client.makefile("rb") as file:
                head, _, body = file.read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def check_refusal(self, status, text, beginning):
        self.assertEqual(status, 400, text)
        self.assertTrue(text.startswith(beginning), text)
        # One line, of characters that a terminal shows, and not as long as what was sent.
        self.assertTrue(text.endswith("\n"))
        self.assertTrue(text[:-1].isprintable(), text)
        self.assertLess(len(text), 300)

    def test_each_parameter(self):
        for query, beginning in REFUSED:
            with self.subTest(query[:60]):
                answer = self.exporter.get("/probe?" + query)
                self.check_refusal(answer.status, answer.text, beginning)

    def test_bytes_that_are_not_encoded(self):
        noise = random.Random(1).randbytes(10_000).translate(None, b"\r\n ?#")
        for query, beginning in ((b"target=\xff", f"'target' {TEXT}"),
                                 (b"target=a&\xff=1", "the name of a parameter must be UTF-8 text"),
                                 (b"target=" + b"\xff" * 10_000, TOO_LONG),
                                 (b"target=a\x01b", "malformed request target"),
                                 (b"target=" + noise, "malformed request target")):
            with self.subTest(query[:30]):
                self.check_refusal(*self.exchange(b"/probe?" + query), beginning)

    def test_scrape_timeout(self):
        for timeout in BAD_TIMEOUTS:
            with self.subTest(timeout[:10]):
                header = b"X-Prometheus-Scrape-Timeout-Seconds: " + timeout
                self.check_refusal(
                    *self.exchange(b"/probe?target=127.0.0.1", header),
                    "X-Prometheus-Scrape-Timeout-Seconds header must be a finite positive number")


class OldIperf3(unittest.TestCase):
    """A program whose help names no option but --bind-dev."""

    def test_what_the_installed_iperf3_cannot_do_is_refused_with_its_version(self):
        with Exporter(f"--iperf3.path={os.path.join(BIN_DIR, 'hostile_iperf3')}") as exporter:
            for name, given, option in (("bidirectional", "1", "--bidir"), ("dscp", "46", "--dscp"),
                                        ("cport", "5000", "--cport"),
                                        ("congestion", "cubic", "--congestion"),
                                        ("zerocopy", "1", "--zerocopy"),
                                        ("mptcp", "1", "--mptcp"),
                                        ("skip_rx_copy", "1", "--skip-rx-copy")):
                with self.subTest(name):
                    answer = exporter.probe(port=1, **{name: given})
                    self.assertEqual(answer.status, 400, answer.text)
                    self.assertTrue(answer.text.startswith(
                        f"'{name}' parameter requires an iperf3 that supports {option}"), answer.text)
                    self.assertIn("3.12", answer.text)
            # What it can do is tried: the program answers as if it had measured.
            answer = exporter.probe(port=1, bind_device="", period="1s")
            self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
