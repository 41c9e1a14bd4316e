#!/usr/bin/env python3
"""Runs tests on the kernels of Debian, each in a machine that qemu emulates, one after the other.

    tests/kernels/run.py [NAME...]         the machines of that name, or whose names contain it; without one, all
    tests/kernels/run.py smoke [NAME...]   few tests, among them every mode, on the kernels of Debian 12

Prints a line for each test as it ends, and a total. The console of each machine is kept in build/kernels/.
"""

import argparse
import pathlib
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing

import images
from images import CACHE, SOURCE

sys.path.insert(0, str(images.TESTS / "e2e"))
import harness  # noqa: E402  (the path is set above)

# Longer than any test in the machine may take: then it hangs.
MAX_QUIET_SECONDS = 400
PROTOCOL = "TEST "  # begins the lines of guest.py that are for us


class Machine(typing.NamedTuple):
    name: str
    release: str  # of the kernel
    user_land: str
    architecture: str
    package: str
    # Without cmpxchg16b: under qemu 7.2 the allocator of 6.12 was seen to fault behind it, with flags that cannot be.
    cpu: str = "max,-cx16"
    clock: str = ""  # the clock source, if not the kernel's choice


AMD64, ARM64 = ("amd64", "linux-image-amd64"), ("arm64", "linux-image-arm64")
# Plain `max` computes pointer authentication in software, several times slower.
ARM64_MAX = "max,pauth-impdef=on"
MACHINES = (
    # The programs need the C library of Debian 12.
    Machine("amd64-5.10", "bullseye", "bookworm", *AMD64),
    # With hpet and acpi_pm the C library has to ask the kernel for the time.
    Machine("amd64-6.1-hpet", "bookworm", "bookworm", *AMD64, clock="hpet"),
    Machine("amd64-6.12-tsc", "trixie", "trixie", *AMD64, clock="tsc"),
    Machine("amd64-6.12-acpi_pm", "trixie", "trixie", *AMD64, clock="acpi_pm"),
    Machine("arm64-6.1", "bookworm", "bookworm", *ARM64, cpu="cortex-a72"),
    Machine("arm64-6.12", "trixie", "trixie", *ARM64, cpu=ARM64_MAX),
    Machine("arm64-6.12-16k", "trixie", "trixie", "arm64", "linux-image-arm64-16k", cpu=ARM64_MAX),
)
SMOKE = ("amd64-6.1-hpet", "arm64-6.1")

QEMU = {
    "amd64": ("qemu-system-x86_64", "-machine", "q35"),
    "arm64": ("qemu-system-aarch64", "-machine", "virt"),
}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}
BINARIES = {"amd64": SOURCE / "build/dev/bin", "arm64": SOURCE / "build/arm64-dev/bin"}


def command(machine: Machine, tests: str, work: pathlib.Path) -> list[str]:
    kernel = images.kernel(machine.package, machine.release, machine.architecture)
    images.make_initramfs(kernel / "initramfs", work / "initramfs")
    images.programs(BINARIES[machine.architecture], work / "programs")
    arguments = f"{machine.name} {tests} {machine.clock}".strip()
    # On a busy host ticks come late: without tsc=reliable the kernel may leave a clock for that reason, and without
    # no_timer_check give up at boot.
    append = [f"console={CONSOLE[machine.architecture]}", "panic=-1", "quiet", "loglevel=1", "tsc=reliable",
              "no_timer_check", f"SOURCE={SOURCE}", f'ARGUMENTS="{arguments}"']
    if machine.clock:
        append.append(f"clocksource={machine.clock}")
    disks = (images.user_land(machine.user_land, machine.architecture), work / "programs")
    drives = [word for disk in disks for word in ("-drive", f"file={disk},format=raw,if=virtio,snapshot=on")]
    return [*QEMU[machine.architecture], "-accel", "tcg,thread=multi", "-cpu", machine.cpu, "-smp", "2", "-m", "1024",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", *drives,
            "-kernel", str(kernel / "vmlinuz"), "-initrd", str(work / "initramfs"), "-append", " ".join(append)]


class Console:
    """The lines of a process's output, also written to a file."""

    def __init__(self, process: subprocess.Popen, path: pathlib.Path):
        self.process = process
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.thread = threading.Thread(target=self._read, args=(path,))
        self.thread.start()

    def _read(self, path: pathlib.Path):
        with open(path, "wb", buffering=0) as copy:
            for line in self.process.stdout:
                copy.write(line)
                self.lines.put(line.decode(errors="replace").rstrip())
        self.lines.put(None)

    def next(self) -> str | None:
        """The next line, None at the end. Fails if none comes."""
        try:
            return self.lines.get(timeout=MAX_QUIET_SECONDS)
        except queue.Empty:
            raise TimeoutError(f"the machine hangs: no output for {MAX_QUIET_SECONDS} s") from None


class Counts(dict):
    def add(self, result: str):
        self[result] = self.get(result, 0) + 1

    def text(self) -> str:
        return ", ".join(f"{self.get(result, 0)} {result}" for result in ("passed", "skipped", "FAILED"))


def follow(console: Console, name: str, counts: Counts) -> bool:
    """Prints and counts the results. Returns whether the tests came to their end."""
    has_ended = False
    while (line := console.next()) is not None:
        # The kernel's console writes lines ended by \r\n.
        _, found, text = line.partition(PROTOCOL)
        if not found:
            continue
        result, _, rest = text.partition(" ")
        has_ended = result == "end"
        if has_ended:
            continue
        if result in ("passed", "skipped", "FAILED"):
            counts.add(result)
        print(f"{name}: {text}", flush=True)
    return has_ended


def test(machine: Machine, tests: str, counts: Counts):
    """Runs the tests in the machine. What goes wrong with the machine itself counts as a failed test."""
    log = CACHE / f"{machine.name}.log"
    work = CACHE / f"{machine.name}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    harness.CLEANUP.add(["rm", "-rf", str(work)])
    began = time.monotonic()
    process = None
    try:
        line = command(machine, tests, work)
        print(f"{machine.name}: {shlex.join(line[:2])} ...; its console is in {log.relative_to(SOURCE)}", flush=True)
        process = harness.start(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        console = Console(process, log)
        if not follow(console, machine.name, counts):
            raise RuntimeError("the machine ended before its tests")
    except (RuntimeError, TimeoutError, OSError, subprocess.CalledProcessError) as error:
        counts.add("FAILED")
        print(f"{machine.name}: FAILED {error}", flush=True)
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{machine.name}: ended after {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    is_smoke = "smoke" in names
    parts = [name for name in names if name != "smoke"]
    whole = {machine.name for machine in MACHINES}.intersection(parts)
    chosen = [machine for machine in MACHINES
              if (machine.name in SMOKE or not is_smoke) and
              (not parts or machine.name in whole or any(part in machine.name for part in parts if part not in whole))]
    if not chosen:
        parser.error(f"no such machine; there are {', '.join(machine.name for machine in MACHINES)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    total = Counts()
    for machine in chosen:
        test(machine, "smoke" if is_smoke else "all", total)
    print(f"{len(chosen)} machines: {total.text()}")
    return 1 if total.get("FAILED") or not total.get("passed") else 0


if __name__ == "__main__":
    sys.exit(main())
