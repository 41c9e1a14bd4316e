"""A server can't fake success: iperf3_up is 1 only if a test of the requested length ran, with data in each direction,
as the server itself recorded it."""

import concurrent.futures
import itertools
import json
import unittest

from fake_iperf3_server import (MOMENTS, SERVER_ERROR, STATES, Departure, FakeIperf3Server, states)
from harness import Exporter, reason, value

PERIOD_SECONDS = 1
AT_ONCE = 16  # probes

MODES = {
    "tcp upload": {},
    "tcp download": {"reverse_mode": "true"},
    "tcp both": {"bidirectional": "true"},
    "udp upload": {"udp_mode": "true"},
    "udp download": {"udp_mode": "true", "reverse_mode": "true"},
    "udp both": {"udp_mode": "true", "bidirectional": "true"},
}


def every_stream(**changes):
    """Results with these members in each stream."""
    def change(results):
        return {**results, "streams": [{**stream, **changes} for stream in results["streams"]]}
    return change


def without_streams(results):
    return {key: member for key, member in results.items() if key != "streams"}


RESULTS_OF_A_LIAR = {
    "none": without_streams,
    "no streams": lambda results: {**results, "streams": []},
    "a stream too many": lambda results: {**results, "streams": results["streams"] * 2},
    "a strange stream": every_stream(id=77),
    "nothing moved": every_stream(bytes=0, packets=0),
    "less than nothing": every_stream(bytes=-1, packets=-1),
    "far too much": every_stream(bytes=10**15, packets=10**12),
    "no length": every_stream(start_time=0, end_time=0),
    "a year": every_stream(end_time=365 * 86400),
    "ended before it began": every_stream(start_time=5, end_time=1),
    "text for numbers": every_stream(bytes="many", end_time="late"),
    "members missing": lambda results: {**results, "streams": [{"id": s["id"]} for s in results["streams"]]},
    "an array": lambda _: [],
    "no JSON": lambda _: b"hello",
    "cut short": lambda results: json.dumps(results).encode()[:-9],
    "empty": lambda _: b"",
}

TRAFFIC_OF_A_LIAR = {
    "sends nothing": Departure(sends=False),
    "reads nothing": Departure(reads=False),
    "sends zeros": Departure(zeros=True),
    "ends the test": Departure(ends=True),
}

# With them a success needs other facts. The bytes take longer than the moment RUNNING.
VARIANTS = {
    "with omit": {"omit": "1"},
    "of bytes": {"bytes": "40K"},
    "of bytes with omit": {"bytes": "250K", "omit": "1", "length": "6250"},
    "two streams": {"parallel": "2"},
}


def lies():
    """{name: departure}: of the results and of the traffic."""
    return {**{f"results: {name}": Departure(results=results) for name, results in RESULTS_OF_A_LIAR.items()},
            **TRAFFIC_OF_A_LIAR}


def departures():
    """{name: departure}."""
    found = {"none": Departure()}
    for moment, due in MOMENTS.items():
        for state in STATES:
            if state != due:
                found[f"{moment}: state {state}"] = Departure(moment=moment, message=states(state))
        found[f"{moment}: error 127"] = Departure(moment=moment,
                                                  message=states(SERVER_ERROR) + b"\0\0\0\x7f\0\0\0\0")
        found[f"{moment}: closes"] = Departure(moment=moment, closes=True)
    return {**found, **lies()}


class FalseSuccess(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exporter = Exporter("--lock.scope=none", f"--worker.count={AT_ONCE}", "--probe.retries=0")
        cls.exporter.__enter__()
        cls.addClassCleanup(cls.exporter.__exit__, None, None, None)

    def ask(self, departure, mode, variant="", scrape_timeout=3):
        with FakeIperf3Server(departure) as server:
            samples = self.exporter.probe(port=server.port, period=f"{PERIOD_SECONDS}s", bitrate="1M",
                                          scrape_timeout=scrape_timeout, **MODES[mode],
                                          **VARIANTS.get(variant, {})).metrics()
        return samples, server.sessions

    def test_the_fake_server_can_be_measured(self):
        """Otherwise no other test here could fail."""
        for mode, variant in itertools.product(MODES, ("", *VARIANTS)):
            with self.subTest(mode=mode, variant=variant):
                samples, sessions = self.ask(Departure(), mode, variant, scrape_timeout=20)
                self.assertEqual((value(samples, "iperf3_up"), reason(samples)), (1, None), self.exporter.log)
                self.assertTrue(sessions[0].test_took_place(), sessions)

    def test_every_departure_in_every_mode(self):
        cases = [(name, departure, mode, "") for name, departure in departures().items() for mode in MODES]
        self.assertGreaterEqual(len(cases), 500)
        self.check_all(cases)

    def test_every_lie_in_every_variant(self):
        self.check_all([(name, departure, mode, variant) for name, departure in lies().items() for mode in MODES
                        for variant in VARIANTS])

    def check_all(self, cases):
        """Cases: (name, departure, mode, variant)."""
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            answers = threads.map(lambda case: self.ask(*case[1:], scrape_timeout=4 if case[3] else 3), cases)
            for (name, _, mode, variant), (samples, sessions) in zip(cases, answers):
                with self.subTest(departure=name, mode=mode, variant=variant):
                    self.check(samples, sessions)

    def check(self, samples, sessions):
        up = value(samples, "iperf3_up")
        self.assertIn(up, (0, 1))
        if up == 0:
            self.assertIsNotNone(reason(samples))
            return
        self.assertTrue(any(session.test_took_place() for session in sessions), sessions)
        moved = sum(session.sent_bytes + session.received_bytes for session in sessions)
        for (name, labels), number in samples.items():
            if name in ("iperf3_sent_seconds", "iperf3_received_seconds"):
                if not sessions[-1].parameters.get("num"):
                    self.assertGreaterEqual(number, 0.9 * PERIOD_SECONDS, labels)
                self.assertLess(number, PERIOD_SECONDS + 3, labels)
            if name == "iperf3_received_bytes":
                self.assertLess(number, 10 * moved + 70e6, labels)  # socket buffers hold what was sent while omitting


if __name__ == "__main__":
    unittest.main(verbosity=2)
