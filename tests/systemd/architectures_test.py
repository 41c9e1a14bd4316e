"""The package of the other architecture (`make package ARCH=arm64`) has what this system's has. service_test.py
installs only the latter."""

import pathlib
import re
import subprocess
import tempfile
import unittest

PACKAGES = pathlib.Path(__file__).resolve().parent.parent.parent / "build/package"
PROGRAMS = ("usr/bin/iperf3_exporter", "usr/libexec/iperf3_exporter/iperf3_exporter_worker")
# What file(1) says of a program.
PROCESSORS = {"amd64": "x86-64", "arm64": "ARM aarch64"}


def dpkg_deb(*arguments):
    return subprocess.run(["dpkg-deb", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


class ArchitecturesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        both = [{name: path.with_name(path.name.removesuffix("amd64.deb") + f"{name}.deb") for name in PROCESSORS}
                for path in PACKAGES.glob("*_amd64.deb")]
        both = [packages for packages in both if packages["arm64"].exists()]
        if not both:
            raise unittest.SkipTest("build/package does not have one revision for both architectures")
        cls.packages = max(both, key=lambda packages: packages["amd64"].stat().st_mtime)

    def of_both(self, read):
        return [read(self.packages[name]) for name in PROCESSORS]

    def test_each_names_its_architecture(self):
        self.assertEqual(["amd64", "arm64"], self.of_both(lambda path: dpkg_deb("-f", path, "Architecture").strip()))

    def test_both_depend_on_the_same_packages(self):
        amd64, arm64 = self.of_both(lambda path: re.sub(r" \([^)]*\)", "", dpkg_deb("-f", path, "Depends")))
        self.assertIn("libstdc++6", amd64)
        self.assertEqual(amd64, arm64)

    def test_both_have_the_same_files(self):
        # Without sizes and times.
        amd64, arm64 = self.of_both(lambda path: re.sub(r" +\d+ \S+ \S+ ", " ", dpkg_deb("-c", path)))
        self.assertEqual(amd64, arm64)

    def test_the_programs_are_stripped_and_of_that_architecture(self):
        for name, path in self.packages.items():
            with tempfile.TemporaryDirectory() as directory:
                dpkg_deb("-x", path, directory)
                for program in PROGRAMS:
                    kind = subprocess.run(["file", "-b", f"{directory}/{program}"], capture_output=True, text=True,
                                          check=True).stdout
                    self.assertIn(PROCESSORS[name], kind)
                    self.assertIn(", stripped", kind)


if __name__ == "__main__":
    unittest.main(verbosity=2)
