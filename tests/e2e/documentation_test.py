"""The manual, the reference and the completions name the flags that the program has, and no others."""

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

    def test_manual(self):
        text = (ROOT / "docs/man/iperf3_exporter.8").read_text().replace("\\-", "-")
        entries = re.findall(r"^\.TP\n(\.B.*)$", text, re.MULTILINE)
        self.assertEqual(self.flags, {flag for entry in entries for flag in re.findall(r"--([a-z0-9.-]+)", entry)})

    def test_manual_is_well_formed(self):
        manual = ROOT / "docs/man/iperf3_exporter.8"
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


if __name__ == "__main__":
    unittest.main()
