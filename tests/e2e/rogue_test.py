"""A compromised worker of the real exporter fails only its own probe, and its texts are escaped in pages and log
lines."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import unittest

from harness import (BIN_DIR, Exporter, Iperf3Server, children_of, reason, temporary_directory, value,
                     wait_until)

ROGUE = os.path.realpath(os.path.join(BIN_DIR, "rogue_worker"))
WORKER = os.path.realpath(os.path.join(BIN_DIR, "iperf3_exporter_worker"))
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")
PAGES = ("/", "/metrics", "/health", "/lock-status")


class ExporterWithRogues:
    """An exporter with two workers, whose worker program can be replaced at any time."""

    def __init__(self, directory, name, program, *flags):
        # The rogue's behaviour depends on the name that it is executed by.
        self.path = os.path.join(directory, name)
        self.use(program)
        self.exporter = Exporter(f"--worker.path={self.path}", "--worker.count=2", *flags)

    def use(self, program):
        fresh = self.path + ".fresh"
        os.symlink(program, fresh)
        os.rename(fresh, self.path)

    def workers(self):
        """{pid: program}"""
        found = {}
        for pid in children_of(self.exporter.pid):
            with contextlib.suppress(OSError):
                program = os.readlink(f"/proc/{pid}/exe")
                if program in (ROGUE, WORKER):
                    found[pid] = program
        return found

    def idle(self):
        return value(self.exporter.get("/metrics").metrics(), "iperf3_exporter_workers", state="idle")

    def restarts(self):
        samples = self.exporter.get("/metrics").metrics()
        return {dict(labels)["reason"]: count for (name, labels), count in samples.items()
                if name == "iperf3_exporter_worker_restarts_total" and count}

    def wait_until_idle(self):
        wait_until(lambda: self.idle() == 2, f"two idle workers\n{self.exporter.log}")


class RogueTest(unittest.TestCase):
    @contextlib.contextmanager
    def run_exporter(self, name, *flags, program=ROGUE):
        with temporary_directory() as directory:
            setup = ExporterWithRogues(directory, name, program, *flags)
            with setup.exporter:
                yield setup
                self.check_pages(setup.exporter)
                self.check_log(setup.exporter)
            self.assertEqual(children_of(setup.exporter.pid), {})

    def check_pages(self, exporter):
        for path in PAGES:
            answer = exporter.get(path)
            self.assertEqual(answer.status, 200, answer.text)
            self.assertNotRegex(answer.text, CONTROL, path)
            self.assertNotIn("<script", answer.text, path)
        json.loads(exporter.get("/lock-status").text)
        checked = subprocess.run(["promtool", "check", "metrics"], check=False, capture_output=True,
                                 input=exporter.get("/metrics").body)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def check_log(self, exporter):
        for line in exporter.lines:
            self.assertRegex(line, r"^ts=\S+ level=(debug|info|warn|error) msg=", exporter.log)
            self.assertNotRegex(line, CONTROL)

    def check_replacement(self, setup, server, restarts):
        """The worker that took the place of the rogue works."""
        wait_until(lambda: setup.restarts() == restarts, f"{restarts}\n{setup.exporter.log}")
        setup.wait_until_idle()
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(setup.exporter.probe(
            port=server.port, period="1s", bitrate="1M", scrape_timeout=20))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([value(answer.metrics(), "iperf3_up") for answer in answers], [1, 1],
                         setup.exporter.log)


class DuringItsJob(RogueTest):
    def cost(self, mode, restart, expected="worker_lost"):
        """The rogue is worker 1: worker 0 has a probe in flight when it is given one."""
        with Iperf3Server() as server, \
                self.run_exporter(f"second_rogue_worker_{mode}", "--lock.scope=none", "--probe.retries=5") as setup:
            setup.wait_until_idle()
            setup.use(WORKER)
            exporter = setup.exporter
            answers = []
            other = threading.Thread(target=lambda: answers.append(exporter.probe(
                port=server.port, period="4s", bitrate="1M", scrape_timeout=20)))
            other.start()
            wait_until(exporter.iperf3, "the other probe tests")
            answer = exporter.probe(port=server.port, period="1s", scrape_timeout=2)
            self.assertEqual(answer.status, 200, answer.text)
            samples = answer.metrics()
            self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (0, expected))
            self.assertTrue(other.is_alive(), "the rogue's probe was to end first")
            other.join()
            self.assertEqual(value(answers[0].metrics(), "iperf3_up"), 1, answers[0].text + exporter.log)
            self.check_replacement(setup, server, {restart: 1})
            exporter.wait_for_line(f'msg="probe failed".* reason={expected} ')
            self.assertEqual(exporter.log.count('msg="probe failed"'), 1, exporter.log)

    def test_garbage(self):
        self.cost("garbage", "protocol")

    def test_oversize(self):
        self.cost("oversize", "protocol")

    def test_wrong_version(self):
        self.cost("wrong_version", "protocol")

    def test_number_out_of_range(self):
        self.cost("out_of_range", "protocol")

    def test_not_a_number(self):
        self.cost("not_a_number", "protocol")

    def test_text_without_end(self):
        self.cost("endless_text", "protocol")

    def test_answer_for_another_job(self):
        self.cost("other_job", "protocol")

    def test_silence(self):
        # Its scraper is not kept waiting until the worker has been killed.
        self.cost("silence", "hung")

    def test_silence_at_the_lock(self):
        self.cost("silence_at_lock", "hung")

    def test_a_result_of_a_test_that_was_not_started(self):
        self.cost("finished_unstarted", "protocol")

    def test_starting_twice(self):
        self.cost("started_twice", "protocol")

    def test_closing_early(self):
        self.cost("close_and_live", "crashed")

    def test_leaving_early(self):
        self.cost("close", "crashed")

    def test_crash(self):
        self.cost("crash", "crashed")


class Liar(RogueTest):
    def test_hostile_text(self):
        with self.run_exporter("rogue_worker_hostile_text") as setup:
            setup.wait_until_idle()
            samples = setup.exporter.probe(period="1s").metrics()
            self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (0, "server_error"))
            detail = setup.exporter.wait_for_line(r'msg="probe failed".* detail="(.*)"$')[1]
            self.assertTrue(detail.startswith(r'\"}\n# x\r\n\u001b[31m\ufffd<script>\u0000xxx'), detail)
            self.assertEqual(setup.restarts(), {})

    def test_answering_twice(self):
        with Iperf3Server() as server, self.run_exporter("rogue_worker_twice", "--probe.retries=5") as setup:
            setup.wait_until_idle()
            setup.use(WORKER)
            # The first answer counts; it is by the second that the worker shows what it is.
            self.assertEqual(value(setup.exporter.probe(period="1s").metrics(), "iperf3_up"), 1)
            wait_until(lambda: setup.restarts() == {"protocol": 1}, "the rogue is replaced")
            setup.wait_until_idle()
            samples = setup.exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
            self.assertGreater(value(samples, "iperf3_sent_bytes"), 100_000)

    def test_answering_late_again(self):
        with self.run_exporter("rogue_worker_twice_late") as setup:
            setup.wait_until_idle()
            self.assertEqual(value(setup.exporter.probe(period="1s").metrics(), "iperf3_up"), 1)
            self.assertEqual(reason(setup.exporter.probe(period="1s").metrics()), "worker_lost")
            self.assertEqual(setup.restarts(), {"protocol": 1})


    def test_the_lock_is_not_gone(self):
        with Iperf3Server() as server, self.run_exporter("rogue_worker_lock_gone", "--probe.retries=5") as setup:
            setup.wait_until_idle()
            setup.use(WORKER)
            self.assertEqual(reason(setup.exporter.probe(period="1s").metrics()), "worker_lost")
            self.assertEqual(setup.restarts(), {"protocol": 1})
            self.assertNotIn("changed while in use", setup.exporter.log)
            setup.wait_until_idle()
            samples = setup.exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, setup.exporter.log)


class KeepsTheLock(RogueTest):
    def test_the_lock_is_free_when_its_orphans_are_killed(self):
        with Iperf3Server() as server, self.run_exporter("rogue_worker_orphan") as setup:
            setup.wait_until_idle()
            setup.use(WORKER)
            exporter = setup.exporter
            samples = exporter.probe(port=server.port, period="1s", scrape_timeout=2).metrics()
            self.assertEqual(reason(samples), "worker_lost")
            # The other one is a rogue too, but was given nothing to do.
            wait_until(lambda: not json.loads(exporter.get("/lock-status").text)["is_locked"], "the lock is free")
            setup.wait_until_idle()
            self.assertEqual(sorted(setup.workers().values()), [WORKER, ROGUE])
            for pid, program in setup.workers().items():
                if program == ROGUE:
                    os.kill(pid, signal.SIGKILL)
            self.check_replacement(setup, server, {"hung": 1, "crashed": 1})


class AtItsStart(RogueTest):
    """A good worker dies and is replaced by rogues, again and again; the other one keeps working."""

    def cost(self, mode, restart):
        with Iperf3Server() as server, self.run_exporter(f"rogue_worker_{mode}", "--probe.retries=5", program=WORKER) as setup:
            exporter = setup.exporter
            setup.wait_until_idle()
            setup.use(ROGUE)
            os.kill(min(setup.workers()), signal.SIGKILL)
            expected = {"crashed": 1}
            expected[restart] = expected.get(restart, 0) + 1
            wait_until(lambda: setup.restarts().get(restart, 0) >= expected[restart],
                       f"{expected}\n{exporter.log}")
            self.assertEqual(set(setup.restarts()), set(expected))
            self.check_pages(exporter)
            samples = exporter.probe(port=server.port, period="1s", bitrate="1M").metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, exporter.log)
            setup.use(WORKER)
            setup.wait_until_idle()
            self.check_replacement(setup, server, setup.restarts())

    def test_crash(self):
        self.cost("crash_at_start", "crashed")

    def test_silence(self):
        self.cost("silent_start", "not_ready")

    def test_a_result_that_nobody_asked_for(self):
        self.cost("unasked_result", "protocol")

    def test_hostile_version(self):
        self.cost("ready_hostile_version", "protocol")

    def test_hostile_error(self):
        self.cost("ready_hostile_error", "protocol")


if __name__ == "__main__":
    unittest.main(verbosity=2)
