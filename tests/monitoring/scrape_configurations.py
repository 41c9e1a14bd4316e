"""The scrape configurations that are shipped, as Prometheus would read them."""

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MONITORING = ROOT / "monitoring"
# The name of the job of the exporters' own metrics, as the rules know it.
EXPORTER_JOB = re.compile(r"^iperf3[-_]exporter$")
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(duration):
    """Of 15s, 2m and so on."""
    return int(duration[:-1]) * UNITS[duration[-1]]


def from_kubernetes(objects, addresses):
    """What the Prometheus Operator makes of ServiceMonitor and Probe: a job for each endpoint, with `addresses` in
    place of the pods (https://prometheus-operator.dev/docs/api-reference/api/)."""
    for thing in objects:
        spec = thing["spec"]
        if thing["kind"] == "ServiceMonitor":
            for number, endpoint in enumerate(spec["endpoints"]):
                relabelings = [{"target_label": "job", "replacement": thing["metadata"]["name"]}]
                relabelings += [rename_keys(each) for each in endpoint.get("relabelings", ())]
                yield {
                    "job_name": f"serviceMonitor/{thing['metadata']['name']}/{number}",
                    "metrics_path": endpoint["path"],
                    "scrape_interval": endpoint["interval"],
                    "scrape_timeout": endpoint.get("scrapeTimeout", "10s"),
                    "params": endpoint.get("params", {}),
                    "static_configs": [{"targets": [address], "labels": {"__meta_kubernetes_pod_node_name": f"node-{i}"}}
                                       for i, address in enumerate(addresses)],
                    "relabel_configs": relabelings,
                }
        elif thing["kind"] == "Probe":
            yield {
                "job_name": spec["jobName"],
                "metrics_path": spec["prober"]["path"],
                "scrape_interval": spec["interval"],
                "scrape_timeout": spec["scrapeTimeout"],
                "static_configs": [{"targets": spec["targets"]["staticConfig"]["static"]}],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": spec["prober"]["url"]},
                ],
            }


def rename_keys(relabeling):
    return {re.sub(r"[A-Z]", lambda match: "_" + match.group().lower(), key): value
            for key, value in relabeling.items()}


def kubernetes_objects():
    for file in sorted((MONITORING / "kubernetes").glob("*.yml")):
        yield from yaml.safe_load_all(file.read_text())


def readme_configuration():
    text = (ROOT / "README.md").read_text()
    return yaml.safe_load(re.search(r"```yaml\n(scrape_configs:.*?)```", text, re.DOTALL).group(1))


def prometheus_configurations(pods=("10.0.0.11:9579", "10.0.0.12:9579")):
    """{name: configuration}, with `global` where the file has one. `pods` are the addresses in Kubernetes."""
    configurations = {file.name: yaml.safe_load(file.read_text())
                      for file in sorted((MONITORING / "prometheus").glob("*.yml"))}
    configurations["README.md"] = readme_configuration()
    configurations["kubernetes"] = {
        "scrape_configs": list(from_kubernetes(kubernetes_objects(), pods))}
    return configurations


def job_label(config):
    """The label `job` of what `config` scrapes: its own name, or what relabelling makes of it."""
    names = [each["replacement"] for each in config.get("relabel_configs", ()) if each.get("target_label") == "job"]
    return names[-1] if names else config["job_name"]


def scrape_configurations():
    """The name of each configuration, and of each of its jobs name, path and interval in seconds."""
    for name, configuration in prometheus_configurations().items():
        default = configuration.get("global", {}).get("scrape_interval", "1m")
        yield {"name": name, "jobs": [
            {"name": job_label(config), "path": config.get("metrics_path", "/metrics"),
             "interval": seconds(config.get("scrape_interval", default))}
            for config in configuration["scrape_configs"]]}
