"""What `make install` installs is complete: the manual names files that are there, and the links between the
documents work."""

import gzip
import os
import pathlib
import re
import subprocess
import unittest

import harness

BUILD = pathlib.Path(harness.BIN_DIR).parent


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(harness.temporary_directory())
        subprocess.run(["cmake", "--install", BUILD], env={**os.environ, "DESTDIR": directory}, check=True,
                       stdout=subprocess.DEVNULL)
        cls.root = pathlib.Path(directory)
        cache = (BUILD / "CMakeCache.txt").read_text()
        cls.prefix = re.search(r"^CMAKE_INSTALL_PREFIX:PATH=(.*)$", cache, re.MULTILINE).group(1)
        cls.documents = cls.inside(f"{cls.prefix}/share/doc/iperf3-exporter")

    @classmethod
    def inside(cls, path):
        return cls.root / str(path).lstrip("/")

    def test_the_manual_names_files_that_exist(self):
        manual = gzip.decompress(self.inside(f"{self.prefix}/share/man/man8/iperf3_exporter.8.gz").read_bytes())
        text = manual.decode().replace("\\-", "-")
        self.assertNotIn("@", text)
        paths = re.findall(r"^\.IR? (/[\w./-]+)", text[text.index(".SH FILES"):], re.MULTILINE)
        self.assertGreaterEqual(len(paths), 4)
        for path in paths:
            if "NAME" not in path and path != "/dev/shm":
                self.assertTrue(self.inside(path).exists(), path)

    def test_links_between_documents_work(self):
        documents = sorted(self.documents.rglob("*.md"))
        self.assertLessEqual({"README.md", "REFERENCE.md", "OPERATIONS.md", "SECURITY.md"},
                             {document.name for document in documents})
        for document in documents:
            for link in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
                # Packages have the license elsewhere.
                if link != "LICENSE":
                    self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")

    def test_files_that_documents_name_are_installed(self):
        for document in (self.documents / "docs").glob("*.md"):
            for path in re.findall(r"`(monitoring/[\w./-]+)`", document.read_text()):
                self.assertTrue((self.documents / path).exists(), f"{document.name}: {path}")
        self.assertTrue((self.documents / "examples/iperf3-server@.service").exists())

    def test_the_version_names_the_revision(self):
        if subprocess.run(["git", "-C", harness.BIN_DIR, "rev-parse"], capture_output=True).returncode != 0:
            self.skipTest("not built in a git checkout")
        program = self.inside(f"{self.prefix}/bin/iperf3_exporter")
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(version, r"^iperf3_exporter, version [\d.]+ \(revision [0-9a-f]{12}(-dirty)?, ")


if __name__ == "__main__":
    unittest.main(verbosity=2)
