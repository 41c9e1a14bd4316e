"""A compromised iperf3 in the default sandbox: what its probe reports, and that it leaves no other trace."""

import json
import os
import re
import signal
import threading
import unittest

from harness import BIN_DIR, Exporter, children_of, reason, smaps, value, wait_until

FAKE = os.path.abspath(os.path.join(BIN_DIR, "fake_iperf3"))
HOSTILE = os.path.abspath(os.path.join(BIN_DIR, "hostile_iperf3"))
HOSTILE_SOCKETS = os.path.abspath(os.path.join(BIN_DIR, "hostile_sockets"))
# What a worker may keep of a report that was 64 MiB: nothing; this is noise.
MOST_MEMORY_KEPT_KIB = 6 * 1024


class HostileIperf3(unittest.TestCase):
    """One worker, so that the probe after an attack is served by the worker that had it."""

    program = FAKE

    @classmethod
    def setUpClass(cls):
        cls.exporter = Exporter(f"--iperf3.path={cls.program}", "--worker.count=1")
        cls.exporter.__enter__()
        cls.addClassCleanup(cls.exporter.__exit__, None, None, None)
        cls.worker, = cls.exporter.workers()
        # Grown to what it keeps.
        assert value(cls.exporter.probe(period="1s").metrics(), "iperf3_up") == 1, cls.exporter.log

    def own_metric(self, name, **labels):
        return value(self.exporter.get("/metrics").metrics(), name, **labels) or 0

    def memory(self):
        return smaps(self.worker, "Pss") + smaps(self.exporter.pid, "Pss")

    def attack(self, word, scrape_timeout=20):
        """The samples of the attack's probe and the log lines that it cost; everything else is as it
        was before."""
        exporter = self.exporter
        memory = self.memory()
        lines = len(exporter.lines)
        samples = exporter.probe(bind_device=word, period="1s", scrape_timeout=scrape_timeout).metrics()
        # Nothing of the attack is left a moment after its probe was answered.
        wait_until(lambda: list(children_of(exporter.pid)) == [self.worker], "only the worker is left")
        wait_until(lambda: self.memory() - memory < MOST_MEMORY_KEPT_KIB, "its memory is free again")
        after = exporter.probe(period="1s").metrics()
        self.assertEqual((value(after, "iperf3_up"), reason(after)), (1, None))
        self.assertEqual(exporter.get("/health").status, 200)
        self.assertEqual(self.own_metric("iperf3_exporter_workers", state="idle"), 1)
        return samples, exporter.lines[lines:]

    def assert_fails(self, word, expected, scrape_timeout=20):
        failures = self.own_metric("iperf3_exporter_probe_failures_total", reason=expected)
        count = len(self.exporter.lines)
        samples, _ = self.attack(word, scrape_timeout)
        self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (0, expected))
        wait_until(lambda: len(self.exporter.lines) > count, "a log line")
        lines = self.exporter.lines[count:]
        self.assertEqual(self.own_metric("iperf3_exporter_probe_failures_total", reason=expected),
                         failures + 1)
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], f'msg="probe failed".* reason={expected} ')
        self.assertFalse([c for c in lines[0] if ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0], lines[0])
        detail = re.search(r'detail=("(?:[^"\\]|\\.)*"|[^" ]*)$', lines[0])
        self.assertTrue(detail, lines[0])
        return json.loads(detail[1]) if detail[1].startswith('"') else detail[1]


class Ends(HostileIperf3):
    def test_report_without_end(self):
        self.assert_fails("flood", "output_too_large")

    def test_errors_without_end(self):
        self.assert_fails("flood-errors", "output_too_large")

    def test_a_gibibyte(self):
        self.assert_fails("gib-report", "output_too_large")

    def test_deaf_to_the_deadline(self):
        self.assert_fails("ignore-term", "deadline", scrape_timeout=2.5)

    def test_killed(self):
        # From outside, because its filter denies it these signals.
        def kill():
            victim = wait_until(lambda: set(children_of(self.exporter.pid)) - {self.worker}, "iperf3 runs").pop()
            os.kill(victim, signal.SIGKILL)
        killer = threading.Thread(target=kill)
        killer.start()
        self.assert_fails("hang", "killed")
        killer.join()

    def test_kill_is_forbidden(self):
        self.assert_fails("kill", "sandbox_violation")

    def test_crashed(self):
        self.assert_fails("segv", "killed")

    def test_half_a_report(self):
        self.assert_fails("truncate", "bad_output")

    def test_no_report(self):
        self.assert_fails("silent", "bad_output")

    def test_hostile_error_text(self):
        detail = self.assert_fails("hostile-error", "server_error")
        self.assertTrue(detail.startswith('unknown \x1b[31m"quoted" \nlevel=info msg=ready xxx'), detail)
        self.assertLess(len(detail), 600)

    def test_hostile_last_words(self):
        self.assertEqual(self.assert_fails("hostile-words", "server_error"),
                         'unknown \x1b[31m"quoted" \ufffd <script>')

    def test_text_that_is_not_utf8_is_not_json(self):
        self.assert_fails("bad-utf8", "bad_output")


class Lies(HostileIperf3):
    # All but iperf3_sent_seconds, without which no test succeeds.
    NUMBERS = ("iperf3_sent_bytes", "iperf3_received_bytes", "iperf3_received_seconds",
               "iperf3_retransmits", "iperf3_bandwidth_upload_mbps")

    def numbers(self, word):
        """Which of NUMBERS the page has, and how many more were counted as implausible."""
        before = self.own_metric("iperf3_exporter_implausible_values_total")
        samples, lines = self.attack(word)
        self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (1, None))
        self.assertEqual(lines, [])
        shown = {name for name in self.NUMBERS if value(samples, name) is not None}
        return shown, self.own_metric("iperf3_exporter_implausible_values_total") - before

    def test_less_than_nothing(self):
        shown, implausible = self.numbers("minus-one")
        self.assertEqual(shown, set())
        self.assertGreaterEqual(implausible, len(self.NUMBERS))

    def test_more_than_can_be(self):
        shown, implausible = self.numbers("huge")
        # Bytes and retransmits are 64-bit numbers: 1.8e19 is one.
        self.assertEqual(shown & {"iperf3_received_seconds", "iperf3_bandwidth_upload_mbps"}, set())
        self.assertGreaterEqual(implausible, 4)

    def test_unknown_is_no_lie(self):
        self.assertEqual(self.numbers("null"), (set(), 0))

    def test_not_a_number_is_not_json(self):
        self.assert_fails("nan", "bad_output")


class Attacks(HostileIperf3):
    program = HOSTILE

    def test_execute(self):
        self.assert_fails("execve", "sandbox_violation")

    def test_fork(self):
        self.assert_fails("clone", "sandbox_violation")


class SocketAttacks(HostileIperf3):
    program = HOSTILE_SOCKETS

    def test_listen(self):
        self.assert_fails("listen", "sandbox_violation")


del HostileIperf3  # only its subclasses are tests

if __name__ == "__main__":
    unittest.main(verbosity=2)
