"""A real Prometheus scrapes the exporter by the configuration in monitoring/, with addresses and intervals changed;
then every query of the dashboard and every rule is run against the scraped data, and has a result."""

import json
import pathlib
import re
import sys
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "monitoring"))
import scrape_configurations  # noqa: E402
from harness import CountingServer, Exporter, Iperf3Server, free_port, start, temporary_directory, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MONITORING = ROOT / "monitoring"
DASHBOARD = MONITORING / "grafana/iperf3_exporter.json"
# Until every target was scraped twice on a busy machine.
GATHER_SECONDS = 150


def configuration(exporter_port, server_port, server6_port, refusing_port):
    """monitoring/prometheus/prometheus.yml with the addresses of this test, and faster."""
    text = (MONITORING / "prometheus/prometheus.yml").read_text()
    changes = [
        (r"exporter\.example\.org:9579", f"127.0.0.1:{exporter_port}"),
        (r"iperf-a\.example\.org", f"127.0.0.1:{server_port}"),
        (r"iperf-b\.example\.org:5202", f"127.0.0.1:{refusing_port}"),
        (r"\[2001:db8::7\]:5201", f"[::1]:{server6_port}"),
        (r"\.\./rules/", f"{MONITORING}/rules/"),
        (r"period: \[5s\]", "period: [1s]"),
        (r"(scrape_interval|scrape_timeout): 2m", r"\1: 15s"),
        (r"(scrape_interval|evaluation_interval): 1m", r"\1: 2s"),
    ]
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        assert count, f"monitoring/prometheus/prometheus.yml has no {pattern} any more"
    assert "example.org" not in text
    return text


# Bidirectional, so that no probe has an equal test.
OWN_TESTS = """
modules: {{both: {{period: 1s, bitrate: 1M, bidirectional: true}}}}
tests: [{{name: own, target: 127.0.0.1, port: {port}, module: both, every: 20s,
  budget: {{bytes: 100M, per: 1h}}, labels: {{site: here}}}}]
"""


