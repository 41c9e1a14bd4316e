"""iperf3's authentication between the iperf3 of Debian 12 and of Debian 13, in all pairs.

Needs root; `make test-loss` runs it.
"""

import itertools
import os
import pathlib
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "e2e"))
from authentication_files import AuthenticationFiles  # noqa: E402  (the path is set above)
from harness import Exporter, Iperf3Server, reason, temporary_directory, value  # noqa: E402
import iperf3_packages  # noqa: E402

SERVERS = {"3.12": ("3.12", []), "3.18": ("3.18", []), "3.18 with PKCS#1": ("3.18", ["--use-pkcs1-padding"])}
# Client, server, module: those that agree in the padding. 3.12 knows only PKCS#1, whatever its module says.
ACCEPTED = {
    ("3.12", "3.12", "right"), ("3.12", "3.12", "right_pkcs1"),
    ("3.12", "3.18 with PKCS#1", "right"), ("3.12", "3.18 with PKCS#1", "right_pkcs1"),
    ("3.18", "3.18", "right"),
    ("3.18", "3.12", "right_pkcs1"), ("3.18", "3.18 with PKCS#1", "right_pkcs1"),
}


class AuthenticationBetweenVersions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("laying another release's files over /usr needs root")
        cls.prefix = iperf3_packages.launchers("unshare", "--mount")
        cls.files = AuthenticationFiles(cls.enterClassContext(temporary_directory()))
        cls.exporters = {version: cls.enterClassContext(cls.start_exporter(version)) for version in cls.prefix}
        cls.servers = {name: cls.enterClassContext(Iperf3Server(*cls.files.server_arguments, *arguments, "--logfile", "/dev/null",
                                                                prefix=cls.prefix[version]))
                       for name, (version, arguments) in SERVERS.items()}

    @classmethod
    def start_exporter(cls, version):
        exporter = Exporter(cls.files.exporter_flag, "--probe.retries=5")
        exporter.launcher = cls.prefix[version]
        return exporter

    def test_the_clients_have_the_versions_that_the_table_names(self):
        for version, exporter in self.exporters.items():
            self.assertEqual(value(exporter.get("/metrics").metrics(), "iperf3_exporter_iperf3_info", version=version), 1)

    def test_every_pair(self):
        for client, server, module in itertools.product(self.exporters, self.servers, self.files.MODULES):
            with self.subTest(client=client, server=server, module=module):
                exporter = self.exporters[client]
                samples = exporter.probe(port=self.servers[server].port, module=module, scrape_timeout=60).metrics()
                found = value(samples, "iperf3_up"), reason(samples)
                expected = (1, None) if (client, server, module) in ACCEPTED else (0, "access_denied")
                self.assertEqual(found, expected, exporter.log[-600:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
