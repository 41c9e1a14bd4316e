#!/usr/bin/env python3
"""run.py [--list] [BIN_DIR [OUT_DIR]]: runs every benchmark program of BIN_DIR, writes the results as
JSON into OUT_DIR, and prints one table: the measured value, the ceiling or goal of the same run, their ratio, and the
recorded ratio from docs/PERFORMANCE.md.

A ratio above 1 is better than the ceiling or goal, for times and for rates alike. Absolute numbers are those of one
machine in one hour; the ratios are what can be compared. "missed" marks a ratio below the one required.
--list prints the names of the rows and runs nothing.
"""

import json
import pathlib
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple, Optional, Union

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs/PERFORMANCE.md"

# Short benchmarks are repeated and the median counts. These take a fixed number of steps instead.
FIXED_LENGTH = ("probe_bench", "waiting_bench", "sandbox_bench", "own_tests_bench")
REPEATED = ("--benchmark_repetitions=3", "--benchmark_min_time=0.1", "--benchmark_report_aggregates_only=true")


class Value(NamedTuple):
    """One number of one benchmark: `field` is a counter or "cpu_time" or "real_time"."""
    program: str
    benchmark: str
    field: str = "cpu_time"


class Row(NamedTuple):
    what: str
    unit: str                         # of both numbers
    measured: Value
    limit: Union[Value, float]        # the ceiling or goal
    limit_name: str
    required: Optional[float] = None  # the smallest ratio that meets the goal
    is_rate: bool = False             # more is better
    ratio: Optional[Value] = None     # where the benchmark itself compares, in pairs


def parse_rows():
    for size, report, required in (("2.7 kB", "3.12/tcp_default", 12), ("142 kB", "3.12/tcp_P128", 18),
                                   ("3.3 MB", "3.12/tcp_t60_i0.1_P16", 18)):
        measured = Value("parse_bench", f"parse/{report}")
        yield Row(f"report of {size} against nlohmann", "µs", measured, Value("parse_bench", f"nlohmann/{report}"),
                  "nlohmann::json", required)
        yield Row(f"report of {size} against its ceiling", "µs", measured, Value("parse_bench", f"stage1/{report}"),
                  "simdjson's first stage")


def probe_rows():
    for what, argument, goal in (("full speed", 0, 0.50), ("10 Mbit/s", 10, 0.65)):
        yield Row(f"overhead of a probe, {what}", "ms",
                  Value("probe_bench", f"BM_ProbeOfARealIperf3/Mbit:{argument}", "overhead_ms"), goal, "goal", 1)
    yield Row("start to the first /metrics", "ms", Value("probe_bench", "BM_StartToFirstMetrics", "real_time"), 10,
              "goal", 1)
    for what, argument in (("without a pause", 0), ("after 20 ms", 20)):
        name = f"BM_ProbeOfAnInstantIperf3/pause_ms:{argument}"
        yield Row(f"probe of an instant iperf3, {what}", "ms", Value("probe_bench", name, "probe_ms"),
                  Value("probe_bench", name, "bare_ms"), "bare program")
    for what, name, required in (("TCP", "BM_TcpThroughput", None),
                                 ("UDP, 64 bytes", "BM_UdpThroughputOf64Bytes", 0.98)):
        yield Row(f"throughput, {what}", "Gbit/s", Value("probe_bench", name, "probe_Gbit"),
                  Value("probe_bench", name, "bare_Gbit"), "bare iperf3", required, is_rate=True,
                  ratio=Value("probe_bench", name, "ratio_median"))
    yield Row("idle memory", "MB", Value("probe_bench", "BM_IdleMemory", "proportional_MB"), 12, "goal", 1)


