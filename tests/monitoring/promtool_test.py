"""What is in monitoring/ is valid: promtool takes the configurations and the rules and runs the rules' unit tests,
every alert has one and is documented, and the Kubernetes objects are what they claim."""

import ipaddress
import json
import re
import subprocess
import tempfile
import unittest

import yaml

from scrape_configurations import MONITORING, ROOT, kubernetes_objects

RULES = MONITORING / "rules/iperf3_exporter.yml"
RULE_TESTS = ROOT / "tests/monitoring/rules.yml"


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)


class PromtoolTestCase(unittest.TestCase):
    def assert_accepted(self, *arguments):
        result = promtool(*arguments)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)


class PromtoolTest(PromtoolTestCase):
    def test_configurations(self):
        files = sorted((MONITORING / "prometheus").glob("*.yml"))
        self.assertGreaterEqual(len(files), 2)
        for file in files:
            self.assert_accepted("check", "config", file)
            self.assertIn("../rules/iperf3_exporter.yml", yaml.safe_load(file.read_text())["rule_files"], file)

    def test_rules(self):
        for file in sorted((MONITORING / "rules").glob("*.yml")):
            self.assert_accepted("check", "rules", file)
        self.assert_accepted("test", "rules", RULE_TESTS)

    def test_every_alert_is_tested_and_documented(self):
        alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
        tests, operations = RULE_TESTS.read_text(), (ROOT / "docs/OPERATIONS.md").read_text()
        for alert in alerts:
            self.assertIn(f"alertname: {alert}\n", tests)
            self.assertIn(f"`{alert}`", operations)
        self.assertEqual(set(alerts), set(re.findall(r"^\| `(Iperf3\w+)`", operations, re.MULTILINE)))


class DashboardTest(PromtoolTestCase):
    def test_panels_have_ids_places_and_queries(self):
        dashboard = json.loads((MONITORING / "grafana/iperf3_exporter.json").read_text())
        panels = dashboard["panels"]
        self.assertEqual(len(panels), len({panel["id"] for panel in panels}))
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, f"{panel['title']} lies over another panel")
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            taken |= cells
            if panel["type"] != "row":
                self.assertTrue(panel["targets"], panel["title"])

    def test_a_target_with_a_list_of_ports_is_one_series(self):
        dashboard = json.loads((MONITORING / "grafana/iperf3_exporter.json").read_text())
        queries = [query["expr"] for panel in dashboard["panels"] for query in panel.get("targets", ())
                   if "$target" in query["expr"]]
        self.assertGreater(len(queries), 10)
        tests = []
        for query in queries:
            name, selectors = re.search(r"(iperf3_\w+)\{(.*?)\}", query).groups()
            labels = ['job="iperf3"', 'target="a"', 'test="own"', *re.findall(r'\w+="\w+"', selectors)]
            tests.append({"interval": "5m", "input_series": [
                {"series": f"{name}{{{', '.join((*labels, port))}}}", "values": values}
                for port, values in (('port="5201"', "1 stale 1 stale 1"), ('port="5202"', "stale 1 stale 1 stale"))],
                "promql_expr_test": [{
                    "expr": f"count({query})".replace("$__interval", "15m").replace("$job", ".*").replace("$target", ".*"),
                    "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": 1}]}]})
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"tests": tests}, file)
            file.flush()
            self.assert_accepted("test", "rules", file.name)


class KubernetesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = list(kubernetes_objects())

    def of_kind(self, kind):
        """{name: object}"""
        return {thing["metadata"]["name"]: thing for thing in self.objects if thing["kind"] == kind}

    def workloads(self):
        """{name: the template of its pods}"""
        return {name: thing["spec"]["template"] for kind in ("DaemonSet", "Deployment")
                for name, thing in self.of_kind(kind).items()}

    def exporter_of(self, template):
        return next(c for c in template["spec"]["containers"] if c["name"] == "exporter")

    def test_kinds_and_versions(self):
        self.assertEqual({("DaemonSet", "apps/v1"), ("Deployment", "apps/v1"), ("Service", "v1"),
                          ("ServiceMonitor", "monitoring.coreos.com/v1"), ("Probe", "monitoring.coreos.com/v1")},
                         {(thing["kind"], thing["apiVersion"]) for thing in self.objects})

    def test_selectors_find_their_objects(self):
        services, workloads = self.of_kind("Service"), self.workloads()
        self.assertEqual(services.keys(), workloads.keys())
        for name, service in services.items():
            pods = workloads[name]["metadata"]["labels"]
            self.assertLessEqual(service["spec"]["selector"].items(), pods.items())
        for thing in (*self.of_kind("DaemonSet").values(), *self.of_kind("Deployment").values()):
            self.assertLessEqual(thing["spec"]["selector"]["matchLabels"].items(),
                                 thing["spec"]["template"]["metadata"]["labels"].items())
        for name, monitor in self.of_kind("ServiceMonitor").items():
            self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(),
                                 services[name]["metadata"]["labels"].items())

    def test_named_ports_exist(self):
        for name, template in self.workloads().items():
            containers = template["spec"]["containers"]
            container_ports = {port["name"] for container in containers for port in container.get("ports", ())}
            service_ports = self.of_kind("Service")[name]["spec"]["ports"]
            for port in service_ports:
                self.assertIn(port["targetPort"], container_ports)
            for endpoint in self.of_kind("ServiceMonitor").get(name, {"spec": {"endpoints": ()}})["spec"]["endpoints"]:
                self.assertIn(endpoint["port"], {port["name"] for port in service_ports})
            for container in containers:
                for probe in ("livenessProbe", "readinessProbe"):
                    if probe in container:
                        self.assertIn(container[probe]["httpGet"]["port"], container_ports)

    def test_targets_are_allowed_by_the_exporter_that_is_asked(self):
        asked = [(name, target) for name, monitor in self.of_kind("ServiceMonitor").items()
                 for endpoint in monitor["spec"]["endpoints"] for target in endpoint.get("params", {}).get("target", ())]
        asked += [(probe["spec"]["prober"]["url"].rsplit(":", 1)[0], target) for probe in self.of_kind("Probe").values()
                  for target in probe["spec"]["targets"]["staticConfig"]["static"]]
        self.assertGreaterEqual(len(asked), 4)
        for name, target in asked:
            rules = [argument.partition("=")[2] for argument in self.exporter_of(self.workloads()[name])["args"]
                     if argument.startswith("--probe.allow-target=")]
            networks = [ipaddress.ip_network(rule) for rule in rules if "/" in rule]
            self.assertTrue(target in rules or any(ipaddress.ip_address(target) in network for network in networks),
                            f"{name} refuses {target}")

    def test_exporters_have_no_rights(self):
        for template in self.workloads().values():
            context = self.exporter_of(template)["securityContext"]
            self.assertTrue(context["readOnlyRootFilesystem"] and context["runAsNonRoot"])
            self.assertFalse(context["allowPrivilegeEscalation"])
            self.assertEqual(["ALL"], context["capabilities"]["drop"])


if __name__ == "__main__":
    unittest.main()
