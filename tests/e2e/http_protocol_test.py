"""What the HTTP server makes of requests, right ones and every kind of wrong one."""

import gzip
import socket
import unittest

from harness import wait_until
from http_server_fixture import HttpFixture, parse_response, read_response, read_to_end, request, send_all, statuses


class ProtocolTest(unittest.TestCase):
    def setUp(self):
        self.server = HttpFixture()
        self.addCleanup(self.finish)

    def finish(self):
        self.assertTrue(self.server.alive(), self.server.log())
        self.assertEqual(0, self.server.stop(), self.server.log())
        self.server.close()

    def test_answers_with_type_and_length(self):
        status, headers, body = self.server.get("/metrics")
        self.assertEqual(200, status)
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", headers["content-type"])
        self.assertEqual(len(body), int(headers["content-length"]))

    def test_head_has_the_headers_and_no_body(self):
        raw = self.server.exchange(request("/metrics", "Connection: close", method="HEAD"))
        head, body = raw.split(b"\r\n\r\n", 1)
        self.assertEqual(b"", body)
        length = len(self.server.get("/metrics")[2])
        self.assertIn(f"Content-Length: {length}".encode(), head)

    def test_head_of_a_probe_runs_none(self):
        raw = self.server.exchange(request("/probe?target=a", method="HEAD") +
                                 request("/metrics", "Connection: close", method="HEAD"))
        first, second, rest = raw.split(b"\r\n\r\n")
        self.assertTrue(first.startswith(b"HTTP/1.1 200 "))
        # RFC 9110, 8.6: the length of GET's answer, which nobody knows, or none.
        self.assertNotIn(b"content-length", first.lower())
        self.assertNotIn(b"transfer-encoding", first.lower())
        self.assertTrue(second.startswith(b"HTTP/1.1 200 "))
        self.assertIn(b"Content-Length: ", second)
        self.assertEqual(b"", rest)
        self.assertEqual(0, self.server.statistics()["probes"])

    def test_other_methods_are_405_with_allow(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "BREW"):
            status, headers, _ = parse_response(
                self.server.exchange(request("/probe", "Connection: close", method=method)))[0]
            self.assertEqual((405, "GET, HEAD"), (status, headers.get("allow")), method)
        status, headers, _ = self.server.get("/-/reload")
        self.assertEqual((405, "POST"), (status, headers["allow"]))

    def test_unknown_methods_get_the_answer_of_any_wrong_one(self):
        def answer(method, path, *lines):
            raw = self.server.exchange(request(path, *lines, method=method) + request("/nothing", "Connection: close"))
            first, *rest = parse_response(raw)
            self.assertIn("date", first[1])
            return {**first[1], "date": ""}, first[0], first[2], rest[0][0]

        for path in ("/probe", "/-/nothing"):
            for lines in ((), ("X-Field: a b",)):
                expected = answer("PUT", path, *lines)
                for method in ("FOO", "BREW", "get", "CONNECT", "A" * 2000, "!"):
                    self.assertEqual(expected, answer(method, path, *lines), method[:9])
        # Also when it comes bit by bit.
        with self.server.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request("/metrics", method="FOO") + request("/metrics", "Connection: close"):
                client.sendall(bytes([byte]))
            self.assertEqual([405, 200], statuses(read_to_end(client)))

    def test_every_error_response_has_a_date(self):
        self.assertIn("date", parse_response(self.server.exchange(b"GET /metrics HTTP/1.1\r\n\r\n"))[0][1])

    def test_unknown_path_is_404_and_counted_as_other(self):
        status, _, body = self.server.get("/nothing/here?x=1")
        self.assertEqual((404, "404 page not found\n"), (status, body))
        self.assertEqual(404, self.server.get("//metrics")[0])
        self.assertEqual(404, self.server.get("/metrics/")[0])
        self.assertEqual({"other 404", "/metrics 200", "/statistics 200"} & set(self.server.statistics()["requests"]),
                         {"other 404"})

    def test_path_is_decoded_and_query_is_not(self):
        self.assertEqual(200, self.server.get("/%6detrics")[0])
        with self.server.connect() as client:
            client.sendall(request("/probe?target=%00%ff&x=%zz"))
            wait_until(lambda: self.server.statistics()["pending"] == 1, "probe pending")
            self.server.get("/release")
            self.assertEqual(b"query=target=%00%ff&x=%zz\n", read_response(client)[2])

    def test_absolute_form(self):
        for host in ("example.org", "example.org:80", "[2001:db8::1]:9579", "h:99999", "10.0.0.1:"):
            self.assertEqual(200, self.server.get(f"http://{host}/metrics?a=b")[0], host)
        with self.server.connect() as client:
            client.sendall(request("HTTP://example.org/probe?target=a"))
            wait_until(lambda: self.server.statistics()["pending"] == 1, "probe pending")
            self.server.get("/release")
            self.assertEqual(b"query=target=a\n", read_response(client)[2])

    def test_every_target_is_answered_by_us_and_counted(self):
        # libevent takes some of these for a host and a port, and would answer by itself.
        for target, expected in (("//h:99999/", 404), ("//", 404), ("//a|b/metrics", 404), ("///metrics", 404),
                                 ("/a:b", 404), ("/:", 404), ("/|", 404), ("/\xff", 404), ("/[", 404), ("/\\", 404),
                                 ("http://a|b/metrics", 400), ("http://u@h/metrics", 400), ("http://h:1^/", 400),
                                 ("http://h/|", 404), ("ftp://h/metrics", 400), ("a:b", 400), (":", 400)):
            with self.subTest(target):
                before = self.server.statistics()["requests"].get(f"other {expected}", 0)
                ours = parse_response(self.server.exchange(request(target, "Connection: close")))
                self.assertEqual([expected], [status for status, _, _ in ours])
                _, headers, body = ours[0]
                self.assertEqual("text/plain; charset=utf-8", headers["content-type"])
                self.assertEqual(len(body), int(headers["content-length"]))
                self.assertEqual(before + 1, self.server.statistics()["requests"].get(f"other {expected}"))

    def test_gzip_only_when_asked_for(self):
        plain = self.server.get("/metrics")[2]
        raw = self.server.exchange(request("/metrics", "Accept-Encoding: deflate, gzip;q=0.5", "Connection: close"))
        head, body = raw.split(b"\r\n\r\n", 1)
        self.assertIn(b"Content-Encoding: gzip", head)
        self.assertIn(f"Content-Length: {len(body)}".encode(), head)
        self.assertEqual(plain, gzip.decompress(body).decode())
        self.assertNotIn("content-encoding", self.server.get("/metrics", "Accept-Encoding: gzip;q=0, *")[1])
        self.assertNotIn("content-encoding", self.server.get("/-/nothing", "Accept-Encoding: gzip")[1])

    def test_keep_alive_and_http_1_0(self):
        with self.server.connect() as client:
            for _ in range(3):
                client.sendall(request("/metrics"))
                self.assertEqual(200, read_response(client)[0])
        self.assertEqual([200], statuses(self.server.exchange(request("/metrics", version="HTTP/1.0", host=None))))

    def test_pipelined_requests_are_answered_in_order(self):
        raw = self.server.exchange(request("/metrics") + request("/nothing") + request("/metrics") +
                                 request("/drop", "Connection: close"))
        self.assertEqual([200, 404, 200, 500], statuses(raw))

    def test_a_dropped_exchange_is_answered(self):
        self.assertEqual(500, self.server.get("/drop")[0])

    def test_a_client_that_goes_away_is_noticed(self):
        for ending in ("close", "reset", "half close", "close after pipelined bytes"):
            before = self.server.statistics()["disconnects"]
            pending = self.server.statistics()["probes"]
            client = self.server.connect()
            client.sendall(request("/probe"))
            wait_until(lambda: self.server.statistics()["probes"] > pending, "probe pending")
            if ending == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if ending.endswith("bytes"):
                client.sendall(request("/metrics") + b"GET /met")
            if ending == "half close":
                client.shutdown(socket.SHUT_WR)
            else:
                client.close()
            wait_until(lambda: self.server.statistics()["disconnects"] == before + 1, ending)
            client.close()
        self.assertEqual(0, self.server.statistics()["pending"])

    def test_pipelining_behind_a_pending_probe(self):
        with self.server.connect() as client:
            client.sendall(request("/probe?target=first"))
            wait_until(lambda: self.server.statistics()["pending"] == 1, "probe pending")
            client.sendall(request("/metrics") + request("/nothing") + b"BAD LINE\r\n\r\n" + request("/metrics"))
            self.server.get("/release")
            self.assertEqual([200, 200, 404, 400], statuses(read_to_end(client)))

    def test_a_flood_behind_a_pending_probe_ends_it(self):
        before = self.server.resident_bytes()
        # Together with the request and after it; so little that it is gone when the client is, and without end.
        for ahead, behind in ((0, 70_000), (70_000, 0), (17_000, 0), (15_000, 2_000), (0, 64 << 20)):
            seen = self.server.statistics()
            with self.subTest(ahead=ahead, behind=behind), self.server.connect() as client:
                send_all(client, request("/probe") + b"x" * ahead)
                wait_until(lambda: self.server.statistics()["probes"] > seen["probes"], "probe pending")
                send_all(client, b"x" * behind)
                self.assertEqual(b"", read_to_end(client))
            wait_until(lambda: self.server.statistics()["disconnects"] > seen["disconnects"], "disconnect noticed")
            self.assertEqual(seen["rejected"] + 1, self.server.statistics()["rejected"])
        self.assertEqual(0, self.server.statistics()["pending"])
        self.assertIn("too much was sent while a request was pending", self.server.log())
        self.assertLess(self.server.resident_bytes() - before, 4 << 20)

    def test_what_may_wait_behind_a_pending_probe(self):
        with self.server.connect() as client:
            client.sendall(request("/probe"))
            wait_until(lambda: self.server.statistics()["pending"] == 1, "probe pending")
            requests = 16_000 // len(request("/metrics"))
            client.sendall(request("/metrics") * requests)
            self.assertEqual(1, self.server.statistics()["pending"])
            self.server.get("/release")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual([200] * (1 + requests), statuses(read_to_end(client)))

    def test_half_closed_client_gets_its_answer(self):
        self.assertEqual([200], statuses(self.server.exchange(request("/metrics"), half_close=True)))
        raw = self.server.exchange(request("/metrics") * 3, half_close=True)
        self.assertEqual([200, 200, 200], statuses(raw))

    def test_stop_accepting_lets_pending_requests_end(self):
        with self.server.connect() as client, self.server.connect() as other:
            client.sendall(request("/probe"))
            wait_until(lambda: self.server.statistics()["pending"] == 1, "probe pending")
            self.server.signal(15)

            def refused():
                try:
                    self.server.connect().close()
                except ConnectionRefusedError:
                    return True
                except ConnectionResetError:  # It waited to be accepted when the listening socket was closed.
                    pass
                return False

            wait_until(refused, "listening ended")
            other.sendall(request("/release"))
            self.assertEqual("close", read_response(other)[1]["connection"])
            self.assertEqual([200], statuses(read_to_end(client)))


