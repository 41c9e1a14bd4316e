#!/usr/bin/env python3
"""Breaks the code in one place at a time and expects a test to fail: `make test-mutants [MUTANTS=part of a file's path]`.

Works on a copy of the tree in build/mutants. Exit status 1 if a mutant survives, does not compile, or if its text is
not found exactly once."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import typing

import budget
import modules
import own_tests
import results
import supervisor
import worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = ROOT / "build/mutants"
BIN = TREE / "build/dev/bin"
# The programs that process tests and end-to-end tests start, and that contain the broken sources.
PROGRAMS = ("iperf3_exporter", "iperf3_exporter_worker", "http_fixture", "rogue_worker")
# A mutant that makes a test hang counts as killed.
TEST_SECONDS = 300


class Mutant(typing.NamedTuple):
    file: str
    text: str
    replacement: str
    tests: list  # at least one of them has to fail


def copy_tree():
    """Makes the copy equal to every file that git knows. Leaves alone those that are the same, so that they are not
    compiled again."""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    names = {name for name in listing.split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        source, copy = ROOT / name, TREE / name
        if not (copy.is_file() and copy.read_bytes() == source.read_bytes()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    for path in TREE.rglob("*"):
        name = path.relative_to(TREE)
        if path.is_file() and name.parts[0] != "build" and str(name) not in names:
            path.unlink()


def build(targets):
    """Whether these targets could be built in the copy; an empty list means everything."""
    target = ["--target", *targets] if targets else []
    return subprocess.run(["cmake", "--build", "--preset", "dev", *target], cwd=TREE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def targets_of(tests):
    """What has to be built again before these tests can notice a mutant."""
    targets = set()
    for test in tests:
        name = test.partition(":")[0]
        if not name.startswith("e2e."):
            targets.add(name)
        if name.startswith("e2e.") or name.endswith("process_test"):
            targets.update(PROGRAMS)
    return targets


def passes(test):
    """Whether `test` passes: "NAME_test" or "NAME_test:FILTER" of GoogleTest, "e2e.NAME_test" or "e2e.NAME_test:CLASS"."""
    name, _, only = test.partition(":")
    if name.startswith("e2e."):
        command = [sys.executable, f"tests/e2e/{name.removeprefix('e2e.')}.py", "--failfast", *filter(None, [only])]
    else:
        command = [BIN / name, "--gtest_fail_fast", f"--gtest_filter={only or '*'}"]
    with subprocess.Popen(command, cwd=TREE, env=os.environ | {"EXPORTER_BIN_DIR": str(BIN)}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0) as running:
        try:
            return running.wait(TEST_SECONDS) == 0
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return False


def outcome(mutant):
    """What became of one mutant: "killed", or what is wrong."""
    path = TREE / mutant.file
    original = path.read_text()
    if original.count(mutant.text) != 1:
        return f"text found {original.count(mutant.text)} times"
    try:
        path.write_text(original.replace(mutant.text, mutant.replacement))
        if not build(targets_of(mutant.tests)):
            return "does not compile"
        return "survived" if all(map(passes, mutant.tests)) else "killed"
    finally:
        path.write_text(original)


def main():
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    rows = worker.MUTANTS + supervisor.MUTANTS + modules.MUTANTS + own_tests.MUTANTS + budget.MUTANTS + results.MUTANTS
    mutants = [mutant for mutant in map(Mutant._make, rows) if part in mutant.file]
    if not mutants:
        sys.exit(f"no file with mutants has {part!r} in its path")
    copy_tree()
    subprocess.run(["cmake", "--preset", "dev"], cwd=TREE, check=True, stdout=subprocess.DEVNULL)
    if not build([]):
        sys.exit("the tree does not compile")
    for test in sorted({test for mutant in mutants for test in mutant.tests}):
        if not passes(test):
            sys.exit(f"{test} fails without any mutant")
    outcomes = []
    for number, mutant in enumerate(mutants, 1):
        outcomes.append(outcome(mutant))
        print(f"{number}/{len(mutants)} {outcomes[-1]}: {mutant.file}: {mutant.text!r} -> {mutant.replacement!r}", flush=True)
    killed = outcomes.count("killed")
    print(f"{killed} of {len(outcomes)} mutants killed")
    sys.exit(killed != len(outcomes))


if __name__ == "__main__":
    main()
