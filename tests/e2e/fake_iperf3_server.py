"""A server that speaks iperf3's control protocol and departs from it where it is asked to. It also tells what
really happened, so that a test can hold an exporter's answer against it.

The protocol (iperf3 3.12, src/iperf_api.h, iperf_server_api.c): the client connects and sends a cookie of 37
bytes; from then on the server leads with states, one signed byte each. Both sides send JSON behind a length of
four bytes, big-endian. Data connections, TCP or UDP, come to the same port; those of TCP begin with the cookie.
"""

import contextlib
import dataclasses
import json
import selectors
import socket
import struct
import threading
import time

COOKIE_BYTES = 37
TEST_START, TEST_RUNNING, TEST_END = 1, 2, 4
PARAM_EXCHANGE, CREATE_STREAMS, SERVER_TERMINATE = 9, 10, 11
EXCHANGE_RESULTS, DISPLAY_RESULTS, IPERF_DONE = 13, 14, 16
ACCESS_DENIED, SERVER_ERROR = -1, -2
# Every state that iperf3 knows, and two bytes that are none.
STATES = (1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15, 16, ACCESS_DENIED, SERVER_ERROR, 0, 99)
UDP_CONNECT_REPLY = struct.pack("<I", 0x39383736)
UDP_HEADERS = {False: struct.Struct("!III"), True: struct.Struct("!IIQ")}  # seconds, microseconds, number of the packet

# The moments at which a server can depart from the protocol. Each but RUNNING and RESULTS stands for the state
# that is due then.
RUNNING, RESULTS = "running", "results"
MOMENTS = {"cookie": PARAM_EXCHANGE, "parameters": CREATE_STREAMS, "streams": TEST_START, "start": TEST_RUNNING,
           RUNNING: None, "end": EXCHANGE_RESULTS, RESULTS: None, "display": DISPLAY_RESULTS}

# Seconds between two writes of a sending server. Each is a whole block, as iperf3 writes them: a client up to 3.15
# waits for the rest of one that has begun, even after the test.
SEND_INTERVAL = 0.05
FAULT_AFTER = 0.2      # seconds into the test: the moment RUNNING


@dataclasses.dataclass
class Departure:
    """What a server does otherwise than iperf3; all of it is optional."""
    moment: str = ""         # one of MOMENTS
    message: bytes = b""     # sent then instead of the state that is due, or before the results
    closes: bool = False     # and then closes the control connection
    results: object = None   # results -> the results to send, bytes for text that is no JSON
    sends: bool = True       # data, where the server is a sender
    reads: bool = True       # data, where it is a receiver
    zeros: bool = False      # sends datagrams of zeros
    ends: bool = False       # the test by itself, at the moment RUNNING, as if the client had ended it


@dataclasses.dataclass
class Session:
    """What happened between one client and the server."""
    parameters: dict = dataclasses.field(default_factory=dict)
    streams: int = 0             # connected
    running_seconds: float = 0.0  # from TEST_RUNNING to the client's TEST_END
    sent_bytes: int = 0
    received_bytes: int = 0
    listed_streams: int = 0      # in the results of the server
    got_results: bool = False    # the client sent its own
    done: bool = False           # the client sent IPERF_DONE

    def period(self):
        return self.parameters.get("time", 0)

    def has_length(self):
        asked_bytes = self.parameters.get("num", 0)
        if not asked_bytes:
            return self.running_seconds >= 0.95 * self.period()
        moved = self.sent_bytes + self.received_bytes
        return moved >= asked_bytes / 2 or moved == 0  # the rest may be on its way, and all packets of UDP lost

    def test_took_place(self):
        """A test of the length that was asked for, data in each direction, results of all streams from both sides. All
        of an upload by UDP may be lost."""
        both = self.parameters.get("bidirectional")
        uploads = both or not self.parameters.get("reverse")
        downloads = both or self.parameters.get("reverse")
        has_upload = self.received_bytes > 0 or self.parameters.get("udp", False)
        return (self.has_length() and self.got_results and self.listed_streams >= self.streams
                and (not uploads or has_upload) and (not downloads or self.sent_bytes > 0))