# What is sent, and the statuses of the answers that may come before the connection is closed.
WRONG = {
    "both lengths": (request("/-/reload", "Content-Length: 4", "Transfer-Encoding: chunked", method="POST") +
                     b"0\r\n\r\n" + request("/metrics"), [400]),
    "both lengths, other order": (request("/-/reload", "Transfer-Encoding: chunked", "Content-Length: 4", method="POST") +
                                  b"0\r\n\r\n" + request("/metrics"), [400]),
    "two lengths": (request("/-/reload", "Content-Length: 0", "Content-Length: 40", method="POST") +
                    request("/metrics"), [400]),
    "two equal lengths": (request("/-/reload", "Content-Length: 0", "content-length: 0", method="POST"), [400]),
    "length list": (request("/-/reload", "Content-Length: 0, 0", method="POST"), [400]),
    "signed length": (request("/-/reload", "Content-Length: +0", method="POST"), [400]),
    "negative length": (request("/-/reload", "Content-Length: -1", method="POST"), [400]),
    "hexadecimal length": (request("/-/reload", "Content-Length: 0x10", method="POST"), [400]),
    "empty length": (request("/-/reload", "Content-Length:", method="POST"), [400]),
    "huge length": (request("/-/reload", "Content-Length: 99999999999999999999", method="POST"), [413]),
    "large length": (request("/-/reload", "Content-Length: 1000000", method="POST"), [413]),
    "length of GET": (request("/metrics", "Content-Length: 60") + request("/metrics"), [400]),
    "length of HEAD": (request("/metrics", "Content-Length: 60", method="HEAD") + request("/metrics"), [400]),
    "length of OPTIONS": (request("/metrics", "Content-Length: 60", method="OPTIONS") + request("/metrics"), [400]),
    "chunked": (request("/-/reload", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n", [501]),
    "chunked by another name": (request("/-/reload", "Transfer-Encoding: xchunked", method="POST"), [501]),
    "chunked, tab": (request("/-/reload", "Transfer-Encoding:\tchunked", method="POST"), [501]),
    "chunked, twice": (request("/-/reload", "Transfer-Encoding: identity", "Transfer-Encoding: chunked", method="POST") +
                       b"0\r\n\r\n", [501]),
    "space before colon": (request("/-/reload", "Transfer-Encoding : chunked", method="POST") + b"0\r\n\r\n", [400]),
    "space before first field": (b"GET /metrics HTTP/1.1\r\n Host: x\r\n\r\n", [400]),
    "folded field": (request("/metrics", "X-A: b", " Content-Length: 5"), [400]),
    "folded by tab": (request("/metrics", "X-A: b", "\tc"), [400]),
    "bare line feeds": (b"GET /metrics HTTP/1.1\nHost: x\n\n", [400]),
    "one bare line feed": (b"GET /metrics HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n", [400]),
    "line feed ends the head": (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    "bare carriage return": (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: b\rX-C: d\r\n\r\n", [400]),
    "NUL in a field": (request("/metrics", "X-A: b\0c"), [400]),
    "DEL in a field": (request("/metrics", "X-A: b\x7fc"), [400]),
    "no colon": (request("/metrics", "X-A"), [400]),
    "empty name": (request("/metrics", ": b"), [400]),
    "bracket in a name": (request("/metrics", "X(A): b"), [400]),
    "no host": (request("/metrics", host=None), [400]),
    "two hosts": (request("/metrics", "Host: b"), [400]),
    "host with path": (request("/metrics", host="Host: a/b"), [400]),
    "two authorizations": (request("/metrics", "Authorization: Basic YTpi", "Authorization: Basic YTpj"), [400]),
    "NUL in the path": (request("/metrics%00"), [400]),
    "CRLF in the path": (request("/metrics%0d%0aX:y"), [400]),
    "raw NUL in the path": (b"GET /metrics\0 HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    "bad escape in the path": (request("/met%zzrics"), [400]),
    "cut escape in the path": (request("/metrics%4"), [400]),
    "fragment": (request("/metrics#a"), [400]),
    "relative target": (request("metrics"), [400]),
    "asterisk": (request("*", method="OPTIONS"), [400]),
    "authority": (request("localhost:80", method="CONNECT"), [400]),
    "absolute form with no host that can be": (request("http://a|b/metrics") + request("/metrics"), [400]),
    "host that can be none": (request("/metrics", host="Host: a|b"), [400]),
    "two spaces": (b"GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    "space in the target": (b"GET /met rics HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    "tab in the request line": (b"GET\t/metrics\tHTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    "empty line first": (b"\r\n" + request("/metrics"), [400]),
    "HTTP/0.9": (b"GET /metrics\r\n", [400]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    "HTTP/1.2": (request("/metrics", version="HTTP/1.2"), [505]),
    "http in small letters": (request("/metrics", version="http/1.1"), [400]),
    "expectation": (request("/-/reload", "Expect: 100-continue", "Content-Length: 2", method="POST"), [417]),
    "TLS hello": (bytes.fromhex("16030100c8010000c40303") + b"\0" * 190, [400]),
    "binary": (bytes(range(256)) * 8, [400]),
    "request line of 1 MB": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n", [414]),
    "field of 1 MB": (request("/metrics", "X-A: " + "b" * (1 << 20)), [431]),
    "10,000 fields": (request("/metrics", *[f"X-{i}: b" for i in range(10_000)]), [431]),
    "101 fields": (request("/metrics", *[f"X-{i}: b" for i in range(100)]), [431]),
}


class WrongRequestTest(unittest.TestCase):
    def test_each_is_refused_and_ends_the_connection(self):
        with HttpFixture() as server:
            for name, (raw, expected) in WRONG.items():
                with self.subTest(name):
                    # The target is only looked at when the head is right: such a connection may go on.
                    got = server.exchange(raw, half_close=True)
                    self.assertEqual(expected, statuses(got), got[:300])
            self.assertTrue(server.alive(), server.log())
            seen = server.statistics()
            self.assertNotIn("/metrics 200", seen["requests"], "a request was seen inside another")
            wait_until(lambda: server.statistics()["connections"] == 1, "all connections ended")

    def test_each_byte_by_byte(self):
        with HttpFixture() as server:
            for name, (raw, expected) in WRONG.items():
                if len(raw) > 600:
                    continue
                with self.subTest(name), server.connect() as client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for i in range(len(raw)):
                        send_all(client, raw[i:i + 1])
                    send_all(client, b"")
                    try:
                        client.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
                    self.assertEqual(expected, statuses(read_to_end(client)))
            self.assertTrue(server.alive(), server.log())
            self.assertNotIn("/metrics 200", server.statistics()["requests"])

    def test_right_request_byte_by_byte(self):
        with HttpFixture() as server, server.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            body = request("/-/reload", "Content-Length: 5", method="POST") + b"hello"
            for byte in body + request("/metrics", "Connection: close"):
                client.sendall(bytes([byte]))
            self.assertEqual([200, 200], statuses(read_to_end(client)))

    def test_memory_stays_bounded(self):
        with HttpFixture() as server:
            server.exchange(WRONG["field of 1 MB"][0])
            before = server.resident_bytes()
            for _ in range(50):
                for name in ("field of 1 MB", "request line of 1 MB", "10,000 fields", "large length"):
                    server.exchange(WRONG[name][0])
            self.assertLess(server.resident_bytes() - before, 4 << 20)


if __name__ == "__main__":
    unittest.main()
