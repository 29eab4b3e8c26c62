"""A web server on the loopback with a few pages: what a person attaches by its address."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

__all__ = ["Page", "Pages"]


class Page(NamedTuple):
    """What is at a path. `stall`: the head comes, and nothing after it until the client leaves."""

    body: bytes = b""
    media_type: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    stall: bool = False


class Pages:
    """Serves pages by their paths. It also takes a whole address as a path, as a proxy does. `asked` is what was, with its headers."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = dict(pages)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._leave = threading.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        pages = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                pages.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                page = pages.pages.get(self.path, Page(b"nothing here", "text/plain", 404))
                self.close_connection = True
                with suppress(OSError):
                    self.send_response(page.status)
                    if page.media_type:
                        self.send_header("content-type", page.media_type)
                    for name, value in page.headers:
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(page.body) if page.length is None else page.length))
                    self.end_headers()
                    if page.stall:
                        self.wfile.flush()
                        pages._leave.wait(20)
                        return
                    self.wfile.write(page.body)

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._leave.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
