"""What `make run` shows: a test of a real server, and nothing left after Ctrl-C."""

import glob
import os
import pathlib
import signal
import subprocess
import unittest

import harness
from harness import children_of, parse_metrics, value, wait_until

DEMO = pathlib.Path(__file__).resolve().parents[2] / ".ci" / "demo"


def before_exec():
    # It cleans up after itself on SIGTERM, also if this test is killed; a shell that was started with SIGINT
    # ignored could not be stopped by it.
    harness.LIBC.prctl(harness.PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo(unittest.TestCase):
    def run_demo(self, folder, number):
        """Starts it and sends that signal once it has said all; (exit status, what it said, its children)."""
        with subprocess.Popen([DEMO, folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, preexec_fn=before_exec) as demo:
            try:
                said = []
                for line in demo.stdout:
                    said.append(line)
                    if line.startswith("Ctrl-C"):
                        break
                children = children_of(demo.pid)
                # Objects of the usual name would keep out a service that runs as another user.
                lock = f"/dev/shm/*iperf3_exporter_demo.{demo.pid}*"
                self.assertNotEqual(glob.glob(lock), [], "a lock of its own")
                demo.send_signal(number)
                said += demo.stdout.readlines()
                status = demo.wait(harness.PATIENCE)
            finally:
                demo.terminate()
        wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "no child is left")
        self.assertEqual(glob.glob(lock), [])
        return status, "".join(said), children

    def test_a_test_is_run_and_nothing_is_left(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                status, said, children = self.run_demo(harness.BIN_DIR, number)
                self.assertEqual(status, 0, said)
                self.assertIn("Stopping.", said)
                # The server, the exporter and its four workers.
                self.assertGreaterEqual(len(children), 6, children)
                metrics = parse_metrics("\n".join(line for line in said.splitlines() if line.startswith("iperf3_")))
                self.assertEqual(value(metrics, "iperf3_up"), 1)
                self.assertEqual(value(metrics, "iperf3_test_period_seconds"), 1)
                self.assertGreater(value(metrics, "iperf3_received_bytes"), 0)

    def test_a_folder_without_the_programs_is_an_error(self):
        with harness.temporary_directory() as folder:
            result = subprocess.run([DEMO, folder], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=60)
            self.assertEqual((result.returncode, result.stderr), (1, f"no iperf3_exporter in {folder}\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
