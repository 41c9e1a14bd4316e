"""The instructions for TLS in docs/OPERATIONS.md, followed literally: the exporter, curl and a real Prometheus accept
what the commands create, and nobody is accepted without a client certificate."""

import pathlib
import re
import subprocess
import unittest

import yaml

import harness
from harness import Exporter, wait_until
from prometheus_test import Prometheus

OPERATIONS = pathlib.Path(__file__).resolve().parents[2] / "docs/OPERATIONS.md"
NAME = "exporter.example.org"


def blocks():
    """(language, text) of the section's blocks, in their order."""
    text = OPERATIONS.read_text()
    section = text[text.index("\n## TLS\n"):].split("\n## ")[1]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


class TlsHowToTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        (_, commands), (_, cls.web), (_, scrape), (_, cls.curl) = blocks()
        cls.directory = pathlib.Path(cls.enterClassContext(harness.temporary_directory()))
        subprocess.run(["sh", "-euc", commands], cwd=cls.directory, check=True, capture_output=True)
        (cls.directory / "web.yml").write_text(cls.web)
        cls.scrape = yaml.safe_load(scrape)
        cls.exporter = cls.enterClassContext(Exporter(f"--web.config.file={cls.directory}/web.yml"))

    def run_curl(self, command):
        """The HTTP status, after the name and the port were replaced by those of this test."""
        words = command.replace(f"{NAME}:9579", f"{NAME}:{self.exporter.port}").split()
        return subprocess.run([*words, "--resolve", f"{NAME}:{self.exporter.port}:127.0.0.1", "-sS", "-o", "/dev/null", "-w",
                               "%{http_code}", "--max-time", "30"], cwd=self.directory, capture_output=True, text=True).stdout

    def test_curl_is_accepted_with_its_certificate_only(self):
        self.assertEqual("200", self.run_curl(self.curl))
        self.assertEqual("000", self.run_curl(re.sub(r"--cert \S+ --key \S+", "", self.curl)))
        self.assertEqual("000", self.run_curl(self.curl.replace("--cacert ca.crt", "")))

    def test_prometheus_is_accepted(self):
        for key in ("ca_file", "cert_file", "key_file"):
            self.scrape["tls_config"][key] = str(self.directory / self.scrape["tls_config"][key])
        self.assertEqual(NAME, self.scrape["tls_config"]["server_name"])
        job = {"job_name": "iperf3_exporter", "static_configs": [{"targets": [f"127.0.0.1:{self.exporter.port}"]}],
               "scrape_interval": "1s", **self.scrape}
        prometheus = Prometheus(self.directory, yaml.safe_dump({"scrape_configs": [job]}))
        self.addCleanup(prometheus.close)
        wait_until(lambda: prometheus.query("up == 1"), "a scrape over TLS")


if __name__ == "__main__":
    unittest.main(verbosity=2)
