"""The iperf3 of the other supported Debian release, unpacked beside the installed one.

Debian 12 has iperf3 3.12, Debian 13 has 3.18, and their UDP numbers are wrong in different ways. The packages come from
the mirror that this host's apt uses; nothing is installed.
"""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from debian_packages import Packages  # noqa: E402  (the path is set above)

CACHE = pathlib.Path(__file__).resolve().parent.parent.parent / "build/iperf3_packages"
VERSIONS = {"bookworm": "3.12", "trixie": "3.18"}
# By the installed release: the other one and its packages. A newer iperf3 needs the C library that it was built for and
# what else it loads; an older one runs with the installed libraries.
OTHER_RELEASE = {
    "bookworm": ("trixie", ("iperf3", "libiperf0", "libsctp1", "libssl3t64", "libc6", "libgcc-s1", "zlib1g", "libzstd1")),
    "trixie": ("bookworm", ("iperf3", "libiperf0", "libsctp1")),
}
# Starts a program that sees the other release's directory, $0, laid over its own. `ip netns exec` has made the mount
# namespace in which this happens.
OVERLAY = """
for directory in /usr/lib /usr/bin; do
  mount -t overlay overlay -o "lowerdir=$0$directory:$directory" "$directory" || exit 1
done
exec "$@"
"""


def installed_release():
    for line in pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value
    return None


def launchers(*other):
    """By version, the words that start a program which sees that iperf3: none for the installed one. `other` makes the
    mount namespace for the other one."""
    installed = VERSIONS[installed_release()]
    directory = str(fetch(CACHE))
    return {version: [] if version == installed else [*other, "sh", "-c", OVERLAY, directory]
            for version in VERSIONS.values()}


def fetch(cache):
    """The directory in `cache` with the other release's iperf3; kept for the next run."""
    cache.mkdir(parents=True, exist_ok=True)
    release, packages = OTHER_RELEASE[installed_release()]
    directory = cache / release
    if directory.is_dir():
        return directory
    work = cache / f"{release}.{os.getpid()}"
    try:
        for package in Packages(work, release).download(*packages):
            subprocess.run(["dpkg-deb", "-x", package, work / "root"], check=True)
        (work / "root").rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return directory
