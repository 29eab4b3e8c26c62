"""A server that is none: it takes one connection, says one thing whatever it is asked, and holds the line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def listener(answer: bytes | None, *, drip: bytes = b"") -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what it was asked. With None it keeps silent; `drip` is said again and again after the answer."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        done = threading.Event()

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(10)
                    asked.append(connection.recv(65536))
                    if answer is not None:
                        connection.sendall(answer)
                    while drip and not done.wait(0.02):
                        connection.sendall(drip)
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            done.set()
            with socket.socket() as last:  # let accept() go, if nobody came
                last.settimeout(1)
                last.connect_ex(server.getsockname())
            thread.join(10)
