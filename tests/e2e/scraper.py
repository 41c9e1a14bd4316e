"""Scrapes that were sent and wait for their answers: many at once, without a thread for each."""

import selectors
import socket

from harness import parse_metrics, value


class Scraper:
    """A scrape that was sent, on a connection of its own."""

    def __init__(self, exporter, port, timeout, **parameters):
        query = "".join(f"&{name}={given}" for name, given in parameters.items())
        self.socket = socket.create_connection(("127.0.0.1", exporter.port), timeout=60)
        self.socket.sendall(f"GET /probe?target=127.0.0.1&port={port}{query} HTTP/1.1\r\nHost: x\r\n"
                            f"Connection: close\r\nX-Prometheus-Scrape-Timeout-Seconds: {timeout}"
                            "\r\n\r\n".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def metrics(self):
        with self.socket.makefile("rb") as file:
            head, _, page = file.read().decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 "), head
        return parse_metrics(page)


def waiting(exporter):
    return value(exporter.get("/metrics").metrics(), "iperf3_exporter_queue_length")


def answered(scrapers, count):
    """The numbers of the first `count` of `scrapers` that are answered, as seen by one loop."""
    numbers = []
    with selectors.DefaultSelector() as selector:
        for number, scraper in enumerate(scrapers):
            selector.register(scraper, selectors.EVENT_READ, number)
        while len(numbers) < count:
            ready = selector.select(60)
            assert ready, f"nobody is answered after {numbers}"
            # Those of one look came together: there is no order among them.
            for key, _ in sorted(ready, key=lambda each: each[0].data):
                numbers.append(key.data)
                selector.unregister(key.fileobj)
    return numbers
