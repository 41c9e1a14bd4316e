"""Servers with iperf3's own authentication, probed through modules; and where the password can be found."""

import contextlib
import os
import pathlib
import threading
import unittest

from authentication_files import PASSWORD, WRONG, AuthenticationFiles
from harness import Exporter, Iperf3Server, in_background, reason, temporary_directory, value, wait_until


def processes():
    return [pid for pid in os.listdir("/proc") if pid.isdigit()]


def read(pid, name):
    with contextlib.suppress(OSError):  # it may have ended; kernel threads have no environment
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def memory_contains(pid, secret):
    """Whether the process has `secret` anywhere in its writable memory."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        for line in maps:
            addresses, permissions = line.split()[:2]
            if not permissions.startswith("rw"):
                continue
            begin, end = (int(address, 16) for address in addresses.split("-"))
            memory.seek(begin)
            with contextlib.suppress(OSError):  # guard pages, devices
                if secret in memory.read(end - begin):
                    return True
    return False


class AuthenticationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = AuthenticationFiles(cls.enterClassContext(temporary_directory()))
        cls.exporter = cls.enterClassContext(
            Exporter(cls.files.exporter_flag, "--sandbox=require", "--log.level=debug", "--probe.retries=5"))
        cls.server = cls.enterClassContext(Iperf3Server(*cls.files.server_arguments, "--logfile", "/dev/null"))

    def probe(self, module, **parameters):
        return self.exporter.probe(module=module, port=self.server.port, scrape_timeout=60, **parameters)

    def test_the_right_credentials_are_accepted(self):
        samples = self.probe("right").metrics()
        self.assertEqual(value(samples, "iperf3_up"), 1, self.exporter.log)
        self.assertGreater(value(samples, "iperf3_received_bytes"), 0)

    def test_wrong_ones_are_refused_with_words_that_help(self):
        for module in ("wrong_password", "wrong_key"):
            samples = self.probe(module).metrics()
            self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (0, "access_denied"), self.exporter.log)
            self.exporter.wait_for_line(f'reason=access_denied .* module={module} detail="the server refused the credentials: ')

    def test_a_probe_without_credentials_is_refused(self):
        samples = self.exporter.probe(port=self.server.port, period="1s", scrape_timeout=60).metrics()
        self.assertEqual(reason(samples), "access_denied")
        self.exporter.wait_for_line("reason=access_denied .*: the server requires a user name and a password")

    def test_a_start_names_modules_that_send_credentials_anywhere(self):
        self.assertIn('msg="modules with auth allow every target', self.exporter.log)

    def test_credentials_do_not_harm_at_a_server_without_authentication(self):
        with Iperf3Server() as server:
            samples = self.exporter.probe(module="right", port=server.port, scrape_timeout=60).metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, self.exporter.log)


class SecretTest(unittest.TestCase):
    """Only the supervisor, the worker of the test and its iperf3 ever have the password."""

    def setUp(self):
        self.files = AuthenticationFiles(self.enterContext(temporary_directory()))
        self.key = (self.files.directory / "server.pub").read_bytes().splitlines()[3]

    def assert_hidden(self, data, where):
        data = data if isinstance(data, bytes) else data.encode()
        for secret in (PASSWORD.encode(), WRONG.encode(), self.key):
            self.assertNotIn(secret, data, where)

    def test_it_is_nowhere_else(self):
        server = self.enterContext(Iperf3Server(*self.files.server_arguments, "--logfile", "/dev/null"))
        exporter = self.enterContext(
            Exporter(self.files.exporter_flag, "--log.level=debug", "--lock.scope=none", "--probe.retries=5"))
        answers = []
        thread, running = in_background(
            lambda: exporter.probe(module="right", port=server.port, period="4s", scrape_timeout=60))
        wait_until(lambda: server.connections() >= 2 and exporter.iperf3(), "the test runs")
        own = exporter.iperf3()
        test_worker = {read(pid, "stat").split()[3].decode() for pid in map(str, own)}
        # It is there, so the search finds it.
        self.assertTrue(any(PASSWORD.encode() in read(pid, "environ") for pid in own))
        for pid in processes():
            self.assert_hidden(read(pid, "cmdline"), f"command line of {pid}")
            if int(pid) not in own:
                self.assert_hidden(read(pid, "environ"), f"environment of {pid}")
        for pid in exporter.workers():
            if str(pid) not in test_worker:
                self.assertFalse(memory_contains(pid, PASSWORD.encode()), "memory of another worker")
        thread.join()
        answers.append(running[0])
        self.assertEqual(value(running[0].metrics(), "iperf3_up"), 1, exporter.log)
        for module in ("wrong_password", "wrong_key"):
            answers.append(exporter.probe(module=module, port=server.port, scrape_timeout=60))
        answers.append(exporter.probe(module="right", period="x"))
        answers += [exporter.get(path) for path in ("/config", "/", "/metrics", "/lock-status", "/health")]
        answers.append(exporter.request("POST", "/-/reload"))
        for answer in answers:
            self.assert_hidden(answer.body, "an answer")
        self.assert_hidden(exporter.log, "the log")
        # After the test not even its worker has it.
        exporter.wait_until_idle()
        for pid in exporter.workers():
            for secret in (PASSWORD, WRONG):
                self.assertFalse(memory_contains(pid, secret.encode()), f"memory of worker {pid}")
        self.assertTrue(memory_contains(exporter.pid, PASSWORD.encode()), "the search finds it in the supervisor")

    def test_errors_in_the_file_do_not_show_it(self):
        exporter = self.enterContext(Exporter(self.files.exporter_flag, "--log.level=debug"))
        good = self.files.config.read_text()
        for wrong in (good.replace("password_file: wrong", "password_file: other.pub"), good.replace("server.pub", "server.pem"),
                      good.replace("server.pub", "password"), good.replace("other.pub", "users")):
            self.files.config.write_text(wrong)
            answer = exporter.request("POST", "/-/reload")
            self.assertEqual(answer.status, 500)
            self.assert_hidden(answer.body, "the answer")
            self.assertNotIn("BEGIN", answer.text.replace("-----BEGIN PUBLIC KEY-----", "").replace('"BEGIN PUBLIC KEY"', ""))
        self.assert_hidden(exporter.log, "the log")


if __name__ == "__main__":
    unittest.main()
