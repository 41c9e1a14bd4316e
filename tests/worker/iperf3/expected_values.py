"""What the reports of tests/testdata/corpus say, by an independent reader.

Prints one line per fact, `VERSION/CASE FACT VALUE`, for report_corpus_process_test.cc to
compare with. It knows nothing of the exporter's own code: json for the text, docs/REFERENCE.md for the
meaning. A fact that a report doesn't give has no line.
"""

import gzip
import json
import math
import pathlib
import sys

LARGEST_COUNT = math.nextafter(2.0**63, 0)
DAYS = 2 * 86400.0


class Members(list):
    """A JSON object as its members in order, keys repeated as printed."""

    def first(self, key, default=None):
        return self.nth(key, 0, default)

    def nth(self, key, n, default=None):
        values = [v for k, v in self if k == key]
        return values[n] if len(values) > n else default


def refuse_constant(text):
    raise ValueError(text)


def load(data):
    return json.loads(data.decode("utf-8"), object_pairs_hook=Members, parse_constant=refuse_constant)


class Facts:
    def __init__(self):
        self.values = {}
        self.implausible = 0

    def number(self, raw, largest, divisor=1):
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            return None
        value = float(raw) / divisor
        if 0 <= value <= largest:
            return value
        self.implausible += 1
        return None

    def put(self, name, value):
        if value is not None:
            self.values[name] = value


def side(facts, total, prefix, name):
    seconds = facts.number(total.first("seconds"), DAYS)
    count = facts.number(total.first("bytes"), LARGEST_COUNT)
    rate = facts.number(total.first("bits_per_second"), LARGEST_COUNT)
    facts.put(f"{prefix}.{name}_seconds", seconds)
    facts.put(f"{prefix}.{name}_bytes", count)
    if seconds is not None and count is not None:
        facts.put(f"{prefix}.{name}_bits_per_second", rate)


def loss(facts, sent, received, prefix, block, omit):
    """Packets and jitter, as docs/REFERENCE.md says under "UDP packets"."""
    went, came = (round(total.first("bytes") / block) for total in (sent, received))
    sent_seconds, received_seconds = (facts.values[f"{prefix}.{side}_seconds"] for side in ("sent", "received"))
    jitter = facts.number(received.first("jitter_ms"), max(sent_seconds, received_seconds), 1000)
    expected = facts.number(received.first("packets"), LARGEST_COUNT)
    lost = facts.number(received.first("lost_packets"), LARGEST_COUNT)
    if went and not came:
        jitter, lost = None, went
    elif expected is not None and expected - lost != came:
        if omit:
            lost = max(0, min(lost, round(went * received_seconds / sent_seconds - came)))
        else:
            lost = max(0, expected - came)
    late = (0.2 + max(0, sent_seconds - received_seconds)) / sent_seconds
    if went - came - lost > went * max(0.01, late):
        lost = went - came
    facts.put(f"{prefix}.sent_packets", went)
    facts.put(f"{prefix}.received_packets", came)
    facts.put(f"{prefix}.lost_packets", lost)
    facts.put(f"{prefix}.lost_ratio", lost / (lost + came) if lost + came else 0.0)
    facts.put(f"{prefix}.jitter_seconds", jitter)


def udp_single_sum(facts, total, prefix):
    """Up to 3.10: the sender's bytes, packets and rate, the receiver's time and loss."""
    count = facts.number(total.first("bytes"), LARGEST_COUNT)
    packets = facts.number(total.first("packets"), LARGEST_COUNT)
    rate = facts.number(total.first("bits_per_second"), LARGEST_COUNT)
    seconds = facts.number(total.first("seconds"), DAYS)
    facts.put(f"{prefix}.sent_bytes", count)
    facts.put(f"{prefix}.sent_packets", packets)
    facts.put(f"{prefix}.sent_bits_per_second", rate)
    facts.put(f"{prefix}.sent_seconds", count * 8 / rate)
    facts.put(f"{prefix}.received_seconds", seconds)
    lost = total.first("lost_packets")
    if lost == 0 and total.first("jitter_ms") == 0:
        if packets < 4:
            return  # one packet has no jitter: nothing can be said
        arrived, lost, ratio = 0, packets, 1.0
    else:
        arrived, ratio = packets - lost, lost / packets
        facts.put(f"{prefix}.jitter_seconds", total.first("jitter_ms") / 1000)
    facts.put(f"{prefix}.lost_packets", lost)
    facts.put(f"{prefix}.lost_ratio", ratio)
    facts.put(f"{prefix}.received_packets", arrived)
    facts.put(f"{prefix}.received_bytes", count * arrived / packets)
    facts.put(f"{prefix}.received_bits_per_second", count * arrived / packets * 8 / seconds)


def clocks(end):
    """A bidirectional client's own seconds and its server's, by the first forward sums."""
    sent, received, single = (end.first(key) for key in ("sum_sent", "sum_received", "sum"))
    if sent is not None:
        return sent.first("seconds"), received.first("seconds")
    return single.first("bytes") * 8 / single.first("bits_per_second"), single.first("seconds")


