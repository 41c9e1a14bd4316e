"""What the documents say of the program and of this repository is true: flags, metrics, make targets, files."""

import pathlib
import re
import subprocess
import unittest

from harness import EXPORTER

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMPLETION = ROOT / "docs/completion/iperf3_exporter.bash"


def flags_of_the_program():
    text = subprocess.run([EXPORTER, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  --(?:\[no-\])?([a-z0-9.-]+)", text, re.MULTILINE))


def complete(*words):
    """What bash offers for the last of the words."""
    script = f"""
      compopt() {{ :; }}
      source {COMPLETION}
      COMP_WORDS=("$@")
      COMP_CWORD=$(( $# - 1 ))
      _iperf3_exporter
      printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return subprocess.run(["bash", "-c", script, "bash", "iperf3_exporter", *words],
                          capture_output=True, text=True, check=True).stdout.split()


class DocumentationTest(unittest.TestCase):
    def setUp(self):
        self.flags = flags_of_the_program()
        self.assertGreater(len(self.flags), 20)

    def test_reference(self):
        text = (ROOT / "docs/REFERENCE.md").read_text()
        section = text[text.index("## Flags"):text.index("## Paths")]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `--")]
        self.assertEqual(self.flags, {flag for row in rows for flag in re.findall(r"`--([a-z0-9.-]+)`", row)})

    def test_reference_has_the_ranges_of_the_flags(self):
        text = (ROOT / "docs/REFERENCE.md").read_text()
        ranges = 0
        for flag in self.flags - {"help", "version"}:
            message = subprocess.run([EXPORTER, f"--{flag}=?"], capture_output=True, text=True).stderr
            found = re.search(r"expected an integer from (\d+ to \d+)", message)
            if found:
                row = re.search(rf"^\| `--{re.escape(flag)}` .*$", text, re.MULTILINE).group()
                self.assertIn(found.group(1), row)
                ranges += 1
        self.assertGreaterEqual(ranges, 5)

    def test_reference_explains_the_reasons(self):
        text = (ROOT / "docs/REFERENCE.md").read_text()
        section = text[text.index("### Reasons"):].split("\n## ")[0]
        names = (ROOT / "common/iperf3/failure_reason.h").read_text().split("kFailureReasonNames = {")[1].split("}")[0]
        self.assertEqual(sorted(re.findall(r'"(\w+)"', names)), sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)))

    def test_manual(self):
        text = (ROOT / "docs/man/iperf3_exporter.8.in").read_text().replace("\\-", "-")
        entries = re.findall(r"^\.TP\n(\.B.*)$", text, re.MULTILINE)
        self.assertEqual(self.flags, {flag for entry in entries for flag in re.findall(r"--([a-z0-9.-]+)", entry)})

    def test_manual_is_well_formed(self):
        manual = ROOT / "docs/man/iperf3_exporter.8.in"
        result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(manual)],
                                capture_output=True, text=True)
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_bash_completes_flags_and_values(self):
        self.assertEqual(self.flags, {word.strip("-=") for word in complete("--")})
        self.assertEqual(["host", "bind", "target", "none"], complete("--lock.scope", "=", ""))
        self.assertEqual(["best-effort"], complete("--sandbox", "=", "b"))

    def test_zsh_names_the_flags(self):
        text = (ROOT / "docs/completion/_iperf3_exporter").read_text()
        self.assertEqual(self.flags, set(re.findall(r"--([a-z0-9.-]+)=?\[", text)))

    def test_reference_names_the_metrics(self):
        text = (ROOT / "docs/REFERENCE.md").read_text()
        section = text[text.index("## Metrics of a probe"):text.index("## Web configuration")]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        documented = {name for row in rows for name in re.findall(r"`(iperf3_\w+)", row)}
        sources = "".join(path.read_text() for path in (ROOT / "supervisor/exposition").glob("*.cc"))
        self.assertEqual(set(re.findall(r'"(iperf3_\w+)"', sources)), documented)


class RepositoryTest(unittest.TestCase):
    DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".github/SECURITY.md", "docs/OPERATIONS.md",
                 "docs/PERFORMANCE.md", "docs/REFERENCE.md", "docs/SECURITY.md")

    def test_make_targets_exist(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for document in (*self.DOCUMENTS, ".github/workflows/ci.yml", ".ci/run"):
            text = (ROOT / document).read_text()
            for target in re.findall(r"(?:`|\"|^ *(?:- run: )?)make ([a-z-]+)", text, re.MULTILINE):
                self.assertIn(target, targets, document)

    def test_the_workflow_and_contributing_know_the_parts_of_ci(self):
        parts = set(re.findall(r'^part "make ([a-z-]+)', (ROOT / ".ci/run").read_text(), re.MULTILINE))
        listed = re.search(r"part: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text()).group(1)
        self.assertEqual({part.strip(' "').split()[0] for part in listed.split(",")}, parts)
        rows = re.findall(r"^\| (.*?) \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
        targets = {target for command, _ in rows for target in re.findall("`make ([a-z-]+)", command)}
        left_out = set(re.findall("`make ([a-z-]+)`", dict(rows)["`.ci/run`"]))
        # `make test` is the README's command, and `make lint-changed` includes `make style`.
        self.assertEqual(targets - left_out, parts | {"test", "style"})

    def test_links_lead_to_files(self):
        for document in self.DOCUMENTS:
            text = (ROOT / document).read_text()
            for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
                self.assertTrue(((ROOT / document).parent / link).exists(), f"{document}: {link}")

    def test_contributing_names_files_that_exist(self):
        text = (ROOT / "CONTRIBUTING.md").read_text()
        paths = re.findall(r"`((?:\.ci|bench|common|docs|supervisor|systemd|tests|worker)/[a-z0-9_./-]+)`", text)
        self.assertGreater(len(paths), 10)
        for path in paths:
            self.assertTrue((ROOT / path).exists(), path)

    def test_record_has_the_rows_of_the_benchmarks(self):
        rows = subprocess.run([ROOT / "bench/run.py", "--list"], capture_output=True, text=True, check=True).stdout
        text = (ROOT / "docs/PERFORMANCE.md").read_text()
        section = text[text.index("## Record"):].split("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("|")]
        self.assertEqual(rows.splitlines(), [line.split("|")[1].strip() for line in lines[2:]])

    def test_parse_table_agrees_with_the_record(self):
        text = (ROOT / "docs/PERFORMANCE.md").read_text()
        rows = {row[0]: row for row in ([cell.strip() for cell in line.split("|")[1:-1]]
                                        for line in text.splitlines() if line.startswith("|"))}
        for size, report in (("2.7 kB", "3.12, one stream, 1 s"), ("142 kB", "3.12, 128 streams, 1 s"),
                             ("3.3 MB", "3.12, 16 streams, 60 s in tenths")):
            against_nlohmann = rows[f"report of {size} against nlohmann"]
            self.assertEqual(rows[report][-1], against_nlohmann[-1].split()[0], report)
            measured = float(against_nlohmann[1].split()[0].replace(",", ""))
            value, unit = rows[report][2].split()
            self.assertAlmostEqual(measured, float(value) * (1000 if unit == "ms" else 1), delta=0.005 * measured)

    def test_changelog_knows_the_version(self):
        version = re.search(r"^project\(\w+ VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE).group(1)
        headings = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
        self.assertEqual(["Unreleased", version], headings[:2])


if __name__ == "__main__":
    unittest.main()
