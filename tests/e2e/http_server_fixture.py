"""A running http_fixture (the exporter's HTTP server with nothing behind it) and raw clients for it."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from harness import WAIT_SECONDS

BIN = pathlib.Path(os.environ.get("EXPORTER_BIN_DIR", "build/dev/bin"))


class HttpFixture:
    """Starts the fixture; a context manager. `config` is the text of a web configuration file."""

    def __init__(self, *arguments, config=None, files=None, listen=("127.0.0.1:0",), environment=None, pass_fds=(),
                 prefix=()):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="http_fixture_"))
        command = [*prefix, str(BIN / "http_fixture"), *arguments]
        command += [f"--listen={address.format(directory=self.directory)}" for address in listen]
        for name, text in (files or {}).items():
            self.write(name, text)
        if config is not None:
            command.append(f"--config={self.write('web.yml', config)}")
        self.log_path = self.directory / "stderr"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env={**os.environ, **(environment or {})}, pass_fds=pass_fds)
        self.listening = []
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
            self.listening.append(line.split(None, 1)[1].strip())
        else:
            self.process.wait()
            log = self.log()
            self.close()
            raise AssertionError(f"the fixture did not start: {log}")
        ports = [name.rsplit(":", 1)[1] for name in self.listening if not name.startswith("unix")]
        self.port = int(ports[0]) if ports else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write(self, name, content):
        """Writes a file of the fixture's directory as a whole, by rename."""
        path = self.directory / name
        new = self.directory / (name + ".new")
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(new, path)
        return path

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ends the fixture by its stdin; its exit code."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        return self.process.returncode

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def connect(self, port=None, timeout=WAIT_SECONDS):
        client = socket.create_connection(("127.0.0.1", port or self.port), timeout=timeout)
        return client

    def exchange(self, raw, half_close=False):
        """Sends raw bytes, reads until the server closes; what came. A reset counts as closed."""
        with self.connect() as client:
            send_all(client, raw)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            return read_to_end(client)

    def get(self, path, *lines):
        """One request on a connection of its own: (status, header dict, body)."""
        raw = self.exchange(request(path, "Connection: close", *lines))
        return parse_response(raw)[0]

    def statistics(self):
        return json.loads(self.get("/statistics")[2])

    def alive(self):
        return self.process.poll() is None

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_ticks(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


def request(path, *lines, method="GET", host="Host: localhost", version="HTTP/1.1"):
    head = [f"{method} {path} {version}", *([host] if host else []), *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")


def send_all(client, raw):
    try:
        client.sendall(raw)
    except OSError:
        pass  # The server closed the connection; the response that it sent before counts.


def read_to_end(client):
    data = b""
    try:
        while True:
            got = client.recv(65536)
            if not got:
                return data
            data += got
    except ConnectionError:
        return data


def read_response(client):
    """One response with a Content-Length from a kept connection: (status, headers, body)."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = client.recv(65536)
        if not got:
            raise AssertionError(f"closed after {data!r}")
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(parse_head(head)[1].get("content-length", 0))
    while len(body) < length:
        got = client.recv(65536)
        if not got:
            raise AssertionError("closed in the body")
        body += got
    status, headers = parse_head(head)
    return status, headers, body


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    return int(lines[0].split()[1]), headers


def parse_response(raw):
    """All responses in a stream whose bodies have a Content-Length."""
    responses = []
    while raw:
        head, rest = raw.split(b"\r\n\r\n", 1)
        status, headers = parse_head(head)
        length = int(headers.get("content-length", len(rest)))
        responses.append((status, headers, rest[:length].decode("latin-1")))
        raw = rest[length:]
    return responses


def statuses(raw):
    return [status for status, _, _ in parse_response(raw)]