def states(*numbers):
    return struct.pack(f"!{len(numbers)}b", *numbers)


def bind_both(address):
    """Sockets of TCP and of UDP on one free port."""
    while True:
        tcp = socket.create_server((address, 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        try:
            udp.bind(tcp.getsockname())
            return tcp, udp
        except OSError:
            tcp.close()
            udp.close()


class FakeIperf3Server:
    """Serves one client at a time, as iperf3 does, each by `departure`; `sessions` has what happened."""

    def __init__(self, departure=Departure(), address="127.0.0.1"):
        self.departure = departure
        self.sessions = []
        self.tcp, self.udp = bind_both(address)
        self.port = self.tcp.getsockname()[1]
        self.stopped = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        with contextlib.suppress(OSError):
            self.tcp.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.tcp.close()
        self.udp.close()

    def _serve(self):
        while not self.stopped.is_set():
            try:
                control, _ = self.tcp.accept()
            except OSError:
                return
            session = Session()
            self.sessions.append(session)
            with _Conversation(self, control, session) as conversation, contextlib.suppress(OSError, EOFError, ValueError):
                conversation.run()


class _Conversation:
    def __init__(self, server, control, session):
        self.server = server
        self.departure = server.departure
        self.control = control
        self.session = session
        self.streams = []   # sockets of TCP, addresses of UDP
        self.received = []  # bytes of each
        self.packets = 0

    def __enter__(self):
        self.control.settimeout(30)
        return self

    def __exit__(self, *_):
        self.control.close()
        for stream in self.streams:
            if isinstance(stream, socket.socket):
                stream.close()

    def run(self):
        cookie = self._read(COOKIE_BYTES)
        self._lead("cookie")
        self.session.parameters = json.loads(self._read_text())
        self._lead("parameters")
        count = self.session.parameters.get("parallel", 1) * (2 if self._both() else 1)
        self._accept(count, cookie)
        self._lead("streams")
        self._lead("start")
        self._move_data()
        self._lead("end")
        self._read_text()
        self.session.got_results = True
        self._depart(RESULTS)
        self._send_results()
        self._lead("display")
        self.session.done = self._read(1) == states(IPERF_DONE)

    def _both(self):
        return self.session.parameters.get("bidirectional", False)

    def _is_udp(self):
        return self.session.parameters.get("udp", False)

    def _lead(self, moment):
        if not self._depart(moment):
            self.control.sendall(states(MOMENTS[moment]))

    def _depart(self, moment):
        if moment != self.departure.moment:
            return False
        self.control.sendall(self.departure.message)
        if self.departure.closes:
            raise EOFError
        return bool(self.departure.message)

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.control.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _read_text(self):
        return self._read(struct.unpack("!I", self._read(4))[0])

    def _accept(self, count, cookie):
        """Waits for all connections of data."""
        deadline = time.monotonic() + 5
        while len(self.streams) < count and time.monotonic() < deadline and not self._client_left():
            if self._is_udp():
                with contextlib.suppress(BlockingIOError):
                    _, peer = self.server.udp.recvfrom(65536)
                    if peer not in self.streams:
                        self.server.udp.sendto(UDP_CONNECT_REPLY, peer)
                        self._add(peer)
                        continue
                time.sleep(0.002)
            else:
                self.server.tcp.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    stream, _ = self.server.tcp.accept()
                    stream.settimeout(5)
                    if stream.recv(COOKIE_BYTES, socket.MSG_WAITALL) != cookie:
                        raise EOFError
                    stream.setblocking(False)
                    self._add(stream)
        self.server.tcp.settimeout(None)
        self.session.streams = len(self.streams)

    def _add(self, stream):
        self.streams.append(stream)
        self.received.append(0)

    def _client_left(self):
        self.control.setblocking(False)
        try:
            return self.control.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        finally:
            self.control.settimeout(30)

    def _sending(self):
        """The streams on which the server sends: with both directions the client's own come first."""
        if self._both():
            return range(len(self.streams) // 2, len(self.streams))
        return range(len(self.streams)) if self.session.parameters.get("reverse") else range(0)

    def _move_data(self):
        """Until the client reports the end of the test, or breaks the protocol."""
        began = time.monotonic()
        departs_at = began + FAULT_AFTER
        departed = self.departure.moment != RUNNING
        sends_at = began
        with selectors.DefaultSelector() as selector:
            selector.register(self.control, selectors.EVENT_READ)
            if self.departure.reads:
                for source in [self.server.udp] if self._is_udp() else self.streams:
                    selector.register(source, selectors.EVENT_READ)
            while not self.server.stopped.is_set():
                for key, _ in selector.select(0.02):
                    if key.fileobj is self.control:
                        if self._read(1) == states(TEST_END):
                            self.session.running_seconds = time.monotonic() - began
                        return
                    if not self._receive(key.fileobj):
                        selector.unregister(key.fileobj)
                now = time.monotonic()
                if self.departure.ends and now >= departs_at:
                    self.session.running_seconds = now - began
                    return
                if not departed and now >= departs_at:
                    departed = True
                    self._depart(RUNNING)
                if self.departure.sends and now >= sends_at:
                    sends_at = now + SEND_INTERVAL
                    self._send()

    def _receive(self, source):
        """False at the end of the stream."""
        try:
            if source is self.server.udp:
                data, peer = source.recvfrom(65536)
                index = self.streams.index(peer) if peer in self.streams else None
            else:
                data = source.recv(1 << 20)
                index = self.streams.index(source)
        except OSError:
            return source is self.server.udp
        if index is not None:
            self.received[index] += len(data)
            self.session.received_bytes += len(data)
        return bool(data) or source is self.server.udp

    def _send_bytes(self):
        return self.session.parameters["len"]

    def _send(self):
        self.packets += 1
        now = time.time()
        has_long_numbers = bool(self.session.parameters.get("udp_counters_64bit"))
        header = UDP_HEADERS[has_long_numbers].pack(int(now), int(now % 1 * 1e6), self.packets)
        size = self._send_bytes()
        data = bytes(size) if self.departure.zeros else header + bytes(size - len(header))
        for index in self._sending():
            stream = self.streams[index]
            with contextlib.suppress(OSError):
                self.session.sent_bytes += (self.server.udp.sendto(data, stream) if self._is_udp() else stream.send(data))

    def _send_results(self):
        results = self._results()
        if self.departure.results is not None:
            results = self.departure.results(results)
        if isinstance(results, dict):
            self.session.listed_streams = len(results.get("streams", []))
        text = results if isinstance(results, bytes) else json.dumps(results).encode()
        self.control.sendall(struct.pack("!I", len(text)) + text)

    def _results(self):
        """What iperf3 would send; the numbers of streams are 1, 3, 4, 5 and so on, as iperf3 counts them."""
        seconds = self.session.running_seconds
        streams = []
        for index, received in enumerate(self.received):
            sends = index in self._sending()
            streams.append({
                "id": 1 if index == 0 else index + 2,
                "bytes": self.packets * self._send_bytes() if sends else received,
                "retransmits": 0 if sends and not self._is_udp() else -1,
                "jitter": 0, "errors": 0,
                "packets": self.packets if sends else received // max(1, self.session.parameters.get("len", 1)),
                "start_time": 0, "end_time": seconds})
        return {"cpu_util_total": 1.0, "cpu_util_user": 0.5, "cpu_util_system": 0.5,
                "sender_has_retransmits": 1 if self._sending() and not self._is_udp() else 0,
                "congestion_used": "cubic", "streams": streams}