ROWS = (
    *parse_rows(),
    Row("result decoded from the wire", "µs", Value("wire_bench", "wire/decode_result"), 1, "goal", 1),
    Row("page of a probe", "µs", Value("exposition_bench", "ProbePage/tcp"),
        Value("exposition_bench", "PrometheusCppRegistryPerProbe"), "prometheus-cpp"),
    Row("/metrics a second and core", "1/s",
        Value("http_bench", "BM_MetricsOver64Connections", "requests_per_core_second"), 20000, "goal", 1,
        is_rate=True),
    Row("lock handed over", "µs", Value("lock_bench", "BM_HandOver", "p50_us"), 200, "goal", 1),
    Row("job in the sandbox", "µs", Value("sandbox_bench", "BM_ProbeInSandbox", "job_us"),
        Value("sandbox_bench", "BM_ProbeInSandbox", "bare_us"), "bare program"),
    *probe_rows(),
    Row("/lock-status while 5,000 wait", "µs", Value("waiting_bench", "LockStatus/5000", "real_time"),
        Value("waiting_bench", "LockStatus/0", "real_time"), "nobody waits"),
    Row("/metrics while 5,000 wait", "µs", Value("waiting_bench", "Metrics/5000", "real_time"),
        Value("waiting_bench", "Metrics/0", "real_time"), "nobody waits"),
    *(Row(f"loop held up: 10,000 own tests, {what}", "ms", Value("own_tests_bench", "OwnTests/10000", field), 5, "goal", 1)
      for what, field in (("starts", "starts_loop_ms"), ("/results", "plain_loop_ms"), ("/results, gzip", "gzip_loop_ms"),
                             ("reload", "reload_loop_ms"))),
)

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def run(bin_dir, out_dir):
    programs = sorted(bin_dir.glob("*_bench"))
    if not programs:
        sys.exit(f"run.py: no benchmark programs in {bin_dir}")
    out_dir.mkdir(parents=True, exist_ok=True)
    for program in programs:
        began = time.monotonic()
        arguments = () if program.name in FIXED_LENGTH else REPEATED
        subprocess.run([program, *arguments, "--benchmark_out_format=json",
                        f"--benchmark_out={out_dir / program.name}.json"], check=True)
        print(f"{program.name}: {time.monotonic() - began:.0f} s\n", flush=True)


def read(out_dir, value, unit):
    """The value in `unit`, the median if there were repetitions."""
    found = []
    for entry in json.loads((out_dir / f"{value.program}.json").read_text())["benchmarks"]:
        if entry.get("error_occurred"):
            sys.exit(f"run.py: {entry['name']}: {entry['error_message']}")
        # What a name says of iterations and clocks is not part of the benchmark's own name.
        name = re.sub(r"/(iterations:\d+|repeats:\d+|manual_time|real_time|process_time)", "", entry["run_name"])
        if name == value.benchmark and entry.get("aggregate_name", "median") == "median":
            number = entry[value.field]
            if value.field in ("cpu_time", "real_time"):
                number *= NANOSECONDS[entry["time_unit"]] / NANOSECONDS[unit.replace("µ", "u")]
            found.append(number)
    if not found:
        sys.exit(f"run.py: no benchmark {value.benchmark} in {value.program}")
    return statistics.median(found)


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def record():
    """{what: ratio} of the table under "Record", which is one that this script printed."""
    text = RECORD.read_text()
    section = text[text.index("## Record"):].split("\n## ")[0]
    rows = [cells(line) for line in section.splitlines() if line.startswith("|")]
    return {row[0]: row[3].removesuffix(" missed") for row in rows}


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(out_dir):
    before = record()
    yield "| what | measured | ceiling or goal | ratio | record |"
    yield "|---|---|---|---|---|"
    for row in ROWS:
        measured = read(out_dir, row.measured, row.unit)
        limit = read(out_dir, row.limit, row.unit) if isinstance(row.limit, Value) else row.limit
        if row.ratio:
            ratio = read(out_dir, row.ratio, row.unit)
        else:
            ratio = measured / limit if row.is_rate else limit / measured
        goal = f"{row.limit_name} {number(limit)} {row.unit}"
        if row.required not in (None, 1):
            goal += f", {row.required:g} times"
        missed = " missed" if row.required is not None and ratio < row.required else ""
        yield (f"| {row.what} | {number(measured)} {row.unit} | {goal} | {number(ratio)}{missed} "
               f"| {before.get(row.what, '')} |")


def main(arguments):
    if arguments[:1] == ["--list"]:
        print("\n".join(row.what for row in ROWS))
        return
    bin_dir = pathlib.Path(arguments[0] if arguments else ROOT / "build/release/bin")
    out_dir = pathlib.Path(arguments[1] if len(arguments) > 1 else ROOT / "build/bench")
    run(bin_dir, out_dir)
    print("\n".join(table(out_dir)))


if __name__ == "__main__":
    main(sys.argv[1:])
