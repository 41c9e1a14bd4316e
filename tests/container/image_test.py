"""The Dockerfile, built with buildah and run with podman as strictly as its first lines promise.

No registry is needed: the base image is made with debootstrap under the name that the Dockerfile uses, from
this host's mirror. Images, containers and directories are in a temporary place and go away with it. Needs root,
debootstrap, buildah and podman.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/systemd")]
from debian_root import make_root  # noqa: E402  (the path is set above)
from machine import wait_until  # noqa: E402

BASE = "docker.io/library/debian:bookworm-slim"
IMAGE = "localhost/iperf3-exporter:test"
STRICT = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges")
# A test host may have less than podman's default of a million, and may not raise it.
RUN = ("run", "--network=none", "--cgroups=disabled", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
# crun refuses a host with both kinds of cgroups; podman then runs where only the new kind is seen.
UNIFIED = ("unshare", "--mount", "sh", "-c",
           'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh")
# What a container without any right still has; namespaces and another user need rights.
LAYERS = ("no_new_privileges", "descriptors", "parent_death", "rlimits", "environment", "seccomp", "capabilities")


class ImageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="exporter-image-", dir="/var/tmp"))
        cls.addClassCleanup(cls.remove_directory)
        cls.storage = (f"--root={cls.directory}/storage", f"--runroot={cls.directory}/run", "--storage-driver=vfs")
        base = cls.directory / "base"
        make_root(base, packages="ca-certificates")
        subprocess.run(["tar", "-C", base, "-cf", cls.directory / "base.tar", "."], check=True)
        shutil.rmtree(base)
        cls.podman("import", cls.directory / "base.tar", BASE)
        (cls.directory / "base.tar").unlink()
        cls.build()

    @classmethod
    def remove_directory(cls):
        cls.podman("rm", "--all", "--force", "--time=0", check=False)
        cls.podman("rmi", "--all", "--force", check=False)
        subprocess.run(["umount", "-R", cls.directory / "storage/vfs"], stderr=subprocess.DEVNULL)
        shutil.rmtree(cls.directory)

    @classmethod
    def podman(cls, *arguments, check=True):
        hybrid = os.path.isdir("/sys/fs/cgroup/unified")
        result = subprocess.run([*(UNIFIED if hybrid else ()), "podman", *cls.storage, "--cgroup-manager=cgroupfs", "--events-backend=none",
                                 *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise RuntimeError(f"podman {arguments}: {result.stdout}{result.stderr}")
        return result.stdout

    @classmethod
    def build(cls):
        result = subprocess.run(
            ["buildah", *cls.storage, "bud", "--isolation=chroot", "--network=host", "--format=docker",
             "--pull-never", "--build-arg=REVISION=0123456789ab", f"--tag={IMAGE}", str(ROOT)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        if result.returncode != 0:
            raise RuntimeError(result.stdout[-8000:])

    def start(self, *arguments, options=()):
        """Runs the image; returns its id and the process id of the exporter."""
        name = self.podman(*RUN, "--detach", *STRICT, *options, IMAGE, *arguments).strip()
        self.addCleanup(self.podman, "rm", "--force", "--time=0", name, check=False)
        pid = json.loads(self.podman("inspect", name))[0]["State"]["Pid"]
        wait_until(lambda: self.get(pid, "/ready")[0] == 200 or not os.path.exists(f"/proc/{pid}"), 30, "ready")
        self.assertTrue(os.path.exists(f"/proc/{pid}"), self.podman("logs", name, check=False))
        return name, pid

    def get(self, pid, path):
        """(status, body) of a request made inside the container's network."""
        result = subprocess.run(["nsenter", "-t", str(pid), "-n", "curl", "-sS", "-m", "30", "-w", "\n%{http_code}",
                                 f"http://127.0.0.1:9579{path}"], capture_output=True, text=True)
        body, _, status = result.stdout.rpartition("\n")
        return int(status or 0), body

    def test_probes_without_any_right(self):
        name, pid = self.start()
        server = subprocess.Popen(["nsenter", "-t", str(pid), "-n", "iperf3", "-s", "-B", "127.0.0.1"],
                                  stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        listening = ["nsenter", "-t", str(pid), "-n", "ss", "-Hltn", "sport = :5201"]
        wait_until(lambda: subprocess.run(listening, capture_output=True).stdout, 10, "iperf3 listens")
        status, body = self.get(pid, "/probe?target=127.0.0.1&period=1s")
        self.assertEqual(200, status, body)
        self.assertIn("\niperf3_up{", "\n" + body)
        up = [line for line in body.splitlines() if line.startswith("iperf3_up{")]
        self.assertTrue(up[0].endswith(" 1"), body + self.podman("logs", name))

        metrics = self.get(pid, "/metrics")[1]
        for process in ("worker", "iperf3"):
            for layer in LAYERS:
                states = [line.rsplit(" ", 1)[1] for line in metrics.splitlines()
                          if line.startswith("iperf3_exporter_sandbox_layer{") and f'process="{process}"' in line
                          and f'layer="{layer}"' in line]
                self.assertEqual(["1"], states, f"{process} {layer}")

    def test_runs_as_nobody_in_particular(self):
        _, pid = self.start()
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        self.assertEqual({"9579"}, set(status["Uid"].split()))
        self.assertEqual(0, int(status["CapBnd"], 16))
        self.assertEqual("1", status["NoNewPrivs"].strip())

    def test_health_check_sees_health(self):
        name, pid = self.start()
        self.podman("healthcheck", "run", name)
        # The other half: with nothing on that port it is not healthy.
        elsewhere, _ = self.start(options=("--env=HEALTH_PORT=9",))
        with self.assertRaises(RuntimeError):
            self.podman("healthcheck", "run", elsewhere)

    def test_stops_in_order(self):
        name, _ = self.start()
        self.podman("stop", "--time=40", name)
        self.assertEqual(0, json.loads(self.podman("inspect", name))[0]["State"]["ExitCode"])

    def test_holds_only_what_it_needs(self):
        self.assertIn("0123456789ab", self.podman(*RUN, "--rm", IMAGE, "--version"))
        listed = self.podman(*RUN, "--rm", "--entrypoint=/usr/bin/dpkg-query", IMAGE, "-W", "-f", "${Package} ").split()
        self.assertIn("iperf3-exporter", listed)
        self.assertEqual([], [name for name in listed if name.endswith("-dev") or name in
                              ("gcc", "g++", "cmake", "make", "git", "python3", "curl", "systemd")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
