"""Debian packages of any release and architecture, from the mirror that this host's apt uses; nothing is installed."""

import pathlib
import re
import subprocess

from debian_root import source_line


class Packages:
    """apt with state of its own, in the directory `work`, which must not exist."""

    def __init__(self, work: pathlib.Path, release: str, architecture: str | None = None):
        self.work = work
        for part in ("lists/partial", "cache/archives/partial"):
            (work / part).mkdir(parents=True)
        (work / "sources.list").write_text(source_line(release))
        (work / "status").write_text("")
        settings = {"Dir::Etc::SourceList": work / "sources.list", "Dir::Etc::SourceParts": "-",
                    "Dir::State": work, "Dir::State::Lists": work / "lists", "Dir::State::Status": work / "status",
                    "Dir::Cache": work / "cache", "APT::Sandbox::User": "root", "Acquire::Retries": 3}
        if architecture:
            settings |= {"APT::Architecture": architecture, "APT::Architectures": architecture}
        self.options = [f"-o{name}={value}" for name, value in settings.items()]
        self._run("apt-get", "update")

    def _run(self, program: str, *arguments: str) -> str:
        result = subprocess.run([program, "-qq", *self.options, *arguments], cwd=self.work, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"{program} {arguments[0]}: {result.stdout}{result.stderr}")
        return result.stdout

    def download(self, *names: str) -> list[pathlib.Path]:
        """The packages alone."""
        self._run("apt-get", "download", *names)
        return sorted(self.work.glob("*.deb"))

    def download_with_dependencies(self, *names: str) -> list[pathlib.Path]:
        self._run("apt-get", "install", "--yes", "--no-install-recommends", "--download-only", *names)
        return sorted((self.work / "cache/archives").glob("*.deb"))

    def dependency(self, name: str, pattern: str) -> str:
        """The first package that matches among those that package `name` depends on."""
        for line in self._run("apt-cache", "depends", name).splitlines():
            found = re.fullmatch(rf" *Depends: ({pattern})", line)
            if found:
                return found.group(1)
        raise RuntimeError(f"{name} depends on no {pattern}")
