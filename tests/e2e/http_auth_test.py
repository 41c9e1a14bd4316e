"""Basic authentication, headers and rate limit of the web configuration file."""

import base64
import os
import select
import selectors
import socket
import statistics
import threading
import time
import unittest

from harness import WAIT_SECONDS, wait_until
from http_server_fixture import HttpFixture, parse_response, read_response, request

# bcrypt of "secret", "other", "third" at the lowest cost, and of "secret" at a usual one.
SECRET = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
OTHER = "$2y$04$zbcdefghijklmnopqrstuuh0YGVY8iawwcMGvF8QMhjZ4kINk7Yyi"
THIRD = "$2a$04$ybcdefghijklmnopqrstuulBnAnhNH1.4HuVYokiKILwUeMnXePne"
SECRET_COST_10 = "$2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"

USERS = f"basic_auth_users:\n  alice: {SECRET}\n  bob: {OTHER}\n  carol: {THIRD}\n"
COSTLY = f"basic_auth_users:\n  alice: {SECRET_COST_10}\n"


def basic(user, password):
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Authorization: Basic {token}"


def processor_seconds(pid):
    """What a process has used in all its threads, to a tick of the clock."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        user, system = file.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def flood(server, user, stop, full):
    """200 wrong passwords a second for `user` from 127.0.0.2, each waiting for its answer. Sets `full` when one of
    them was told to come back."""
    with selectors.DefaultSelector() as clients:
        number = 0
        while not stop.wait(0.005):
            client = socket.create_connection(("127.0.0.1", server.port), source_address=("127.0.0.2", 0))
            client.sendall(request("/metrics", basic(user, f"wrong {number}")))
            clients.register(client, selectors.EVENT_READ)
            number += 1
            for key, _ in clients.select(0):
                if b" 429 " in key.fileobj.recv(65536):
                    full.set()
                clients.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(clients.get_map().values()):
            key.fileobj.close()


def told_to_come_back(clients):
    """The headers of the first 429; some are answered earlier, when their password has been checked."""
    waiting = list(clients)
    while waiting:
        readable, _, _ = select.select(waiting, [], [], WAIT_SECONDS)
        if not readable:
            break
        for client in readable:
            status, headers, _ = read_response(client)
            if status == 429:
                return headers
            waiting.remove(client)
    raise AssertionError("nobody was told to come back")


class BasicAuthTest(unittest.TestCase):
    def test_who_may_come_in(self):
        with HttpFixture(config=USERS) as server:
            for user, password in (("alice", "secret"), ("bob", "other"), ("carol", "third")):
                for _ in range(2):
                    self.assertEqual(200, server.get("/metrics", basic(user, password))[0])
            for user, password in (("alice", "other"), ("alice", ""), ("", ""), ("", "secret"), ("dave", "secret"),
                                   ("alice", "secret\0"), ("alice", "secret\0x"), ("alice", "secret:"), ("Alice", "secret")):
                for _ in range(2):
                    self.assertEqual(401, server.get("/metrics", basic(user, password))[0], (user, password))

    def test_every_path_is_behind_it(self):
        with HttpFixture(config=USERS) as server:
            for path in ("/metrics", "/nothing", "/probe", "/-/reload"):
                status, headers, body = server.get(path)
                self.assertEqual((401, "Basic", "Unauthorized\n"), (status, headers["www-authenticate"], body))
            self.assertEqual(404, server.get("/nothing", basic("bob", "other"))[0])

    def test_malformed_authorization(self):
        right = basic("alice", "secret").split()[-1]
        with HttpFixture(config=USERS) as server:
            for value in ("", "Basic", "Basic ", f"Basic {right[:-1]}", f"Basic {right}=", f"Basic {right}!", "Basic YWxpY2U=",
                          f"Bearer {right}", f"Basic{right}", f"Basic {right} {right}", "Basic ====", "Basic =", "Basic A=AA"):
                self.assertEqual(401, server.get("/metrics", f"Authorization: {value}")[0], value)
            for value in (f"basic {right}", f"BASIC   {right}"):
                self.assertEqual(200, server.get("/metrics", f"Authorization: {value}")[0], value)
            self.assertTrue(server.alive())

    def test_a_change_of_users(self):
        with HttpFixture(config=USERS) as server:
            self.assertEqual(200, server.get("/metrics", basic("alice", "secret"))[0])
            server.write("web.yml", f"basic_auth_users:\n  alice: {OTHER}\n")
            wait_until(lambda: server.get("/metrics", basic("alice", "secret"))[0] == 401, "withdrawn")
            self.assertEqual(200, server.get("/metrics", basic("alice", "other"))[0])
            self.assertEqual(401, server.get("/metrics", basic("bob", "other"))[0])

    def test_a_withdrawn_password_works_no_longer_than_a_second(self):
        with HttpFixture(config=USERS) as server:
            def works(user, password):
                return server.get("/metrics", basic(user, password))[0] == 200

            # The file is half written for longer than two reads need, and is complete at `start`.
            withdrawn = []
            for users in (f"  alice: {OTHER}\n", f"  alice: {SECRET}\n") * 3:
                passwords = ("secret", "other") if OTHER in users else ("other", "secret")
                with open(server.directory / "web.yml", "w", encoding="utf-8") as file:
                    file.write("basic_auth_users:\n")
                    file.flush()
                    time.sleep(0.2)
                    self.assertFalse(works("alice", ""))
                    file.write(users)
                start = time.monotonic()
                wait_until(lambda: not works("alice", passwords[0]), "withdrawn")
                withdrawn.append(time.monotonic() - start)
                self.assertTrue(works("alice", passwords[1]))
            # The median: a loaded machine may stop anybody for a second.
            self.assertLess(statistics.median(withdrawn), 1)

    def test_a_first_request_after_a_change_finds_it_applied(self):
        with HttpFixture(config=USERS) as server:
            server.write("web.yml", f"basic_auth_users:\n  alice: {OTHER}\n")
            wait_until(lambda: "web configuration reloaded" in server.log(), "reloaded without a request")
            self.assertEqual(401, server.get("/metrics", basic("alice", "secret"))[0])

    def test_unknown_users_cost_the_same(self):
        with HttpFixture(config=COSTLY) as server:
            server.get("/metrics", basic("alice", "warm up"))
            # Processor time, which a busy machine does not stretch.
            spent = {"alice": 0.0, "nobody": 0.0}
            for i in range(8):
                for user in spent:
                    before = processor_seconds(server.process.pid)
                    self.assertEqual(401, server.get("/metrics", basic(user, f"wrong {i}"))[0])
                    spent[user] += processor_seconds(server.process.pid) - before
            self.assertTrue(0.5 < spent["nobody"] / spent["alice"] < 2, spent)
            # The same wrong password again is known to be wrong.
            before = processor_seconds(server.process.pid)
            for _ in range(20):
                self.assertEqual(401, server.get("/metrics", basic("alice", "wrong 0"))[0])
            self.assertLess((processor_seconds(server.process.pid) - before) / 20, spent["alice"] / 8)

    def test_a_flood_of_wrong_passwords_slows_nobody_who_is_known(self):
        with HttpFixture(config=COSTLY) as server, server.connect() as known:
            def measure(count):
                taken = []
                for _ in range(count):
                    start = time.monotonic()
                    known.sendall(request("/metrics", basic("alice", "secret")))
                    self.assertEqual(200, read_response(known)[0])
                    taken.append(time.monotonic() - start)
                    time.sleep(0.005)  # The rate of the questions.
                return statistics.median(taken)

            measure(20)
            idle = measure(100)
            began = time.monotonic()
            self.assertEqual(401, server.get("/metrics", basic("alice", "wrong"))[0])
            check = time.monotonic() - began
            stop = threading.Event()
            answers = []

            def flood(user):
                number = 0
                while not stop.wait(0.02):  # 50 a second each, 200 together.
                    with server.connect() as client:
                        client.sendall(request("/metrics", basic(user, f"{user} {number}")))
                        client.settimeout(0.05)
                        try:
                            answers.append(read_response(client)[0])
                        except (TimeoutError, AssertionError):
                            pass  # Gone before the answer, as a flood is.
                    number += 1

            threads = [threading.Thread(target=flood, args=(user,)) for user in ("alice", "alice", "bob", "x")]
            for thread in threads:
                thread.start()
            flooded = measure(200)
            stop.set()
            for thread in threads:
                thread.join()
            print(f"known user's median: idle {idle * 1e3:.2f} ms, in the flood {flooded * 1e3:.2f} ms, ratio {flooded / idle:.2f}")
            # Behind a check of the flood it would take at least as long as one. The flood's own clients take time too.
            self.assertLess(flooded, check)
            self.assertNotIn(200, answers)

    def test_a_flood_locks_out_nobody_who_comes_from_elsewhere(self):
        names = [f"user{i}" for i in range(30)]
        config = "basic_auth_users:\n" + "".join(f"  {name}: {SECRET_COST_10}\n" for name in names)
        with HttpFixture(config=config) as server:
            let_in = 0
            for name in names:
                stop, full = threading.Event(), threading.Event()
                thread = threading.Thread(target=flood, args=(server, name, stop, full))
                thread.start()
                try:
                    self.assertTrue(full.wait(WAIT_SECONDS))
                    let_in += server.get("/metrics", basic(name, "secret"))[0] == 200
                finally:
                    stop.set()
                    thread.join()
            self.assertGreater(let_in, 20)

    def test_a_line_too_long_is_told_to_come_back(self):
        with HttpFixture(config=f"basic_auth_users:\n  alice: {SECRET_COST_10.replace('$10$', '$13$')}\n") as server:
            clients = [server.connect() for _ in range(40)]
            for i, client in enumerate(clients):
                client.sendall(request("/metrics", basic("alice", str(i)), "Connection: close"))
            self.assertEqual("1", told_to_come_back(clients)["retry-after"])
            for client in clients:
                client.close()
            # Those who have gone are not checked any more: ending is quick.

    def test_full_lines_do_not_tell_who_exists(self):
        with HttpFixture(config=f"basic_auth_users:\n  alice: {SECRET_COST_10.replace('$10$', '$11$')}\n") as server:
            clients = [server.connect() for _ in range(24)]
            for i, client in enumerate(clients):
                client.sendall(request("/metrics", basic("nobody", str(i)), "Connection: close"))
            told_to_come_back(clients)
            for user in ("dave", "alice"):
                self.assertEqual(401, server.get("/metrics", basic(user, "wrong"))[0], user)
            for client in clients:
                client.close()

    def test_requests_wait_for_their_password_in_order(self):
        with HttpFixture(config=COSTLY) as server, server.connect() as client:
            client.sendall(request("/metrics", basic("alice", "secret")) + request("/nothing", basic("alice", "wrong")) +
                           request("/metrics", basic("alice", "secret"), "Connection: close"))
            data = b""
            while True:
                got = client.recv(65536)
                if not got:
                    break
                data += got
            self.assertEqual([200, 401, 200], [status for status, _, _ in parse_response(data)])


class HeadersTest(unittest.TestCase):
    CONFIG = """http_server_config:
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: 1; mode=block
    Content-Security-Policy: default-src 'self'
