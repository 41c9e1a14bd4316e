#!/usr/bin/env python3
"""Runs `make test` in another release of Debian, with the command from the README.

    tests/releases/run.py RELEASE [VARIABLE=VALUE...]     RELEASE such as trixie, variables of the Makefile

The root directory is made with debootstrap and removed at the end. It has its own processes, mounts and /dev/shm, but the
network and the kernel of this host, and a copy of this source directory. build/RELEASE keeps the downloaded packages and
what ccache compiled, for the next run. Needs root.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(SOURCE / "tests"), str(SOURCE / "tests/e2e")]
import harness  # noqa: E402  (the path is set above)
from debian_root import make_root  # noqa: E402

# In namespaces of its own, so that all processes and mounts end with it: $0 is the root, $1 the cache.
ENTER = """
set -e
mount --bind "$0" "$0"  # a root that is no mount has no propagation to change
cd "$0"
mkdir ccache
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o nosuid,nodev,mode=1777,size=1g shm dev/shm
mount --bind "$1/archives" var/cache/apt/archives
mount --bind "$1/ccache" ccache
# Not chroot: nsenter, which tests use, leaves it.
mkdir host
pivot_root . host
umount -l host
rmdir host
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CCACHE_DIR=/ccache sh -c "cd /source && $2"
"""
CLOSING_LINE = re.compile(r"\d+% tests passed, .*")  # of ctest


def test_command():
    """The README's command that runs the tests."""
    readme = (SOURCE / "README.md").read_text(encoding="utf-8")
    return re.search(r"^ *(apt-get update && .*make test)$", readme, re.MULTILINE).group(1)


def main(release, *variables):
    if os.getuid() != 0:
        sys.exit("needs root")
    cache = SOURCE / "build" / release
    for name in ("base", "archives/partial", "ccache"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    closing_line = "no tests ran"
    with tempfile.TemporaryDirectory(prefix="exporter-root-", dir="/var/tmp") as directory:
        harness.CLEANUP.add(["rm", "-rf", "--one-file-system", directory])
        root = f"{directory}/root"  # the temporary directory itself is closed to the users that tests change to
        print(f"Installing {release} with debootstrap", flush=True)
        make_root(root, "ca-certificates", release, cache / "base")
        shutil.copytree(SOURCE, f"{root}/source", symlinks=True,
                        ignore=lambda directory, _: ["build"] if directory == str(SOURCE) else [])
        command = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", ENTER, root, cache,
                   " ".join([test_command(), *variables])]
        process = harness.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace")
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                found = CLOSING_LINE.match(line)
                if found:
                    closing_line = found.group()
            status = process.wait()
        finally:  # an interrupted run
            process.kill()
            process.wait()
    print(f"{release}: {closing_line}")
    return 1 if status != 0 or closing_line == "no tests ran" else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
