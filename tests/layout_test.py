"""Keeps the rules of the layout, by reading the include lines and the names of the files.

- A layer (a directory of sources) includes only the lower layers that LAYERS allows: common/ includes neither program,
  and worker/ and supervisor/ never include each other.
- One third-party library, one owner: a module (a prefix of its paths), or a layer where several need it.
- No file or directory with a name that says nothing, no file over 400 lines.
"""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
PROGRAM_DIRECTORIES = ("common", "worker", "supervisor")

# Each layer and the layers that it may include, all of which stand above it here.
BASE = ("common", "common/net", "common/iperf3")
LAYERS = {
    "common": (),
    "common/net": ("common",),
    "common/iperf3": ("common", "common/net"),
    "common/lock": ("common",),
    "common/wire": (*BASE, "common/lock"),

    "worker/sandbox": BASE,
    "worker/process": (*BASE, "worker/sandbox"),
    "worker/iperf3": (*BASE, "worker/process"),
    "worker/loop": (*BASE, "common/lock", "common/wire", "worker/sandbox", "worker/process", "worker/iperf3"),
    "worker": ("common", "common/wire", "worker/loop"),

    "supervisor/loop": BASE,
    "supervisor/listen": (*BASE, "supervisor/loop"),
    "supervisor/config": (*BASE, "common/lock", "supervisor/listen"),
    "supervisor/auth": (*BASE, "supervisor/config", "supervisor/loop"),
    "supervisor/http": (*BASE, "supervisor/auth", "supervisor/config", "supervisor/listen", "supervisor/loop"),
    "supervisor/results": BASE,
    "supervisor/budget": (*BASE, "supervisor/config", "supervisor/loop", "supervisor/results"),
    "supervisor/workers": (*BASE, "common/wire", "supervisor/loop"),
    "supervisor/exposition": (*BASE, "supervisor/config", "supervisor/http", "supervisor/results",
                              "supervisor/workers"),
    "supervisor/probe": (*BASE, "common/lock", "common/wire", "supervisor/budget", "supervisor/config",
                         "supervisor/loop", "supervisor/results", "supervisor/workers"),
    "supervisor/schedule": (*BASE, "common/lock", "supervisor/budget", "supervisor/config", "supervisor/loop",
                            "supervisor/probe", "supervisor/results"),
    "supervisor/web": (*BASE, "common/lock", "supervisor/config", "supervisor/probe", "supervisor/results"),
    "supervisor/app": (*BASE, "common/lock", "common/wire", "supervisor/auth", "supervisor/budget", "supervisor/config",
                       "supervisor/exposition", "supervisor/http", "supervisor/listen", "supervisor/loop",
                       "supervisor/probe", "supervisor/results", "supervisor/schedule", "supervisor/web",
                       "supervisor/workers"),
    "supervisor": ("common", "supervisor/app", "supervisor/auth", "supervisor/config"),
}

# Header prefix: the files (prefixes of their paths) that may include it.
OWNERS = {
    "boost/interprocess/": ("common/lock/wakeup.",),
    "simdjson": ("worker/iperf3/report_parser.", "worker/iperf3/traffic_count."),
    "seccomp.h": ("worker/sandbox/seccomp_filter.", "worker/sandbox/syscall_table."),
    "gflags/": ("supervisor/config/flags.",),
    "yaml-cpp/": ("supervisor/config/",),
    "cctz/": ("supervisor/config/time_window.",),
    "prometheus/": ("supervisor/exposition/",),
    "nlohmann/": ("supervisor/web/pages.",),
    "openssl/": ("supervisor/auth/tls_context.", "supervisor/auth/authenticator.",
                 "supervisor/auth/dummy_hashes.", "supervisor/auth/public_key."),
    "crypt.h": ("supervisor/auth/authenticator.",),
    "systemd/": ("supervisor/app/service_manager.", "supervisor/listen/listening_socket."),
    "event2/": ("supervisor/app/exporter.", "supervisor/http/", "supervisor/listen/acceptor.", "supervisor/loop/",
                "supervisor/auth/tls_context."),
    "libdeflate.h": ("supervisor/http/compression.",),
    "glog/": ("common/logging.",),
}
# What common/ must not include, whoever owns it.
NOT_IN_COMMON = ("event2/", "simdjson", "prometheus/", "gflags/")
FORBIDDEN_NAMES = ("util", "utils", "helper", "helpers", "manager", "misc")
# The field's own word for systemd and its kind.
FIELD_WORDS = ("service_manager",)
MAX_LINES = 400