"""

    def test_are_on_every_answer(self):
        with HttpFixture(config=self.CONFIG + USERS) as server:
            for raw in (request("/metrics", "Connection: close"), request("/nothing", basic("bob", "other"), "Connection: close"),
                        request("/metrics", "X : y")):
                headers = parse_response(server.exchange(raw))[0][1]
                self.assertEqual("max-age=31536000", headers["strict-transport-security"])
                self.assertEqual("nosniff", headers["x-content-type-options"])
                self.assertEqual("deny", headers["x-frame-options"])
                self.assertEqual("1; mode=block", headers["x-xss-protection"])
                self.assertEqual("default-src 'self'", headers["content-security-policy"])

    def test_a_change_is_taken_over(self):
        with HttpFixture(config=self.CONFIG) as server:
            self.assertIn("x-frame-options", server.get("/metrics")[1])
            server.write("web.yml", "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n")
            wait_until(lambda: server.get("/metrics")[1]["x-frame-options"] == "sameorigin", "taken over")
            self.assertNotIn("x-xss-protection", server.get("/metrics")[1])


class RateLimitTest(unittest.TestCase):
    def test_burst_and_then_429(self):
        with HttpFixture(config="rate_limit:\n  interval: 1h\n  burst: 3\n") as server, server.connect() as client:
            got = []
            for _ in range(5):
                client.sendall(request("/metrics"))
                got.append(read_response(client)[0])
            self.assertEqual([200, 200, 200, 429, 429], got)

    def test_a_known_user_has_a_rate_of_their_own(self):
        with HttpFixture(config=USERS + "rate_limit: {interval: 1h, burst: 3}\n") as server:
            def status(*credentials):
                return server.get("/metrics", *(basic(*pair) for pair in credentials))[0]

            self.assertEqual(200, status(("alice", "secret")))
            self.assertEqual([401, 401, 429, 429], [status(), status(("bob", "wrong")), status(), status(("bob", "other"))])
            self.assertEqual([200, 200, 200, 429], [status(("alice", "secret")) for _ in range(4)])
            self.assertEqual(429, status(("alice", "wrong")))

    def test_tokens_come_back(self):
        with HttpFixture(config="rate_limit: {interval: 50ms, burst: 1}\n") as server:
            wait_until(lambda: server.get("/metrics")[0] == 429, "limited")
            wait_until(lambda: server.get("/metrics")[0] == 200, "let in again")

    def test_zero_is_no_limit(self):
        with HttpFixture(config="rate_limit: {interval: 0}\n") as server:
            for _ in range(20):
                self.assertEqual(200, server.get("/metrics")[0])


if __name__ == "__main__":
    unittest.main()
