"""What is in monitoring/ is valid: promtool takes the configurations and the rules and runs the rules' unit tests,
every alert has one and is documented, and the Kubernetes objects are what they claim."""

import json
import pathlib
import re
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MONITORING = ROOT / "monitoring"
RULES = MONITORING / "rules/iperf3_exporter.yml"
RULE_TESTS = ROOT / "tests/monitoring/rules.yml"


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)


class PromtoolTest(unittest.TestCase):
    def assert_accepted(self, *arguments):
        result = promtool(*arguments)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)

    def test_configurations(self):
        files = sorted((MONITORING / "prometheus").glob("*.yml"))
        self.assertGreaterEqual(len(files), 2)
        for file in files:
            self.assert_accepted("check", "config", file)

    def test_rules(self):
        self.assert_accepted("check", "rules", RULES)
        self.assert_accepted("test", "rules", RULE_TESTS)

    def test_every_alert_is_tested_and_documented(self):
        alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
        tests, operations = RULE_TESTS.read_text(), (ROOT / "docs/OPERATIONS.md").read_text()
        for alert in alerts:
            self.assertIn(f"alertname: {alert}\n", tests)
            self.assertIn(f"`{alert}`", operations)
        self.assertEqual(set(alerts), set(re.findall(r"^\| `(Iperf3\w+)`", operations, re.MULTILINE)))


class DashboardTest(unittest.TestCase):
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


class KubernetesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = {}
        for file in sorted((MONITORING / "kubernetes").glob("*.yml")):
            for thing in yaml.safe_load_all(file.read_text()):
                cls.objects[thing["kind"]] = thing

    def test_kinds_and_versions(self):
        self.assertEqual({"DaemonSet": "apps/v1", "Service": "v1", "ServiceMonitor": "monitoring.coreos.com/v1",
                          "Probe": "monitoring.coreos.com/v1"},
                         {kind: thing["apiVersion"] for kind, thing in self.objects.items()})

    def test_selectors_find_their_objects(self):
        daemons, service = self.objects["DaemonSet"], self.objects["Service"]
        pods = daemons["spec"]["template"]["metadata"]["labels"]
        for selector in (daemons["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
            self.assertLessEqual(selector.items(), pods.items())
        monitor = self.objects["ServiceMonitor"]["spec"]
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())

    def test_named_ports_exist(self):
        containers = self.objects["DaemonSet"]["spec"]["template"]["spec"]["containers"]
        container_ports = {port["name"] for container in containers for port in container.get("ports", ())}
        service_ports = {port["name"] for port in self.objects["Service"]["spec"]["ports"]}
        for port in self.objects["Service"]["spec"]["ports"]:
            self.assertIn(port["targetPort"], container_ports)
        for endpoint in self.objects["ServiceMonitor"]["spec"]["endpoints"]:
            self.assertIn(endpoint["port"], service_ports)
        for container in containers:
            for probe in ("livenessProbe", "readinessProbe"):
                if probe in container:
                    self.assertIn(container[probe]["httpGet"]["port"], container_ports)

    def test_exporter_has_no_rights(self):
        exporter = next(c for c in self.objects["DaemonSet"]["spec"]["template"]["spec"]["containers"]
                        if c["name"] == "exporter")
        context = exporter["securityContext"]
        self.assertTrue(context["readOnlyRootFilesystem"] and context["runAsNonRoot"])
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertEqual(["ALL"], context["capabilities"]["drop"])


if __name__ == "__main__":
    unittest.main()