class Prometheus:
    """A server of its own on a free port, its data in a directory of its own."""

    def __init__(self, directory, config):
        self.port = free_port()
        file = pathlib.Path(directory) / "prometheus.yml"
        file.write_text(config)
        self.log = open(pathlib.Path(directory) / "log", "wb")
        self.process = start(
            ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # starting
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except urllib.error.URLError:  # not listening yet
            return None

    def query(self, expression):
        data = self.ask("query", query=expression)
        return data["result"] if data else []

    def wait_for(self, expression):
        """Its result, as soon as there is one: a rate needs two scrapes, a rule an evaluation after them."""
        return wait_until(lambda: self.query(expression), expression)


def dashboard_queries():
    """(panel, query) with the dashboard's variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in (("$__rate_interval", "1m"), ("$__interval", "1m"), ("$scrape_timeout", "120"),
                                ("$job", ".*"), ("$target", ".*"), ("$exporter", ".*")):
                query = query.replace(name, value)
            yield panel["title"], query


class PrometheusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Iperf3Server())
        cls.server6 = cls.enterClassContext(Iperf3Server(address="::1"))
        cls.directory = cls.enterClassContext(temporary_directory())
        file = pathlib.Path(cls.directory) / "config.yml"
        file.write_text(OWN_TESTS.format(port=cls.server.port), encoding="ascii")
        state = cls.enterClassContext(temporary_directory())
        cls.exporter = cls.enterClassContext(Exporter(f"--config.file={file}", f"--state.directory={state}"))
        cls.refusing_port = free_port()
        cls.prometheus = Prometheus(cls.directory, configuration(
            cls.exporter.port, cls.server.port, cls.server6.port, cls.refusing_port))
        cls.addClassCleanup(cls.prometheus.close)
        cls.gather()

    @classmethod
    def gather(cls):
        """Waits until each target answered and the rules were run over that."""
        def answered():
            ups = cls.prometheus.query('count_over_time(iperf3_up[5m])')
            return len(ups) >= 6 and len(cls.prometheus.query('target:iperf3_bits_per_second:median7d')) >= 3
        wait_until(answered, "five targets and an own test answered", GATHER_SECONDS)

    def test_scrapes_every_page(self):
        def scraped():
            targets = self.prometheus.ask("targets")["activeTargets"]
            return targets if "unknown" not in {t["health"] for t in targets} else None
        targets = wait_until(scraped, "every target was scraped")
        self.assertEqual(7, len(targets))
        self.assertEqual([], [t["lastError"] for t in targets if t["lastError"]])
        self.assertEqual({"up"}, {t["health"] for t in targets})

    def test_relabelling_names_target_and_port(self):
        ups = {(s["metric"]["job"], s["metric"]["target"], s["metric"]["port"]): s["value"][1]
               for s in self.prometheus.query('iperf3_up{test=""}')}
        self.assertEqual({
            ("iperf3", "127.0.0.1", str(self.server.port)): "1",
            ("iperf3", "127.0.0.1", str(self.refusing_port)): "0",
            ("iperf3", "[::1]", str(self.server6.port)): "1",
            ("iperf3_download", "127.0.0.1", str(self.server.port)): "1",
            ("iperf3_udp", "127.0.0.1", str(self.server.port)): "1",
        }, ups)

    def test_an_own_test_has_its_labels_and_no_gap(self):
        labels = {"instance": f"127.0.0.1:{self.exporter.port}", "job": "iperf3_results", "test": "own", "target": "127.0.0.1",
                  "port": str(self.server.port), "module": "both", "site": "here"}
        (up,) = self.prometheus.wait_for('iperf3_up{test="own"}')
        self.assertEqual(({"__name__": "iperf3_up", **labels}, "1"), (up["metric"], up["value"][1]))
        (runs,) = self.prometheus.wait_for('iperf3_runs_total{result="success"} > 0')
        self.assertEqual({"__name__": "iperf3_runs_total", **labels, "result": "success"}, runs["metric"])
        # It does not vanish between the runs.
        time.sleep(20)
        (missing,) = self.prometheus.query('count_over_time(up{job="iperf3_results"}[20s]) - on (job, instance) '
                                           'count_over_time(iperf3_up{test="own"}[20s])')
        self.assertEqual("0", missing["value"][1])

    def test_every_query_of_the_dashboard_gives_something(self):
        queries = list(dashboard_queries())
        self.assertGreater(len(queries), 25)
        for panel, query in queries:
            with self.subTest(panel=panel, query=query):
                self.prometheus.wait_for(query)

    def test_variables_of_the_dashboard_have_values(self):
        dashboard = json.loads(DASHBOARD.read_text())
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "query":
                continue
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            with self.subTest(variable=variable["name"]):
                found = self.prometheus.wait_for(series.replace("$job", ".*"))
                self.assertTrue(all(label in s["metric"] for s in found) and found)

    def test_rules_are_evaluated(self):
        rules = [rule for group in self.prometheus.ask("rules")["groups"] for rule in group["rules"]]
        self.assertGreaterEqual(len(rules), 20)
        self.assertEqual([], [(r["name"], r["lastError"]) for r in rules if r.get("lastError")])
        for rule in rules:
            # The last one looks back half an hour.
            if rule["type"] == "recording" and rule["name"] != "test:iperf3_next_run_timestamp_seconds:past":
                self.prometheus.wait_for(rule["name"])

    def test_metrics_named_by_rules_exist(self):
        # An alert whose metric is misspelt is silent for ever: ask for each without its condition.
        text = (MONITORING / "rules/iperf3_exporter.yml").read_text()
        for name in sorted(set(re.findall(r"\b(?<!:)(iperf3_[a-z0-9_]+)\b(?![:\"])", text))):
            # Not the names of groups.
            if name not in ("iperf3_exporter", "iperf3_recording", "iperf3_targets", "iperf3_own_tests"):
                with self.subTest(metric=name):
                    self.prometheus.wait_for(f"last_over_time({name}[5m])")


SHARED = """
global: {{external_labels: {{replica: {replica}}}}}
scrape_configs:
  - job_name: iperf3
    metrics_path: /probe
    params: {{target: ['127.0.0.1:{server_port}'], period: [1s], max_age: [4s]}}
    scrape_interval: 6s
    scrape_timeout: 6s
    static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]
