"""What `make run` shows: a test of a real server, and nothing left after Ctrl-C."""

import glob
import os
import pathlib
import signal
import socket
import subprocess
import unittest

import harness
from harness import children_of, parse_metrics, value, wait_until

CI = pathlib.Path(__file__).resolve().parents[2] / ".ci"
DEMO = CI / "demo"


def take(port):
    """Listens on that port, if nobody does yet."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        pass
    return listener


def before_exec():
    # It cleans up after itself on SIGTERM, also if this test is killed; a shell that was started with SIGINT
    # ignored could not be stopped by it.
    harness.LIBC.prctl(harness.PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo(unittest.TestCase):
    def run_demo(self, directory, number):
        """Starts it and sends its group that signal once it has printed all; (exit status, its output, its children)."""
        with subprocess.Popen([DEMO, directory], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, preexec_fn=before_exec,
                              start_new_session=True) as demo:
            try:
                printed = []
                for line in demo.stdout:
                    printed.append(line)
                    if line.startswith("Ctrl-C"):
                        break
                children = children_of(demo.pid)
                # Objects of the usual name would keep out a service that runs as another user.
                lock = f"/dev/shm/*iperf3_exporter_demo.{demo.pid}*"
                self.assertNotEqual(glob.glob(lock), [], "a lock of its own")
                os.killpg(demo.pid, number)  # as a terminal does
                printed += demo.stdout.readlines()
                status = demo.wait(harness.WAIT_SECONDS)
            finally:
                demo.terminate()
        wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "no child is left")
        self.assertEqual(glob.glob(lock), [])
        return status, "".join(printed), children

    def test_a_test_is_run_and_nothing_is_left(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            # The usual ports are taken, as by a service of the same machine.
            with self.subTest(number.name), take(5201), take(9579):
                status, printed, children = self.run_demo(harness.BIN_DIR, number)
                self.assertEqual(status, 0, printed)
                self.assertNotRegex(printed, ":(5201|9579)\\b")
                self.assertIn("Stopping.", printed)
                self.assertNotIn("second signal", printed)
                self.assertIn("One-second test: curl 'http://127.0.0.1:", printed)
                # The server, the exporter and its four workers.
                self.assertGreaterEqual(len(children), 6, children)
                metrics = parse_metrics("\n".join(line for line in printed.splitlines() if line.startswith("iperf3_")))
                self.assertEqual(value(metrics, "iperf3_up"), 1)
                self.assertEqual(value(metrics, "iperf3_test_period_seconds"), 1)
                self.assertGreater(value(metrics, "iperf3_received_bytes"), 0)

    def test_a_directory_without_the_programs_is_an_error(self):
        with harness.temporary_directory() as directory:
            result = subprocess.run([DEMO, directory], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=60)
            self.assertEqual((result.returncode, result.stderr), (1, f"no iperf3_exporter in {directory}\n"))


class Progress(unittest.TestCase):
    def run_silent(self, script):
        """(exit status, later output) of a script that reads a line; it gets one when its silence has been reported."""
        with subprocess.Popen([CI / "progress", "sh", "-c", script], text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, env={**os.environ, "PROGRESS_SECONDS": "0.1"}) as progress:
            self.assertRegex(progress.stdout.readline(), r"^Still building after \d+ s")
            progress.stdin.write("\n")
            progress.stdin.close()
            output = progress.stdout.read()  # ends when nobody writes any more
            return progress.wait(harness.WAIT_SECONDS), output

    def test_a_silent_command_is_reported_until_it_ends(self):
        self.assertEqual(self.run_silent("read -r line; exit 3")[0], 3)

    def test_output_and_status_are_passed_on(self):
        result = subprocess.run([CI / "progress", "sh", "-c", r"printf 'a\\b\n  c \n\nd'; exit 3"], capture_output=True, text=True,
                                timeout=harness.WAIT_SECONDS, check=False)
        self.assertEqual((result.returncode, result.stdout), (3, "a\\b\n  c \n\nd"))

    def test_a_line_is_kept_whole_over_a_pause(self):
        output = self.run_silent("printf a; read -r line; echo b")[1]
        self.assertEqual(output.splitlines()[-1], "ab")


if __name__ == "__main__":
    unittest.main(verbosity=2)