def retime(facts, end):
    """What the server sent takes the server's seconds, what this host received takes its own."""
    own, servers = clocks(end)
    for name, seconds in (("sent", servers), ("received", own)):
        facts.put(f"download.{name}_seconds", seconds)
        count = facts.values.get(f"download.{name}_bytes")
        if count is not None:
            facts.put(f"download.{name}_bits_per_second", count * 8 / seconds)


def totals(end, reverse):
    """The sums of one direction: the sender's, the receiver's, and the only one up to 3.10."""

    def total(key):
        value = end.first(key + "_bidir_reverse") if reverse else end.first(key)
        return end.nth(key, 1) if value is None and reverse else value

    return total("sum_sent"), total("sum_received"), total("sum")


def direction(facts, end, prefix, udp, reverse):
    """False without that direction's sums."""
    sent, received, single = totals(end, reverse)
    if sent is not None and received is not None:
        side(facts, sent, prefix, "sent")
        side(facts, received, prefix, "received")
        if not udp:
            facts.put(f"{prefix}.retransmits", facts.number(sent.first("retransmits"), LARGEST_COUNT))
        return True
    if udp and single is not None:
        udp_single_sum(facts, single, prefix)
        return True
    return False


def streams(facts, senders, prefix):
    def known(key):
        return [s.first(key) for s in senders if s.first(key)]

    if known("min_rtt"):
        facts.put(f"{prefix}.min_rtt_seconds", min(known("min_rtt")) / 1e6)
        means = known("mean_rtt")
        facts.put(f"{prefix}.mean_rtt_seconds", sum(means) / len(means) / 1e6)
        facts.put(f"{prefix}.max_rtt_seconds", max(known("max_rtt")) / 1e6)
    if known("max_snd_cwnd"):
        facts.put(f"{prefix}.max_congestion_window_bytes", max(known("max_snd_cwnd")))


def measure(report, options):
    facts = Facts()
    if not isinstance(report, Members) or report.first("error") is not None:
        return None
    end = report.first("end", Members())
    udp, bidirectional, reverse = "-u" in options, "--bidir" in options, "-R" in options
    prefixes = ["upload", "download"] if bidirectional else ["download" if reverse else "upload"]
    for index, prefix in enumerate(prefixes):
        if not direction(facts, end, prefix, udp, index == 1):
            return None
    if bidirectional:
        retime(facts, end)
    for index, prefix in enumerate(prefixes):
        sent, received, _ = totals(end, index == 1)
        if udp and sent is not None and received is not None:
            block = report.first("start").first("test_start").first("blksize")
            loss(facts, sent, received, prefix, block, "-O" in options)
    if not udp and not reverse:
        ends = [stream.first("sender") for stream in end.first("streams")]
        streams(facts, [sender for sender in ends if sender.first("sender") is not False], "upload")
    cpu = end.first("cpu_utilization_percent")
    for host, key in (("local", "host"), ("remote", "remote")):
        for mode in ("total", "user", "system"):
            facts.put(f"{host}_cpu.{mode}", facts.number(cpu.first(f"{key}_{mode}"), 130.0, 100))
    for rate in [name for name in facts.values if name.endswith("_bits_per_second")]:
        if facts.values[rate.replace("bits_per_second", "seconds")] < 0.01:
            del facts.values[rate]
    facts.values["implausible_values"] = facts.implausible
    return facts.values


def claims_too_much(values, options):
    """Whether a receiver says that it got what was never sent; a last block is not counted by a sender."""
    blocks = 2 * 131072 * int(options[options.index("-P") + 1] if "-P" in options else 1)
    excess = [values.get(f"{way}.received_bytes", 0) - values.get(f"{way}.sent_bytes", math.inf)
              for way in ("upload", "download")]
    return "-O" not in options and max(excess) > blocks


def lacks_data(values, options):
    """Whether the receiver of a direction got nothing, which is a result of UDP alone."""
    return "-u" not in options and any(values.get(f"{way}.received_bytes") == 0 for way in ("upload", "download"))


def is_success(values, options):
    return values is not None and not claims_too_much(values, options) and not lacks_data(values, options)


def evaluate(case, data):
    if case["status"] != 0:
        return None
    try:
        report = load(data)
    except ValueError:
        return None
    return measure(report, case["command"].split())


def read(path):
    """A report, from `path` or, of one too large to be kept as it is, from `path`.gz."""
    if path.exists():
        return path.read_bytes()
    with gzip.open(f"{path}.gz") as file:
        return file.read()


def main():
    for manifest in sorted(pathlib.Path(sys.argv[1]).glob("*/cases.json")):
        for name, case in json.loads(manifest.read_text(encoding="utf-8")).items():
            path = f"{manifest.parent.name}/{name}"
            values = evaluate(case, read(manifest.parent / f"{name}.json"))
            # What the test has to know of the run itself.
            print(path, "command", json.dumps(case["command"]))
            print(path, "status", case["status"])
            print(path, "stderr", case["stderr"].encode("utf-8").hex() or "-")
            print(path, "up", int(is_success(values, case["command"].split())))
            for fact, value in (values or {}).items():
                print(path, fact, repr(float(value)))


main()