"""


class TwoServersTest(unittest.TestCase):
    """Two Prometheus servers with max_age, which scrape at different times of the interval."""

    SCRAPES = 4

    def test_two_servers_cause_one_test_in_an_interval(self):
        directory = self.enterContext(temporary_directory())
        server = self.enterContext(CountingServer(directory))
        exporter = self.enterContext(Exporter())
        both = []
        for replica in ("a", "b"):
            both.append(Prometheus(self.enterContext(temporary_directory()), SHARED.format(
                replica=replica, server_port=server.port, exporter_port=exporter.port)))
            self.addCleanup(both[-1].close)

        def received(prometheus):
            """A value for each scrape. No two tests transfer the same number of bytes."""
            series = prometheus.query("iperf3_received_bytes[5m]")
            return [value for _, value in series[0]["values"]] if series else []
        wait_until(lambda: all(len(received(each)) >= self.SCRAPES for each in both),
                   f"{self.SCRAPES} scrapes by each", GATHER_SECONDS)
        tests = server.tests()
        first, second = map(received, both)
        # Each server may have had a result that the other one has not asked for yet.
        self.assertLessEqual(len(set(first) ^ set(second)), 2, (first, second))
        self.assertLessEqual(tests, max(len(first), len(second)) + 1, (first, second))
        self.assertNotIn("0", first + second, exporter.log)


class UpTest(unittest.TestCase):
    """Each target of the shipped configurations has its own series `up`. Nothing listens at their addresses here."""

    def test_every_target_has_its_own_series(self):
        configurations = scrape_configurations.prometheus_configurations(["127.0.0.11:1", "127.0.0.12:1"])
        self.assertEqual({"prometheus.yml", "multi-wan.yml", "modules.yml", "README.md", "kubernetes"}, configurations.keys())
        for name, configuration in configurations.items():
            with self.subTest(name), temporary_directory() as directory:
                targets = three_ports_of_one_host(configuration)
                prometheus = Prometheus(directory, yaml.safe_dump(
                    {"global": {"scrape_interval": "1s"}, "scrape_configs": configuration["scrape_configs"]}))
                self.addCleanup(prometheus.close)
                wait_until(lambda: scraped(prometheus, targets), "every target was scraped")
                ups = [series["metric"] for series in prometheus.query("last_over_time(up[5m])")]
                self.assertEqual(targets, len(ups), ups)
                if name == "prometheus.yml":
                    self.assertEqual({"192.0.2.7:5201", "192.0.2.7:5202", "192.0.2.7:5203"},
                                     {metric["instance"] for metric in ups if metric["job"] == "iperf3"})


def three_ports_of_one_host(configuration):
    """Gives each job of tests three servers on one host, and an exporter that does not exist. Returns the number of
    targets."""
    count = 0
    for config in configuration["scrape_configs"]:
        config["scrape_interval"] = config["scrape_timeout"] = "1s"
        for relabeling in config.get("relabel_configs", ()):
            if relabeling.get("target_label") == "__address__":
                relabeling["replacement"] = "127.0.0.1:1"
        for static in config["static_configs"]:
            if not all(target.endswith(":1") for target in static["targets"]):
                metrics = config.get("metrics_path", "/metrics") == "/metrics"
                static["targets"] = ["127.0.0.1:1"] if metrics else [f"192.0.2.7:{5201 + i}" for i in range(3)]
            count += len(static["targets"])
    return count


def scraped(prometheus, count):
    data = prometheus.ask("targets")
    return data and len(data["activeTargets"]) == count and "unknown" not in {
        target["health"] for target in data["activeTargets"]}


if __name__ == "__main__":
    unittest.main()
