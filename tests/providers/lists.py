"""A server that lists models, as it is told: a body for each path, by what stands behind the host. It notes who asked with what."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Asked", "lists"]

Asked = list[tuple[str, dict[str, str]]]  # paths, and the headers in small letters


@contextmanager
def lists(
    answers: dict[str, Any], *, port: int = 0, status: int = 200, headers: dict[str, str] | None = None
) -> Iterator[tuple[str, Asked]]:
    """Its address, and what it was asked. An answer is bytes or what JSON is made of; a path that is not there is a 404."""
    asked: Asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            found = answers.get(self.path, answers.get("*"))
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status if found is not None else 404)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
