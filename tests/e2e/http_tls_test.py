"""TLS as the web configuration file asks for it, seen by curl, openssl and sslscan."""

import collections
import contextlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from certificates import Certificates
from harness import WAIT_SECONDS, wait_until
from http_auth_test import USERS, basic
from http_server_fixture import HttpFixture, parse_response, read_response, read_to_end, request, send_all, statuses

CERTIFICATES = None


def setUpModule():
    global CERTIFICATES
    CERTIFICATES = Certificates()


def tearDownModule():
    CERTIFICATES.close()


def config(*lines, cert="server"):
    text = ["tls_server_config:", f"  cert_file: {CERTIFICATES.path(cert + '.pem')}",
            f"  key_file: {CERTIFICATES.path(cert + '.key')}"]
    return "\n".join(text + ["  " + line for line in lines]) + "\n"


def curl(server, *arguments, path="/metrics"):
    """(HTTP status or 0, text) of a request by curl over TLS that trusts the CA."""
    command = ["curl", "-sS", "--cacert", CERTIFICATES.path("ca.pem"), "-o", "/dev/null", "-w", "%{http_code}",
               "--max-time", str(WAIT_SECONDS), *arguments, f"https://localhost:{server.port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout or 0), done.stderr


def client_arguments(name):
    return () if name is None else ("--cert", CERTIFICATES.path(name + ".pem"), "--key", CERTIFICATES.path(name + ".key"))


def s_client(server, *arguments):
    """What `openssl s_client` says about a handshake."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", CERTIFICATES.path("ca.pem"), *arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=WAIT_SECONDS)
    return done.stdout + done.stderr


def negotiated(server, *arguments):
    """The cipher that was agreed upon, or None."""
    found = re.search(r"Cipher is (\S+)", s_client(server, *arguments))
    return None if found is None or found.group(1) == "(NONE)" else found.group(1)


class TlsTest(unittest.TestCase):
    def test_serves(self):
        with HttpFixture(config=config()) as server:
            self.assertEqual((200, ""), curl(server))
            self.assertEqual((404, ""), curl(server, path="/nothing"))

    def test_inline_pem(self):
        indented = lambda name: CERTIFICATES.text(name).replace("\n", "\n    ")
        text = f"tls_server_config:\n  cert: |\n    {indented('server.pem')}\n  key: |\n    {indented('server.key')}\n"
        text += f"  client_ca: |\n    {indented('ca.pem')}\n  client_auth_type: RequireAndVerifyClientCert\n"
        with HttpFixture(config=text) as server:
            self.assertEqual(0, curl(server)[0])
            self.assertEqual(200, curl(server, *client_arguments("right"))[0])

    def test_paths_are_relative_to_the_file(self):
        files = {"a.pem": CERTIFICATES.text("server.pem"), "a.key": CERTIFICATES.text("server.key")}
        with HttpFixture(config="tls_server_config: {cert_file: a.pem, key_file: ./a.key}\n", files=files) as server:
            self.assertEqual(200, curl(server)[0])

    def test_client_auth_types(self):
        anyone = dict.fromkeys((None, "right", "expired", "wrong", "nameless", "not_for_clients"), 200)
        expected = {
            "NoClientCert": anyone,
            "RequestClientCert": anyone,
            "RequireClientCert": {**anyone, None: 0},
            "RequireAnyClientCert": {**anyone, None: 0},
            "VerifyClientCertIfGiven": {**anyone, "expired": 0, "wrong": 0, "not_for_clients": 0},
            "RequireAndVerifyClientCert": {**anyone, None: 0, "expired": 0, "wrong": 0, "not_for_clients": 0},
        }
        for auth_type, by_client in expected.items():
            ca = () if auth_type == "NoClientCert" else (f"client_ca_file: {CERTIFICATES.path('ca.pem')}",)
            with HttpFixture(config=config(f"client_auth_type: {auth_type}", *ca)) as server:
                for client, status in by_client.items():
                    for version in ("1.2", "1.3"):
                        with self.subTest(auth_type, client=client, version=version):
                            got = curl(server, f"--tlsv{version}", "--tls-max", version, *client_arguments(client))
                            self.assertEqual(status, got[0], got[1])

    def test_a_weak_client_certificate_is_refused(self):
        text = config("client_auth_type: RequireAndVerifyClientCert", f"client_ca_file: {CERTIFICATES.path('ca.pem')}")
        with HttpFixture(config=text) as server:
            for name, expected in (("right", [200]), ("weak", [])):
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    context = ssl.create_default_context(cafile=CERTIFICATES.path("ca.pem"))
                    context.maximum_version = version
                    context.set_ciphers("ALL:@SECLEVEL=0")  # this client would send it
                    context.load_cert_chain(CERTIFICATES.path(name + ".pem"), CERTIFICATES.path(name + ".key"))
                    with self.subTest(name, version=version):
                        self.assertEqual(expected, statuses(exchange_tls(server, context)))

    def test_an_intermediate_certificate_is_sent(self):
        text = CERTIFICATES.text("chained.pem") + CERTIFICATES.text("intermediate.pem")
        files = {"chain.pem": text, "chain.key": CERTIFICATES.text("chained.key")}
        with HttpFixture(config="tls_server_config: {cert_file: chain.pem, key_file: chain.key}\n", files=files) as server:
            self.assertEqual((200, ""), curl(server))

    def test_a_refused_client_sees_why(self):
        text = config("client_auth_type: RequireAndVerifyClientCert", f"client_ca_file: {CERTIFICATES.path('ca.pem')}")
        # In TLS 1.2 there is no alert of its own for a missing certificate.
        alerts = {"1.2": {None: "handshake failure", "wrong": "unknown ca"},
                  "1.3": {None: "certificate required", "wrong": "unknown ca"}}
        with HttpFixture(config=text) as server:
            for version, by_client in alerts.items():
                for client, alert in by_client.items():
                    # Not by chance: the request is often on its way when the refusal comes.
                    for _ in range(5):
                        status, error = curl(server, f"--tlsv{version}", "--tls-max", version, *client_arguments(client))
                        self.assertEqual(0, status)
                        self.assertIn(f"alert {alert}", error, (version, client))
            wait_until(lambda: "tls handshake refused" in server.log(), "logged")
            self.assertIn("peer did not return a certificate", server.log())
            self.assertRegex(server.log(), "level=info.*tls handshake refused.*reason=")

    def test_refused_handshakes_are_limited_in_the_log(self):
        text = config("client_auth_type: RequireAnyClientCert")
        with HttpFixture(config=text) as server:
            start = time.monotonic()
            for _ in range(30):
                with self.assertRaises(ssl.SSLError), tls(server) as client:
                    client.sendall(request("/metrics"))
                    read_to_end(client)
            seconds = time.monotonic() - start
            self.assertLessEqual(server.log().count("tls handshake refused"), 5 * (seconds + 2))

    def test_a_refused_client_that_stays_is_cut_off(self):
        text = config("client_auth_type: RequireAnyClientCert")
        with HttpFixture(config=text) as server:
            context = ssl.create_default_context(cafile=CERTIFICATES.path("ca.pem"))
            # Neither closes nor stops sending: gone by time or by volume.
            for size in (0, 4 << 20):
                with server.connect() as client:
                    session = context.wrap_bio(incoming := ssl.MemoryBIO(), outgoing := ssl.MemoryBIO(),
                                               server_hostname="localhost")
                    while True:
                        try:
                            session.do_handshake()
                            break
                        except ssl.SSLWantReadError:
                            client.sendall(outgoing.read())
                            incoming.write(client.recv(65536))
                    send_all(client, outgoing.read() + b"x" * size)
                    self.assertNotEqual(b"", read_to_end(client), "no alert")
                    # Ours is still open, but nobody answers to it any more.
                    wait_until(lambda: is_reset(client), "closed by the server")

    def test_client_allowed_sans(self):
        for name in ("scraper.example", "192.0.2.7", "2001:db8::7", "ops@example.org", "spiffe://example/scraper"):
            with self.subTest(name):
                text = config("client_auth_type: RequireAndVerifyClientCert", f"client_ca_file: {CERTIFICATES.path('ca.pem')}",
                              f"client_allowed_sans: [unused.example, '{name}']")
                with HttpFixture(config=text) as server:
                    self.assertEqual(200, curl(server, *client_arguments("right"))[0])
                    self.assertEqual(0, curl(server, *client_arguments("nameless"))[0])
                    self.assertEqual(0, curl(server, *client_arguments("wrong"))[0])
        for allowed in ("[example, '*.example', scraper.exampl, 192.0.2.70]", "[]"):
            text = config("client_auth_type: RequireAnyClientCert", f"client_allowed_sans: {allowed}")
            with HttpFixture(config=text) as server:
                self.assertEqual(0, curl(server, *client_arguments("right"))[0])

    def test_versions(self):
        cases = {
            (): ("tls1_2", "tls1_3"),
            ("min_version: TLS13",): ("tls1_3",),
            ("max_version: TLS12",): ("tls1_2",),
            ("min_version: TLS11",): ("tls1_1", "tls1_2", "tls1_3"),
            ("min_version: TLS10", "max_version: TLS10"): ("tls1",),
            ("min_version: TLS10",): ("tls1", "tls1_1", "tls1_2", "tls1_3"),
        }
        for lines, accepted in cases.items():
            with HttpFixture(config=config(*lines)) as server:
                for version in ("tls1", "tls1_1", "tls1_2", "tls1_3"):
                    with self.subTest(lines, version=version):
                        cipher = negotiated(server, "-" + version, "-cipher", "ALL:@SECLEVEL=0")
                        self.assertEqual(version in accepted, cipher is not None)

    def test_ciphers(self):
        names = {
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
            "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
            "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
            "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        }
        for go_name, openssl_name in names.items():
            with self.subTest(go_name):
                cert = "rsa_server" if "_RSA_" in go_name else "server"
                with HttpFixture(config=config(f"cipher_suites: [{go_name}]", cert=cert)) as server:
                    self.assertEqual(openssl_name, negotiated(server, "-tls1_2", "-cipher", "ALL"))
                    self.assertIsNone(negotiated(server, "-tls1_2", "-cipher", f"ALL:!{openssl_name}"))

    def test_order_of_ciphers(self):
        ciphers = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"
        client = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
        with HttpFixture(config=config(ciphers)) as server:
            self.assertEqual("ECDHE-ECDSA-AES256-GCM-SHA384", negotiated(server, *client))
        with HttpFixture(config=config(ciphers, "prefer_server_cipher_suites: false")) as server:
            self.assertEqual("ECDHE-ECDSA-AES128-GCM-SHA256", negotiated(server, *client))

    def test_only_ciphers_of_tls13_means_only_tls13(self):
        with HttpFixture(config=config("cipher_suites: [TLS_AES_128_GCM_SHA256]")) as server:
            self.assertIsNone(negotiated(server, "-tls1_2"))
            self.assertIsNotNone(negotiated(server, "-tls1_3"))

    def test_curves(self):
        curves = {"CurveP256": "P-256", "CurveP384": "P-384", "CurveP521": "P-521", "X25519": "X25519"}
        for go_name, openssl_name in curves.items():
            with HttpFixture(config=config(f"curve_preferences: [{go_name}]")) as server:
                for other in curves.values():
                    with self.subTest(go_name, client=other):
                        # P-256 is also the certificate's.
                        groups = other if other == openssl_name else other + ":P-256" if openssl_name != "P-256" else other
                        self.assertEqual(other == openssl_name, negotiated(server, "-tls1_3", "-groups", groups) is not None)

    def test_plain_http_on_the_tls_port(self):
        with HttpFixture(config=config()) as server:
            raw = server.exchange(request("/metrics"))
            self.assertTrue(raw.startswith(b"HTTP/1.0 400 Bad Request\r\n"), raw)
            head, body = raw.split(b"\r\n\r\n", 1)
            self.assertEqual(b"Client sent an HTTP request to an HTTPS server.\n", body)
            self.assertIn(b"\r\nContent-Length: %d\r\n" % len(body), head)

    def test_http_2_is_not_offered(self):
        with HttpFixture(config=config() + "http_server_config: {http2: true}\n") as server:
            self.assertIn("ALPN protocol: http/1.1", s_client(server, "-alpn", "h2,http/1.1"))
            self.assertEqual(200, curl(server, "--http2")[0])

    def test_handshake_is_inside_the_time_to_the_end_of_the_head(self):
        with HttpFixture("--request-timeout-ms=2000", config=config()) as server:
            for hello in (b"", bytes.fromhex("160301010001")):
                with server.connect() as client:
                    client.sendall(hello)
                    read_to_end(client)
            with tls(server) as client:
                client.sendall(b"GET /met")
                self.assertEqual(b"", read_tls_to_end(client))
            self.assertIn("did not arrive in time", server.log())

    def test_garbage_and_renegotiation(self):
        with HttpFixture(config=config()) as server:
            for raw in (b"\x16\x03\x01" + b"\xff" * 4000, b"\x80\x2e\x01\x03\x01" + b"\0" * 50, bytes(range(256))):
                server.exchange(raw)
            self.assertIn("Secure Renegotiation IS", s_client(server, "-tls1_2"))
            self.assertEqual(200, curl(server)[0])

    def test_says_goodbye(self):
        with HttpFixture(config=config()) as server, tls(server) as client:
            client.sendall(request("/metrics", "Connection: close"))
            data = b""
            while True:
                got = client.recv(65536)  # Raises if the end came without close_notify.
                if not got:
                    break
                data += got
            self.assertEqual([200], statuses(data))

    def test_wrong_requests_and_pipelining_under_tls(self):
        with HttpFixture(config=config()) as server:
            with tls(server) as client:
                client.sendall(request("/metrics") + request("/nothing") + request("/metrics", "X : y"))
                self.assertEqual([200, 404, 400], statuses(read_tls_to_end(client)))

    def test_client_that_goes_away_is_noticed_under_tls(self):
        with HttpFixture(config=config()) as server, tls(server) as watcher:
            for index, ending in enumerate(("goodbye", "close", "reset", "pipelined bytes")):
                client = tls(server)
                client.sendall(request("/probe"))
                wait_until(lambda: b'"pending": 1' in ask(watcher, "/statistics"), "probe pending")
                if ending == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                if ending == "pipelined bytes":
                    client.sendall(request("/metrics"))
                if ending == "goodbye":
                    client.unwrap().close()
                client.close()
                count = f'"disconnects": {index + 1}'.encode()
                wait_until(lambda: count in ask(watcher, "/statistics"), ending)

    @unittest.skipUnless(shutil.which("sslscan"), "sslscan is not installed")
    def test_sslscan_finds_nothing_weak(self):
        for cert in ("server", "rsa_server"):
            with HttpFixture(config=config(cert=cert)) as server:
                report = subprocess.run(["sslscan", "--no-colour", f"127.0.0.1:{server.port}"], capture_output=True,
                                        text=True).stdout
                for protocol in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
                    self.assertRegex(report, rf"{re.escape(protocol)}\s+disabled")
                for protocol in ("TLSv1.2", "TLSv1.3"):
                    self.assertRegex(report, rf"{re.escape(protocol)}\s+enabled")
                accepted = re.findall(r"^(?:Accepted|Preferred)\s+\S+\s+(\d+) bits\s+(\S+)", report, re.MULTILINE)
                self.assertGreaterEqual(len(accepted), 6, report)
                for bits, cipher in accepted:
                    self.assertGreaterEqual(int(bits), 128)
                    self.assertRegex(cipher, "GCM|CHACHA20")
                self.assertNotIn("Compression enabled", report)
                self.assertNotRegex(report, "(?<!not )vulnerable to heartbleed")


def tls(server):
    context = ssl.create_default_context(cafile=CERTIFICATES.path("ca.pem"))
    return context.wrap_socket(server.connect(), server_hostname="localhost", suppress_ragged_eofs=False)


def exchange_tls(server, context):
    """The answer to a request; empty if the handshake is refused, then or later."""
    try:
        with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
            client.sendall(request("/metrics", "Connection: close"))
            return read_to_end(client)
    except (ssl.SSLError, ConnectionError):
        return b""


def read_tls_to_end(client):
    try:
        return read_to_end(client)
    except ssl.SSLError:
        return b""


def is_reset(client):
    """Whether the other end has closed: a byte sent to it comes back as a reset."""
    try:
        client.send(b"x")
        return False
    except OSError:
        return True


def ask(client, path):
    client.sendall(request(path))
    return read_response(client)[2]


class ReloadTest(unittest.TestCase):
    def serial(self, server):
        command = f"openssl s_client -connect 127.0.0.1:{server.port} </dev/null 2>/dev/null | openssl x509 -noout -subject"
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout.strip()[-7:].strip(" =")

    def pair(self, server, name):
        for extension in ("pem", "key"):
            server.write(f"a.{extension}", CERTIFICATES.text(f"{name}.{extension}"))

    def test_certificate_replaced_under_a_running_server(self):
        files = {"a.pem": CERTIFICATES.text("server.pem"), "a.key": CERTIFICATES.text("server.key")}
        with HttpFixture(config="tls_server_config: {cert_file: a.pem, key_file: a.key}\n", files=files) as server:
            with tls(server) as old:
                self.assertIn(b"reload_ok", ask(old, "/statistics"))
                self.assertEqual("server", self.serial(server))
                server.write("a.pem", CERTIFICATES.text("server2.pem"))
                # Half of the change: refused, the old pair stays.
                wait_until(lambda: b'"reload_ok": false' in ask(old, "/statistics"), "refused")
                self.assertEqual("server", self.serial(server))
                self.assertIn("does not match", server.log())
                server.write("a.key", CERTIFICATES.text("server2.key"))
                wait_until(lambda: b'"reload_ok": true' in ask(old, "/statistics"), "reloaded")
                self.assertEqual("server2", self.serial(server))

    def test_a_bad_change_keeps_the_old(self):
        with HttpFixture(config=config()) as server, tls(server) as kept:
            for bad in ("tls_server_config: [", "unknown: 1\n", config("min_version: TLS9"), config().replace(".key", ".no")):
                before = server.log().count("not reloaded")
                server.write("web.yml", bad)
                wait_until(lambda: server.log().count("not reloaded") > before, "refused")
                self.assertEqual(200, curl(server)[0])
                self.assertIn(b'"reload_ok": false', ask(kept, "/statistics"))
                status, text = self.post_reload(server)
                self.assertEqual(500, status)
                self.assertIn(str(server.directory / "web.yml") + ":", text)
            server.write("web.yml", config("min_version: TLS13"))
            self.assertEqual(200, self.post_reload(server)[0])
            self.assertIsNone(negotiated(server, "-tls1_2"))

    def post_reload(self, server):
        with tls(server) as client:
            client.sendall(request("/-/reload", "Content-Length: 0", method="POST"))
            status, _, body = read_response(client)
            return status, body.decode()

    def test_a_change_is_logged_once(self):
        with HttpFixture(config="") as server:
            for text, line in (("x: 1\n", "web configuration not reloaded"), ("rate_limit: {}\n", "web configuration reloaded")):
                server.write("web.yml", text)
                wait_until(lambda: line in server.log(), line)
            # By now there has been time to repeat the first line.
            self.assertEqual(1, server.log().count("web configuration not reloaded"))

    def test_hangup_reads_again(self):
        with HttpFixture(config=config()) as server:
            server.signal(signal.SIGHUP)
            wait_until(lambda: "reloaded" in server.log(), "reloaded")
            server.write("web.yml", "x: 1\n")
            server.signal(signal.SIGHUP)
            wait_until(lambda: 'unknown key' in server.log(), "refused")
            self.assertEqual(200, curl(server)[0])

    def test_tls_switched_on(self):
        with HttpFixture(config="") as server:
            self.assertEqual(200, server.get("/metrics")[0])
            server.write("web.yml", config())
            wait_until(lambda: curl(server)[0] == 200, "TLS")


class UnfinishedFileTest(unittest.TestCase):
    """A file that is saved in place: for a while it is empty or ends early."""

    def setUp(self):
        self.text = config() + USERS
        self.server = self.enterContext(HttpFixture(config=self.text))
        self.statuses = collections.Counter()

    @contextlib.contextmanager
    def polled(self):
        """Strangers ask all the time, over HTTP and over TLS: none is admitted."""
        stop = threading.Event()
        threads = [threading.Thread(target=self.poll, args=(connect, stop))
                   for connect in (self.server.connect, lambda: tls(self.server)) * 2]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertNotIn(200, self.statuses)
        self.assertGreater(self.statuses[400], 0)
        self.assertGreater(self.statuses[401], 0)

    def poll(self, connect, stop):
        while not stop.is_set():
            with contextlib.suppress(OSError, ssl.SSLError), connect() as client:
                client.sendall(request("/metrics", "Connection: close"))
                raw = read_to_end(client)
                self.statuses[parse_response(raw)[0][0] if raw else 0] += 1

    def save(self, text, pause=0.0):
        """As an editor does that keeps the file: emptied, then written in two parts."""
        with open(self.server.directory / "web.yml", "w", encoding="utf-8") as file:
            time.sleep(pause)
            file.write(text[:len(text) // 2])
            file.flush()
            time.sleep(pause)
            file.write(text[len(text) // 2:])

    def statistics(self):
        with tls(self.server) as client:
            client.sendall(request("/statistics", basic("alice", "secret"), "Connection: close"))
            return read_response(client)[2]

    def wait_for(self, text):
        wait_until(lambda: text in self.statistics(), text)

    def test_a_thousand_saves_let_nobody_in(self):
        with self.polled():
            for number in range(1000):
                self.save(self.text, pause=0.001 * (number % 3))
        self.wait_for(b'"reload_ok": true')

    def test_a_change_takes_no_protection_away(self):
        for text in ("", "# comment\n", "---\n", "{}\n", config(), USERS):
            with self.subTest(text), self.polled():
                before = self.server.log().count("web configuration not reloaded")
                self.server.write("web.yml", text)
                self.wait_for(b'"reload_ok": false')
                self.assertEqual(before + 1, self.server.log().count("web configuration not reloaded"))
                self.server.write("web.yml", self.text)
                self.wait_for(b'"reload_ok": true')
        self.assertIn("would switch off or weaken TLS, basic authentication", self.server.log())

    def test_client_certificates_stay_required(self):
        required = config("client_auth_type: RequireAndVerifyClientCert", f"client_ca_file: {CERTIFICATES.path('ca.pem')}")
        with HttpFixture(config=required) as server:
            for text in (config(), config("client_auth_type: RequireAnyClientCert")):
                before = server.log().count("would switch off or weaken client certificates")
                server.write("web.yml", text)
                wait_until(lambda: server.log().count("would switch off or weaken client certificates") > before, "refused")
                self.assertEqual(0, curl(server)[0])

    def test_tls_allows_no_more_than_before(self):
        for key, what in (("min_version: TLS13", "minimum TLS version"),
                          ("cipher_suites: [TLS_AES_256_GCM_SHA384]", "minimum TLS version"),
                          ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]", "cipher_suites"),
                          ("curve_preferences: [CurveP521]", "curve_preferences")):
            client = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-groups", "P-256")
            with self.subTest(key), HttpFixture(config=config(key)) as server:
                self.assertIsNone(negotiated(server, *client))
                server.write("web.yml", config())
                refused = f'it would switch off or weaken {what}; only SIGHUP'
                wait_until(lambda: refused in server.log() or negotiated(server, *client), "the change is noticed")
                self.assertIsNone(negotiated(server, *client))
                server.signal(signal.SIGHUP)
                wait_until(lambda: negotiated(server, *client), "applied as requested")

    def test_a_request_takes_protection_away(self):
        self.save("# nothing\n")
        self.server.signal(signal.SIGHUP)
        wait_until(lambda: self.server.get("/metrics")[0] == 200, "plain HTTP")
        self.assertRegex(self.server.log(), 'level=warn.*switched off.*"TLS, basic authentication"')
        self.assertTrue(self.server.statistics()["reload_ok"])


if __name__ == "__main__":
    unittest.main()
