"""Modules of --config.file in the real programs: what a URL may ask for, ports, reloads."""

import contextlib
import itertools
import pathlib
import re
import subprocess
import threading
import time
import unittest

from harness import (EXPORTER, IPERF3, Exporter, Iperf3Server, free_port, in_background, reason, start, temporary_directory,
                     value, wait_until)

RELOADS = 1000
PROBES = 12


class ConfigFile:
    def __init__(self, test, text):
        self.path = pathlib.Path(test.enterContext(temporary_directory())) / "config.yml"
        self.write(text)

    def write(self, text):
        self.path.write_text(text, encoding="utf-8")

    @property
    def flag(self):
        return f"--config.file={self.path}"


@contextlib.contextmanager
def busy(server):
    """A client of its own occupies the server."""
    client = start([IPERF3, "-c", "127.0.0.1", "-p", str(server.port), "-t", "600", "-b", "10K"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: server.connections() >= 2, "the server is busy")
        yield
    finally:
        client.kill()
        client.wait()


def reloads_succeeded(exporter):
    metrics = exporter.get("/metrics").metrics()
    return {file: value(metrics, "iperf3_exporter_config_last_reload_successful", file=file) for file in ("web", "config")}


class Probes(unittest.TestCase):
    def test_a_module_gives_the_parameters(self):
        server = self.enterContext(Iperf3Server())
        config = ConfigFile(self, f"modules: {{m: {{reverse_mode: true, period: 1s, port: {server.port}, override: [parallel]}}}}")
        exporter = self.enterContext(Exporter(config.flag, "--probe.require-module"))
        samples = exporter.probe(module="m", parallel=2).metrics()
        self.assertEqual(value(samples, "iperf3_up", port=str(server.port)), 1, exporter.log)
        self.assertEqual(value(samples, "iperf3_streams"), 2)
        self.assertGreater(value(samples, "iperf3_bandwidth_download_mbps"), 0)
        for query, words in (({}, "'module' parameter must be specified (--probe.require-module)"),
                             ({"module": "n"}, "'module' parameter must be the name of a module"),
                             ({"module": "m", "period": "9s"}, "'period' parameter must not be given with module \"m\", which lets "
                              "a URL give only target, max_age, parallel")):
            answer = exporter.probe(**query)
            self.assertEqual((answer.status, answer.text[:len(words)]), (400, words))
        refused = [line for line in exporter.log.splitlines() if "probe refused" in line]
        self.assertEqual([line for line in refused if " target=" not in line], [])

    def test_tries_each_port_until_one_is_free(self):
        servers = [self.enterContext(Iperf3Server()) for _ in range(3)]
        exporter = self.enterContext(Exporter("--probe.retries=0"))
        ports = ",".join(str(server.port) for server in servers)
        with busy(servers[0]), busy(servers[1]):
            attempts = set()
            for _ in range(12):
                samples = exporter.probe(port=ports, period="1s", bitrate="1M", scrape_timeout=30).metrics()
                self.assertEqual(value(samples, "iperf3_up", port=str(servers[2].port)), 1, exporter.log)
                attempts.add(value(samples, "iperf3_probe_attempts"))
            # From a random port on: 12 times the same has a probability of 1e-5.
            self.assertGreater(len(attempts), 1)
            self.assertLessEqual(attempts, {1, 2, 3})
            with busy(servers[2]):
                samples = exporter.probe(port=ports, period="1s", scrape_timeout=30).metrics()
                self.assertEqual((reason(samples), value(samples, "iperf3_probe_attempts")), ("server_busy", 3), exporter.log)

    def test_a_refusing_port_is_left_for_the_next_one(self):
        server = self.enterContext(Iperf3Server())
        exporter = self.enterContext(Exporter())
        for _ in range(4):
            samples = exporter.probe(port=f"{free_port()},{server.port}", period="1s", bitrate="1M").metrics()
            self.assertEqual(value(samples, "iperf3_up", port=str(server.port)), 1, exporter.log)

    def test_every_port_must_be_allowed(self):
        exporter = self.enterContext(Exporter("--probe.allow-port=5201-5203"))
        answer = exporter.probe(port="5201,5202,5204")
        self.assertEqual(answer.status, 403)
        self.assertIn("port 5204 is not in --probe.allow-port", answer.text)

    def test_targets_of_a_module(self):
        config = ConfigFile(self, "modules: {m: {allow_targets: [127.0.0.0/30, 192.0.2.0/24]}}")
        exporter = self.enterContext(Exporter(config.flag, "--probe.allow-target=127.0.0.0/29", "--probe.deny-target=127.0.0.2"))
        for target, words in (("127.0.0.5", '127.0.0.5 is not in allow_targets of module "m"'),
                              ("::ffff:127.0.0.5", 'is not in allow_targets of module "m"'),
                              ("127.0.0.2", "--probe.deny-target denies 127.0.0.2"),
                              ("127.0.0.9", "127.0.0.9 is not in --probe.allow-target"),
                              ("192.0.2.1", "192.0.2.1 is not in --probe.allow-target")):
            answer = exporter.probe(target, module="m")
            self.assertEqual(answer.status, 403)
            self.assertIn(words, answer.text)
        samples = exporter.probe("127.0.0.1", port=free_port(), module="m").metrics()
        self.assertEqual(reason(samples), "connection_refused")

    def test_timeout_and_retries_of_a_module(self):
        config = ConfigFile(self, "modules: {m: {timeout: 2s, period: 9s}, r: {retries: 3}}")
        server = self.enterContext(Iperf3Server())
        exporter = self.enterContext(Exporter(config.flag))
        samples = exporter.probe(module="m", port=server.port, bitrate="1M", scrape_timeout=60)
        self.assertEqual(samples.status, 400)  # bitrate is not overridable
        samples = exporter.probe(module="m", port=server.port, scrape_timeout=60).metrics()
        self.assertEqual(value(samples, "iperf3_requested_period_seconds"), 9)
        self.assertEqual(value(samples, "iperf3_test_period_seconds"), 1)
        samples = exporter.probe(module="r", port=free_port(), scrape_timeout=60).metrics()
        self.assertEqual((reason(samples), value(samples, "iperf3_probe_attempts")), ("connection_refused", 4))

    def test_failures_are_logged_with_the_module(self):
        exporter = self.enterContext(Exporter(ConfigFile(self, "modules: {m: {}}").flag))
        exporter.probe(port=free_port(), module="m")
        exporter.wait_for_line('msg="probe failed" reason=connection_refused .* module=m ')


class Files(unittest.TestCase):
    def test_a_bad_file_is_not_started_with(self):
        config = ConfigFile(self, "modules:\n  m: {speed: 1}\n")
        for flags, status in ((["--web.listen-address=127.0.0.1:0"], 2), (["--config.check"], 1)):
            ended = subprocess.run([EXPORTER, config.flag, *flags], capture_output=True, text=True, timeout=60)
            self.assertEqual(ended.returncode, status, ended.stderr)
            self.assertIn(f"{config.path}:2: modules.m: unknown key", ended.stderr)
            self.assertEqual(len(ended.stderr.splitlines()), 1)

    def test_a_module_that_this_iperf3_cannot_run_is_not_started_with(self):
        # gso needs 3.21, which no supported release of Debian has.
        config = ConfigFile(self, "modules:\n  m:\n    udp_mode: true\n    gso: true\n")
        for flags, status in (([], 2), (["--config.check"], 1)):
            exporter = Exporter(config.flag, *flags, wait_ready=False)
            with exporter:
                self.assertEqual(exporter.process.wait(60), status, exporter.log)
                exporter.reader.join()
                self.assertIn(f"{config.path}:4: modules.m.gso: requires an iperf3 that supports --gsro", exporter.log)

    def test_the_shipped_example_is_valid(self):
        example = pathlib.Path(__file__).resolve().parents[2] / "monitoring/modules/modules.yml"
        checked = subprocess.run([EXPORTER, f"--config.file={example}", "--config.check"], capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_require_module_needs_a_file(self):
        ended = subprocess.run([EXPORTER, "--probe.require-module"], capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, 2)
        self.assertIn("--probe.require-module", ended.stderr)
        self.assertIn("--config.file", ended.stderr)

    def test_the_page_shows_what_is_in_effect(self):
        config = ConfigFile(self, "modules: {m: {period: 7s, override: [parallel]}}")
        exporter = self.enterContext(Exporter(config.flag, "--probe.max-parallel=9", "--probe.retries=4"))
        page = exporter.get("/config").text
        for line in ("  default:", "  m:", "    period: 7s", "    omit: 0s", "      parallel: 9", "    retries: 4"):
            self.assertIn(line + "\n", page)
        # It is a configuration file.
        config.write(page)
        self.assertEqual(exporter.request("POST", "/-/reload").status, 200)
        self.assertEqual(exporter.get("/config").text, page)

    def test_a_reload_takes_both_files_or_none(self):
        config = ConfigFile(self, "modules: {a: {}}")
        web = ConfigFile(self, "http_server_config: {headers: {X-Frame-Options: deny}}")
        exporter = self.enterContext(Exporter(config.flag, f"--web.config.file={web.path}"))

        def state():
            page = exporter.get("/config")
            return page.headers["x-frame-options"], re.findall(r"^  (\w+):$", page.text, re.MULTILINE)

        self.assertEqual(state(), ("deny", ["default", "a"]))
        config.write("modules: {b: {speed: 1}}")
        answer = exporter.request("POST", "/-/reload")
        self.assertEqual(answer.status, 500)
        self.assertIn("config.yml:1: modules.b: unknown key", answer.text)
        self.assertEqual(state(), ("deny", ["default", "a"]))
        self.assertEqual(reloads_succeeded(exporter), {"web": 0, "config": 0})
        config.write("modules: {b: {}}")
        web.write("nonsense: 1")
        answer = exporter.request("POST", "/-/reload")
        self.assertEqual(answer.status, 500)
        self.assertIn("nonsense", answer.text)
        self.assertEqual(state(), ("deny", ["default", "a"]))
        self.assertEqual(reloads_succeeded(exporter), {"web": 0, "config": 0})
        web.write("http_server_config: {headers: {X-Frame-Options: sameorigin}}")
        config.write("modules: {b: {speed: 1}}")
        self.assertEqual(exporter.request("POST", "/-/reload").status, 500)
        self.assertEqual(reloads_succeeded(exporter), {"web": 0, "config": 0})
        self.assertEqual(state(), ("deny", ["default", "a"]))
        config.write("modules: {b: {}}")
        self.assertEqual(exporter.request("POST", "/-/reload").status, 200)
        self.assertEqual(state(), ("sameorigin", ["default", "b"]))
        self.assertEqual(reloads_succeeded(exporter), {"web": 1, "config": 1})

    def test_a_reload_that_opens_a_module_says_so(self):
        closed = "modules: {a: {allow_targets: [127.0.0.0/8]}}"
        warning = 'level=warn msg="every target is allowed'
        config = ConfigFile(self, closed)
        exporter = self.enterContext(Exporter(config.flag, "--probe.require-module"))
        for text, warnings in ((closed, 0), ("modules: {a: {}}", 1), ("modules: {a: {}, b: {}}", 1), (closed, 1)):
            config.write(text)
            self.assertEqual(exporter.request("POST", "/-/reload").status, 200)
            wait_until(lambda expected=warnings: exporter.log.count(warning) == expected, f"{warnings} warnings")

    def test_a_change_alone_has_no_effect(self):
        config = ConfigFile(self, "modules: {a: {}}")
        web = ConfigFile(self, "http_server_config: {headers: {X-Frame-Options: deny}}")
        exporter = self.enterContext(Exporter(config.flag, f"--web.config.file={web.path}"))
        config.write("modules: {}")
        # Written later, and applied by itself.
        web.write("http_server_config: {headers: {X-Frame-Options: sameorigin}}")
        wait_until(lambda: exporter.get("/health").headers["x-frame-options"] == "sameorigin", "the web configuration is applied")
        self.assertEqual(exporter.probe(module="a", port=free_port()).status, 200)
        exporter.process.send_signal(1)  # SIGHUP
        exporter.wait_for_line("configuration file reloaded")
        self.assertEqual(exporter.probe(module="a", port=free_port()).status, 400)


class ReloadsUnderLoad(unittest.TestCase):
    # Streams and bitrate belong together.
    GOOD = ["modules: {m: {period: 1s, parallel: %d, bitrate: %d}}" % (streams, streams * 100_000) for streams in (1, 2, 3)]
    BAD = ["modules: {m: {period: 1s, parallel: 4, bitrate: nonsense}}", "modules: [", "modules: {m: {override: [target]}}"]

    def test_no_probe_fails_and_none_is_a_mixture(self):
        config = ConfigFile(self, self.GOOD[0])
        servers = [self.enterContext(Iperf3Server("--logfile", "/dev/null")) for _ in range(3)]
        exporter = self.enterContext(Exporter(config.flag, "--lock.scope=none", "--log.level=debug", "--probe.max-queued=99"))
        answers, is_over = [], threading.Event()

        def probe(server):
            while not is_over.is_set():
                answers.append(exporter.probe(module="m", port=server.port, scrape_timeout=60))

        threads = [in_background(lambda server=server: probe(server))[0] for server in servers]
        until = time.monotonic() + 300
        outcomes = []
        for text in itertools.cycle(itertools.chain(*zip(self.GOOD, self.BAD))):
            config.write(text)
            outcomes.append((exporter.request("POST", "/-/reload").status, text in self.GOOD))
            if (len(outcomes) >= RELOADS and len(answers) >= PROBES) or time.monotonic() > until:
                break
        is_over.set()
        for thread in threads:
            thread.join()
        self.assertEqual(set(outcomes), {(200, True), (500, False)})
        self.assertGreaterEqual(len(answers), PROBES)
        for answer in answers:
            self.assertEqual(value(answer.metrics(), "iperf3_up"), 1, answer.text + exporter.log[-4000:])
        commands = re.findall(r'msg="test starts".*command="([^"]*)"', exporter.log)
        self.assertGreaterEqual(len(commands), len(answers))
        for command in commands:
            streams = re.search(r"-P (\d+)", command)
            bitrate = int(re.search(r"-b (\d+)", command).group(1))
            self.assertEqual(bitrate, 100_000 * int(streams.group(1) if streams else 1), command)


if __name__ == "__main__":
    unittest.main()
