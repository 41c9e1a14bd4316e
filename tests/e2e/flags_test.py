"""What each flag does, seen from outside: one effect each of those that no other test is about."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
import unittest
from unittest import mock

import harness
from harness import Exporter, Iperf3Server, free_port, reason, value, wait_until

ROGUE_WORKER = os.path.join(harness.BIN_DIR, "rogue_worker")


class Bounds(unittest.TestCase):
    """What may be asked for."""

    def test_allow_target(self):
        with Exporter("--probe.allow-target=127.0.0.0/8", "--probe.allow-target=*.example.org") as exporter:
            for target in ("192.0.2.1", "::1", "128.0.0.1"):
                answer = exporter.probe(target=target, port=free_port())
                self.assertEqual((answer.status, answer.text),
                                 (403, f"the target is not allowed: {target} is not in --probe.allow-target\n"))
            allowed = exporter.probe(target="127.0.0.2", port=free_port())
            self.assertEqual(allowed.status, 200)
            self.assertEqual(reason(allowed.metrics()), "connection_refused")
            self.assertEqual(value(exporter.get("/metrics").metrics(), "iperf3_exporter_probes_total",
                                   result="forbidden"), 3)

    def test_deny_target(self):
        """It wins over the allow-list, also for a name that is allowed."""
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        prefix = "the target is not allowed: "
        denies = "--probe.deny-target denies "
        with Exporter("--probe.allow-target=localhost", "--probe.allow-target=127.0.0.0/8",
                      "--probe.deny-target=127.0.0.0/30", "--probe.deny-target=::1") as exporter:
            for target, words in (("127.0.0.1", denies + "127.0.0.1"),
                                  ("::ffff:127.0.0.1", denies + "::ffff:127.0.0.1"),
                                  ("64:ff9b::127.0.0.1", denies + "64:ff9b::127.0.0.1"),
                                  ("2002:7f00:1::1", denies + "2002:7f00:1::1"),
                                  ("0.0.0.0", "0.0.0.0 means this host and is denied whenever "
                                              "--probe.deny-target is set"),
                                  ("localhost", denies + "the address of localhost"),
                                  ("::1%no.such", denies + "::1%no.such")):
                # The source would need a lookup, which would fail.
                for bind in ("", "no-such-source.invalid"):
                    answer = exporter.probe(target=target, port=port, bind=bind)
                    self.assertEqual((answer.status, answer.text), (403, prefix + words + "\n"))
            allowed = exporter.probe(target="127.0.0.4", port=free_port())
            self.assertEqual((allowed.status, reason(allowed.metrics())), (200, "connection_refused"))
        listener.setblocking(False)
        with self.assertRaises(BlockingIOError):  # nobody has connected
            listener.accept()

    def test_allow_port(self):
        port = free_port()
        with Exporter(f"--probe.allow-port={port}", "--probe.allow-port=1-3") as exporter:
            answer = exporter.probe(port=4)
            self.assertEqual((answer.status, answer.text), (403, "the port is not allowed: port 4 is not in --probe.allow-port\n"))
            for allowed in (port, 3):
                answer = exporter.probe(port=allowed)
                self.assertEqual((answer.status, reason(answer.metrics())), (200, "connection_refused"))

    def test_most_of_period_streams_and_bitrate(self):
        bounds = {"period": ("--probe.max-period=2s", "2s", "3s", "'period' parameter must be a duration such as 10s or 1m30s, "
                             "from 0 to 2s, or whole seconds (--probe.max-period=2s), "),
                  "parallel": ("--probe.max-parallel=2", "2", "3", "'parallel' parameter must be an integer from 1 to 2 (--probe.max-parallel=2), "),
                  "bitrate": ("--probe.max-bitrate=1M", "1M", "1001K",
                              "'bitrate' parameter must be at most 1M (--probe.max-bitrate=1M), ")}
        port = free_port()
        for parameter, (flag, most, beyond, words) in bounds.items():
            with self.subTest(flag), Exporter(flag) as exporter:
                refused = exporter.probe(port=port, **{parameter: beyond})
                self.assertEqual(refused.status, 400)
                self.assertTrue(refused.text.startswith(words), refused.text)
                self.assertIn(f'got "{beyond}"', refused.text)
                # Nobody listens there: it was tried.
                tried = exporter.probe(port=port, **{parameter: most})
                self.assertEqual((tried.status, reason(tried.metrics())), (200, "connection_refused"))


class Times(unittest.TestCase):
    """How long a probe may take, seen by what is left of ten seconds that it asks for."""

    def run_period(self, *flags, scrape_timeout=None):
        with Exporter(*flags) as exporter, Iperf3Server() as server:
            samples = exporter.probe(port=server.port, period="10s", bitrate="1M",
                                     scrape_timeout=scrape_timeout).metrics()
            self.assertEqual(value(samples, "iperf3_up"), 1, exporter.log)
            return value(samples, "iperf3_test_period_seconds")

    def test_iperf3_timeout(self):
        self.assertEqual(self.run_period("--iperf3.timeout=2s", scrape_timeout=60), 1)

    def test_default_timeout(self):
        self.assertEqual(self.run_period("--probe.default-timeout=2500ms"), 1)

    def test_timeout_offset(self):
        self.assertEqual(self.run_period("--probe.timeout-offset=8s", scrape_timeout=10), 1)

    def test_an_offset_as_long_as_the_timeout_takes_half_of_it(self):
        self.assertEqual(self.run_period("--probe.timeout-offset=30s", scrape_timeout=4), 1)


class Paths(unittest.TestCase):
    def test_each_path_can_be_set(self):
        with Exporter("--web.telemetry-path=/own", "--web.probe-path=/ask", "--web.results-path=/last") as exporter:
            self.assertEqual(value(exporter.get("/own").metrics(), "iperf3_exporter_probes_in_flight"), 0)
            asked = exporter.get(f"/ask?target=127.0.0.1&port={free_port()}")
            self.assertEqual((asked.status, reason(asked.metrics())), (200, "connection_refused"))
            self.assertEqual(exporter.get("/last").status, 200)
            for path in ("/metrics", "/probe?target=127.0.0.1", "/results"):
                self.assertEqual(exporter.get(path).status, 404, path)
            page = exporter.get("/").text
            self.assertIn('href="own"', page)
            self.assertIn('href="ask?', page)
            self.assertIn('href="last"', page)
            paths = {dict(labels)["path"] for name, labels in exporter.get("/own").metrics()
                     if name == "iperf3_exporter_http_requests_total"}
            self.assertLessEqual({"/own", "/ask", "/last", "other"}, paths)


class Log(unittest.TestCase):
    def test_json_on_every_line_of_every_process(self):
        # Diagnosing is what makes a worker say something at each start.
        with Exporter("--log.format=json", "--log.level=debug", "--sandbox=diagnose", wait_ready=False) as exporter:
            exporter.port = int(exporter.wait_for_line(r'"address":"127\.0\.0\.1:(\d+)"').group(1))
            exporter.wait_until_idle()
            exporter.probe(port=free_port(), **{'unknown "\\é': "x"})
            os.kill(exporter.workers()[0], signal.SIGKILL)
            exporter.wait_for_line("worker replaced")
            self.assertEqual(exporter.stop(), 0)
            exporter.reader.join()
            entries = [json.loads(line) for line in exporter.lines]
        for entry in entries:
            self.assertLessEqual({"ts", "level", "msg"}, set(entry))
            self.assertIn(entry["level"], ("debug", "info", "warn", "error"))
        messages = [entry["msg"] for entry in entries]
        self.assertGreaterEqual(len([m for m in messages if m.startswith("DIAGNOSING")]), 4)
        self.assertIn("shutting down", messages)
        named = [(entry["parameter"], entry["target"], entry["level"]) for entry in entries
                 if entry["msg"] == "unknown parameter ignored"]
        self.assertEqual(named, [('unknown "\\é', "127.0.0.1", "warn")])

    def test_a_client_cannot_flood_the_log_with_names(self):
        with Exporter() as exporter:
            names = [f"a{number}" for number in range(200)]
            for _ in range(2):
                for start in range(0, 200, 50):
                    exporter.probe(port=0, target="", **dict.fromkeys(names[start:start + 50], "x"))
                    exporter.probe(port=1, **dict.fromkeys(names[start:start + 50], "x"))
            self.assertEqual(exporter.stop(), 0)
            exporter.reader.join()
            ignored = [line for line in exporter.lines if "parameter ignored" in line]
        self.assertEqual([name for name in names[:100]],
                         [line.partition("parameter=")[2].split()[0] for line in ignored])


class Refusals(unittest.TestCase):
    def test_the_log_has_the_text_that_the_client_got(self):
        with Exporter("--probe.allow-target=127.0.0.0/8", "--probe.max-queued=0") as exporter, Iperf3Server() as server:
            refused = [exporter.get("/probe?target=a%20b"), exporter.probe(target="192.0.2.1", port=7)]
            running = threading.Thread(
                target=lambda: exporter.probe(port=server.port, period="2s", bitrate="1M"))
            running.start()
            wait_until(exporter.iperf3, "iperf3 runs")
            refused.append(exporter.probe(port=server.port))
            running.join()
            self.assertEqual([400, 403, 503], [answer.status for answer in refused])
            names = ("bad_request", "forbidden", "queue_full")
            targets = ("", "target=192.0.2.1 port=7 ", f"target=127.0.0.1 port={server.port} ")
            for answer, name, target in zip(refused, names, targets):
                line = exporter.wait_for_line(f'level=warn msg="probe refused" reason={name} .*').group(0)
                self.assertRegex(line, rf'reason={name} {re.escape(target)}peer=127\.0\.0\.1:\d+ '
                                       rf'status={answer.status} ')
                self.assertTrue(line.endswith('text="' + answer.text.strip().replace('"', r'\"') + '"'), line)

    def test_only_the_log_names_the_address_and_the_rule(self):
        with Exporter("--probe.deny-target=127.0.0.0/8") as exporter:
            answer = exporter.probe(target="localhost", ip_version="4")
            self.assertEqual((answer.status, answer.text),
                             (403, "the target is not allowed: --probe.deny-target denies the address of localhost\n"))
            exporter.wait_for_line('target=localhost .* detail="127.0.0.1 is denied by --probe.deny-target=127.0.0.0/8"')

    def test_the_log_of_a_bad_request_has_what_was_valid(self):
        for query, fields in (("port=7&period=x", "target=192.0.2.1 port=7 "), ("port=x", "target=192.0.2.1 ")):
            with self.subTest(query), Exporter() as exporter:
                self.assertEqual(exporter.get("/probe?target=192.0.2.1&" + query).status, 400)
                exporter.wait_for_line(f'msg="probe refused" reason=bad_request {fields}peer=')

    def test_lines_of_one_reason_are_limited(self):
        with Exporter() as exporter:
            start = time.monotonic()
            for _ in range(40):
                self.assertEqual(exporter.get("/probe").status, 400)
            seconds = int(time.monotonic() - start) + 1
            self.assertEqual(exporter.probe(port=free_port()).status, 200)
            # The line of another reason is not suppressed, and comes after all of these.
            exporter.wait_for_line('msg="probe failed" reason=connection_refused')
            self.assertIn(exporter.log.count('msg="probe refused"'), range(5, 5 * seconds + 1))
            counted = wait_until(lambda: exporter.get("/probe") and
                                 re.search(r"more_since_last_line=(\d+)", exporter.log), "the others are counted")
            self.assertGreater(int(counted[1]), 0)


class Reloads(unittest.TestCase):
    def test_lines_are_limited_and_a_failure_is_not_suppressed(self):
        with harness.temporary_directory() as directory:
            path = os.path.join(directory, "web.yml")

            def write(text):
                with open(path + ".new", "w", encoding="ascii") as file:
                    file.write(text)
                os.rename(path + ".new", path)

            write("")
            with Exporter(f"--web.config.file={path}") as exporter:
                start = time.monotonic()
                for _ in range(40):
                    self.assertEqual(exporter.request("POST", "/-/reload").status, 200)
                write("x: 1\n")
                answer = exporter.request("POST", "/-/reload")
                self.assertEqual(answer.status, 500)
                exporter.wait_for_line('level=error msg="web configuration not reloaded.*" reason=requested .*detail=".*: unknown key')
                seconds = int(time.monotonic() - start) + 1
                self.assertIn(exporter.log.count('msg="web configuration reloaded"'), range(1, 5 * seconds + 1))


class Command(unittest.TestCase):
    def test_the_log_at_debug_has_the_command_of_each_test(self):
        with Exporter("--log.level=debug") as exporter, Iperf3Server() as server:
            thread = threading.Thread(target=lambda: exporter.probe(
                port=server.port, period="2s", bitrate="1M", reverse_mode="true", bind="127.0.0.1", dscp="ef"))
            thread.start()
            pid = wait_until(exporter.iperf3, "iperf3 runs")[0]
            command = " ".join(word.decode() for word in harness.arguments_of(pid)[:-1])
            thread.join()
            line = exporter.wait_for_line(r'level=debug msg="test starts" target=127\.0\.0\.1 port=\d+ command="(.*)"')
            self.assertEqual(line.group(1), command)
            self.assertEqual(exporter.probe(port=free_port(), period="1s").status, 200)
            self.assertEqual(exporter.log.count('msg="test starts"'), 2)

    def test_it_is_not_logged_otherwise(self):
        with Exporter() as exporter:
            exporter.probe(port=free_port())
            exporter.wait_for_line("probe failed")
            self.assertNotIn("test starts", exporter.log)


class Files(unittest.TestCase):
    def test_nothing_is_written(self):
        with harness.temporary_directory() as directory:
            self.addCleanup(os.chdir, os.getcwd())
            with mock.patch.object(harness, "EXPORTER", os.path.abspath(harness.EXPORTER)):
                os.chdir(directory)
                self.check(directory)

    def check(self, directory):
        for name in ("home", "tmp"):
            os.mkdir(os.path.join(directory, name))
        environment = {**os.environ, "HOME": f"{directory}/home", **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), f"{directory}/tmp")}
        with Exporter(env=environment) as exporter, Iperf3Server() as server:
            thread = threading.Thread(
                target=lambda: exporter.probe(port=server.port, period="1s", bitrate="1M"))
            thread.start()
            wait_until(exporter.iperf3, "iperf3 runs")
            self.assertEqual(files_below(directory), [])
            thread.join()
            self.assertEqual(exporter.stop(), 0)
        self.assertEqual(files_below(directory), [])


def files_below(directory):
    return [os.path.join(at, name) for at, directories, names in os.walk(directory)
            for name in names + [f for f in directories if f not in ("home", "tmp")]]


class Readiness(unittest.TestCase):
    def test_a_kept_connection_is_told_that_it_drains(self):
        with Exporter() as exporter, Iperf3Server() as server, contextlib.closing(exporter.connect()) as kept:
            kept.request("GET", "/ready")
            answer = harness.Response(kept.getresponse())
            self.assertEqual((answer.status, answer.text), (200, "Ready\n"))
            thread = threading.Thread(
                target=lambda: exporter.probe(port=server.port, period="2s", bitrate="1M"))
            thread.start()
            wait_until(exporter.iperf3, "iperf3 runs")
            exporter.process.send_signal(signal.SIGTERM)
            exporter.wait_for_line("shutting down")
            kept.request("GET", "/ready")
            answer = harness.Response(kept.getresponse())
            self.assertEqual((answer.status, answer.text), (503, "shutting down\n"))
            self.assertEqual(answer.headers["connection"], "close")
            with self.assertRaises(ConnectionRefusedError):
                exporter.get("/ready")
            thread.join()
            self.assertEqual(exporter.process.wait(harness.WAIT_SECONDS), 0)

    def test_without_a_worker_health_and_probe_are_503(self):
        with harness.temporary_directory() as directory:
            # Its first job kills it, and when its program is gone none comes after it.
            program = os.path.join(directory, "rogue_worker_crash")
            shutil.copy(ROGUE_WORKER, program)
            with Exporter(f"--worker.path={program}", "--worker.count=1", "--sandbox=best-effort") as exporter:
                self.assertEqual(exporter.get("/health").text, "OK\n")
                os.rename(program, program + ".away")
                self.assertEqual(reason(exporter.probe(port=1).metrics()), "worker_lost")
                wait_until(lambda: exporter.get("/health").status == 503, "ill")
                answer = exporter.get("/health")
                self.assertEqual(answer.status, 503)
                self.assertTrue(answer.text.startswith("no worker is alive"), answer.text)
                answer = exporter.probe(port=1)
                self.assertEqual(answer.status, 503)
                self.assertIn("no worker is alive", answer.text)
                self.assertGreater(int(answer.headers["retry-after"]), 0)
                self.assertEqual(exporter.get("/ready").status, 200)
                os.rename(program + ".away", program)
                wait_until(lambda: exporter.get("/health").status == 200, "well again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