def sources():
    """Paths of the C++ files of the programs, relative to the root."""
    for directory in PROGRAM_DIRECTORIES:
        for path in sorted((ROOT / directory).rglob("*")):
            if path.suffix in (".h", ".cc"):
                yield path.relative_to(ROOT).as_posix()


def includes(name, text=None):
    """(quote, header) of every include line of a file."""
    return INCLUDE.findall((ROOT / name).read_text() if text is None else text)


def layer_of(name):
    return name.rpartition("/")[0]


def layer_violation(name, header):
    """What is wrong with a file of ours that includes that header of ours, or None."""
    here, there = layer_of(name), layer_of(header)
    if here == there or there in LAYERS[here] or header == "common/build_info.h":
        return None
    return f"{name} includes {header}: {here}/ must not include {there}/"


def owner_violation(name, header):
    """What is wrong with a file that includes that third-party header, or None."""
    for prefix, owners in OWNERS.items():
        if header.startswith(prefix) and not name.startswith(owners):
            return f"{name} includes <{header}>, which only {' and '.join(owners)} may"
    if name.startswith("common/") and header.startswith(NOT_IN_COMMON):
        return f"{name} includes <{header}>, which common/ must not include"
    return None


class LayoutTest(unittest.TestCase):
    def test_layers_include_only_lower_ones(self):
        violations = [layer_violation(name, header) for name in sources()
                      for quote, header in includes(name) if quote == '"']
        self.assertEqual([], [violation for violation in violations if violation])

    def test_layers_are_listed_from_the_lowest(self):
        above = []
        for layer, allowed in LAYERS.items():
            self.assertLessEqual(set(allowed), set(above), layer)
            above.append(layer)
        self.assertEqual(set(LAYERS), {layer_of(name) for name in sources()} | {"supervisor/results"})

    def test_one_library_one_owner(self):
        violations = [owner_violation(name, header) for name in sources() for _, header in includes(name)]
        self.assertEqual([], [violation for violation in violations if violation])

    def test_own_headers_are_named_from_the_root(self):
        for name in sources():
            for quote, header in includes(name):
                if quote == '"' and header != "common/build_info.h":
                    self.assertTrue((ROOT / header).is_file(), f'{name} includes "{header}", which is no file')

    def test_no_forbidden_name(self):
        for name in sources():
            words = re.split(r"[/_.]", re.sub("|".join(FIELD_WORDS), "", name))
            self.assertFalse(set(words) & set(FORBIDDEN_NAMES), f"{name}: say what it is for")

    def test_files_stay_readable(self):
        for name in sources():
            lines = (ROOT / name).read_text().count("\n")
            self.assertLessEqual(lines, MAX_LINES, f"{name} has {lines} lines: it is two files")

    def test_headers_are_included_once(self):
        for name in sources():
            if name.endswith(".h"):
                self.assertIn("#pragma once", (ROOT / name).read_text(), name)

    def test_scripts_are_executable(self):
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-s", ".ci"], capture_output=True, text=True)
        if listed.returncode != 0:
            self.skipTest("not a git checkout")
        for line in listed.stdout.splitlines():
            if not line.endswith(".cmake"):
                self.assertTrue(line.startswith("100755"), line)


class RulesTest(unittest.TestCase):
    """The rules themselves can be broken."""

    def test_a_breach_is_seen(self):
        self.assertIsNotNone(layer_violation("common/error.h", "worker/iperf3/report_parser.h"))
        self.assertIsNotNone(layer_violation("worker/main.cc", "supervisor/config/options.h"))
        self.assertIsNotNone(layer_violation("supervisor/auth/web_security.cc", "supervisor/http/http_server.h"))
        self.assertIsNotNone(layer_violation("common/net/ip_address.h", "common/wire/wire.h"))
        self.assertIsNotNone(owner_violation("supervisor/web/pages.cc", "simdjson.h"))
        self.assertIsNotNone(owner_violation("worker/main.cc", "boost/interprocess/sync/named_mutex.hpp"))
        self.assertIsNotNone(owner_violation("common/error.h", "event2/event.h"))

    def test_what_is_allowed_passes(self):
        self.assertIsNone(layer_violation("worker/loop/job_runner.cc", "common/wire/wire.h"))
        self.assertIsNone(owner_violation("worker/iperf3/report_parser.cc", "simdjson.h"))
        self.assertIsNone(owner_violation("supervisor/web/pages.cc", "string"))

    def test_include_lines_are_found(self):
        self.assertEqual([("<", "vector"), ('"', "common/error.h")],
                         includes("", '#include <vector>\n  #  include "common/error.h"\n// #include <no>\n'))


if __name__ == "__main__":
    unittest.main()
