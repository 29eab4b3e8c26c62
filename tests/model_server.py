"""A model server on the loopback that does what it is told: answers, and every fault a real one can have.

It is a real HTTP/1.1 server on real sockets, in a thread of its own, scripted in a sentence:

    with ModelServer().fails(429, retry_after="2").then.says("Hello", chunks=5) as server: ...  # server.url is the base URL

Each verb adds one reply to the script, each request takes the next one, and the last one is repeated. `then` does nothing but read
well. GET /v1/models is always answered, and an unknown path is a 404; neither takes from the script. What was asked, and when each
connection was opened and seen to close (`time.monotonic()`, the same clock in every process), is in `requests` and `connections`.

`python -m tests.model_server` is the same server in a process of its own, for measuring. There the name of the model is the script:
`chunks=2000`, `delay=1`, `pause=0.01`, joined by commas; any other model echoes. GET /connections tells when each one closed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["Asked", "Connection", "ModelServer", "Reply", "by_model", "framed", "sse"]

Stall = Literal["before headers", "after headers", "mid-stream"]

_CHAT = ("/chat/completions", "/completions", "/responses", "/messages", "/chat", ":streamGenerateContent")
_BASE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "test"}
_USAGE = {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52}


@dataclass(eq=False)
class Connection:
    """One connection of a client. `closed` is when the server saw it end."""

    opened: float
    closed: float | None = None


@dataclass(eq=False)
class Asked:
    """One request. `body` is the JSON that came, or the bytes if it was none."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float
    connection: Connection


@dataclass(frozen=True)
class Reply:
    """One answer: a head, a body in pieces, and what goes wrong on the way."""

    pieces: list[bytes] = field(default_factory=list)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream"),)
    framing: str = "chunked"  # chunked | length | close, or one of them behind "gzip+"
    delay: float = 0.0  # before the head
    pause: float = 0.0  # between pieces
    together: int = 1  # pieces a write
    rate: float | None = None  # bytes a second, one at a time
    cut: int | None = None  # bytes of the body, as they are on the wire, before the connection is closed
    reset: bool = False  # the connection is not closed but reset, at the cut or before the head
    stall: Stall | None = None
    ping: float | None = None  # while stalled: a comment every so many seconds
    echo: bool = False
    whole: dict[str, Any] | None = None  # the same answer for a client that did not ask for a stream
    usage: list[bytes] = field(default_factory=list)  # sent before the last piece to a client that asked for it
    head: bytes | None = None  # all of it, instead of what the fields above would make

    @cached_property
    def wire(self) -> list[bytes]:
        """The body as it is sent."""
        return framed(self.pieces, self.framing)

    @cached_property
    def start(self) -> bytes:
        if self.head is not None:
            return self.head
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in self.headers)]
        zipped, _, how = self.framing.rpartition("+")
        if zipped:
            lines.append("content-encoding: gzip")
        match how:
            case "chunked":
                lines.append("transfer-encoding: chunked")
            case "length":
                lines.append(f"content-length: {sum(map(len, self.wire))}")
            case "close":
                lines.append("connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def sse(data: object, *, event: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


def framed(pieces: Iterable[bytes], framing: str = "chunked") -> list[bytes]:
    """The pieces of a body as they go over the wire: `chunked`, `length`, `close`, or one of those behind `gzip+`."""
    zipped, _, how = framing.rpartition("+")
    if zipped:
        pieces = [gzip.compress(b"".join(pieces), mtime=0)]
    pieces = list(pieces)
    if how != "chunked":
        return pieces
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece] + [b"0\r\n\r\n"]


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return sse({**_BASE, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _split(text: str, chunks: int) -> list[str]:
    """The text in so many pieces of about the same length."""
    edges = [len(text) * number // chunks for number in range(chunks + 1)]
    return [text[start:end] for start, end in pairwise(edges)]


def _answer(pieces: list[str], **how: Any) -> Reply:
    first = _chunk({"role": "assistant", "content": ""})
    body = [first, *(_chunk({"content": piece}) for piece in pieces), _chunk({}, "stop"), sse("[DONE]")]
    whole = {"role": "assistant", "content": "".join(pieces)}
    return Reply(body, whole=_whole(whole, "stop"), usage=_usage(), **how)


def _called(calls: list[tuple[str, Any]], text: str, fragments: int, **how: Any) -> Reply:
    body = [_chunk({"role": "assistant", "content": text or None})]
    whole = []
    for index, (name, arguments) in enumerate(calls):
        text_of = arguments if isinstance(arguments, str) else json.dumps(arguments)
        begin = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        whole.append({**begin, "function": {"name": name, "arguments": text_of}})
        body.append(_chunk({"tool_calls": [begin]}))
        body += [_chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]}) for part in _split(text_of, fragments)]
    body += [_chunk({}, "tool_calls"), sse("[DONE]")]
    message = {"role": "assistant", "content": text or None, "tool_calls": whole}
    return Reply(body, whole=_whole(message, "tool_calls"), usage=_usage(), **how)


def _usage() -> list[bytes]:
    return [sse({**_BASE, "choices": [], "usage": _USAGE})]


def _whole(message: dict[str, Any], finish: str) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**_BASE, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _document(body: object, status: int = 200, headers: Iterable[tuple[str, str]] = (), **how: Any) -> Reply:
    how.setdefault("framing", "length")
    return Reply([json.dumps(body).encode()], status, (("content-type", "application/json"), *headers), **how)


def _last_user_text(body: Any) -> str:
    with suppress(Exception):
        for message in reversed(body["messages"]):
            if message["role"] == "user":
                content = message["content"]
                return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return ""


def by_model() -> Callable[[Asked], Reply]:
    """What the name of the model says: see the top of the file."""
    made: dict[str, Reply] = {}

    def choose(asked: Asked) -> Reply:
        name = asked.body.get("model", "") if isinstance(asked.body, dict) else ""
        if name not in made:
            made[name] = _named(name)
        return made[name]

    return choose


def _named(name: str) -> Reply:
    if "=" not in name:
        return Reply(echo=True)
    says = {key: float(value) for key, _, value in (part.partition("=") for part in name.split(","))}
    chunks = int(says.pop("chunks", 1))
    together = int(says.pop("together", 64 if chunks == 1 else 1))
    return _answer(["word " for _ in range(chunks)], together=together, **says)


class ModelServer:
    """See the top of the file. `tls`: "good" is a certificate that `ca` (a file) vouches for, "bad" is one for another host."""

    def __init__(self, *, tls: Literal["good", "bad"] | None = None) -> None:
        self.requests: list[Asked] = []  # those that took from the script
        self.connections: list[Connection] = []
        self.port = 0
        self._script: list[Reply] = []
        self._next = 0
        self._decide: Callable[[Asked], Reply] | None = None
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tls = tls
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._live: set[_Wire] = set()

    # The script.

    @property
    def then(self) -> ModelServer:
        return self

    def says(self, text: str | list[str], *, chunks: int = 1, **how: Any) -> ModelServer:
        """An answer, in so many pieces of text, or in those given. `how`: the fields of Reply, here and in the verbs below."""
        return self.replies(_answer(_split(text, chunks) if isinstance(text, str) else text, **how))

    def calls(
        self, name: str, arguments: Any = None, *more: tuple[str, Any], text: str = "", fragments: int = 1, **how: Any
    ) -> ModelServer:
        """Tool calls: a name and arguments (a str is sent as it is), and further such pairs."""
        return self.replies(_called([(name, {} if arguments is None else arguments), *more], text, fragments, **how))

    def echo(self, **how: Any) -> ModelServer:
        """The last text of the user, back in one piece."""
        return self.replies(Reply(echo=True, **how))

    def fails(
        self,
        status: int,
        message: str = "the server says no",
        *,
        retry_after: str | None = None,
        body: Any = None,
        code: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        **how: Any,
    ) -> ModelServer:
        """An HTTP error; `body` replaces OpenAI's form of it: JSON, or bytes as they are."""
        extra = [*headers, *([("retry-after", retry_after)] if retry_after is not None else [])]
        if isinstance(body, bytes):
            return self.replies(Reply([body], status, (("content-type", "text/plain"), *extra), framing="length", **how))
        body = {"error": {"message": message, "type": "error", "code": code}} if body is None else body
        return self.replies(_document(body, status, extra, **how))

    def cut(self, after: int, *, text: str = "Hello there", framing: str = "chunked", **how: Any) -> ModelServer:
        """An answer that ends after so many bytes of its body, counted on the wire."""
        return self.says(text, chunks=2, cut=after, framing=framing, **how)

    def reset(self, after: int | None = None, *, text: str = "Hello there", **how: Any) -> ModelServer:
        """The connection is reset: before the head, or after so many bytes of the body."""
        return self.says(text, chunks=2, cut=after, reset=True, **how)

    def stalls(self, where: Stall = "mid-stream", *, ping: float | None = None, text: str = "Hello there", **how: Any) -> ModelServer:
        """Nothing more comes, or only pings, until the client leaves. Mid-stream: the first half of the text has been said."""
        return self.says(text, chunks=2, stall=where, ping=ping, **how)

    def trickle(self, rate: float = 1.0, *, text: str = "Hello there", **how: Any) -> ModelServer:
        """An answer at so many bytes a second, a byte at a time."""
        return self.says(text, chunks=2, rate=rate, **how)

    def redirects(self, url: str, status: int = 307) -> ModelServer:
        return self.replies(Reply([], status, (("location", url),), framing="length"))

    def html(self, status: int = 200, text: str = "<!doctype html><title>Welcome</title><p>It works!") -> ModelServer:
        return self.replies(Reply([text.encode()], status, (("content-type", "text/html"),), framing="length"))

    def json(self, body: Any = None, status: int = 200, **how: Any) -> ModelServer:
        """A JSON document in place of a stream: by default a whole answer saying Hello."""
        message = {"role": "assistant", "content": "Hello"}
        return self.replies(_document(_whole(message, "stop") if body is None else body, status, **how))

    def error_event(
        self, message: str = "the model fell over", *, after: str = "", code: Any = "server_error", **how: Any
    ) -> ModelServer:
        """An error object in the stream, after the text given."""
        said = [_chunk({"content": after})] if after else []
        return self.replies(Reply([*said, sse({"error": {"message": message, "type": code, "code": code}})], **how))

    def raw(self, body: bytes | list[bytes], *, framing: str = "chunked", cut: int | None = None, **how: Any) -> ModelServer:
        """These bytes as the body; `head=` replaces the head too."""
        return self.replies(Reply([body] if isinstance(body, bytes) else body, framing=framing, cut=cut, **how))

    def replies(self, reply: Reply) -> ModelServer:
        self._script.append(reply)
        return self

    def decides(self, choose: Callable[[Asked], Reply]) -> ModelServer:
        """A reply that depends on the request, in place of a script: for many requests at once, whose order is not known."""
        self._decide = choose
        return self

    def afresh(self) -> ModelServer:
        """Forget the script and what was asked."""
        self._script, self._next, self._decide = [], 0, None
        self.requests.clear()
        self.connections.clear()
        return self

    # What happened.

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{self.origin}/v1"

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}"

    @property
    def ca(self) -> str:
        """The file of the authority that vouches for the good certificate."""
        assert self._folder
        return str(Path(self._folder.name) / "ca.pem")

    @property
    def open(self) -> int:
        """Connections that have not ended."""
        return sum(connection.closed is None for connection in list(self.connections))

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Block until it is so. In a coroutine of the same process, `await server.until(…)`."""
        with self._changed:
            assert self._changed.wait_for(predicate, timeout), f"not so after {timeout} s"

    async def until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        async with asyncio.timeout(timeout):
            while not predicate():  # noqa: ASYNC110  (what happens, happens in another thread)
                await asyncio.sleep(0.001)

    # Its life.

    def __enter__(self) -> Self:
        started = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._serve(started))
            except BaseException as error:
                failed.append(error)
            finally:
                started.set()

        self._thread = threading.Thread(target=run, name="model server", daemon=True)
        self._thread.start()
        assert started.wait(10), "the model server does not start"
        if failed:
            raise failed[0]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._loop
        assert self._thread
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self._folder:
            self._folder.cleanup()

    async def _serve(self, started: threading.Event, port: int = 0) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        host = "localhost" if self._tls else "127.0.0.1"
        listening = await loop.create_server(
            lambda: _Wire(self), host, port, family=socket.AF_INET, backlog=8192, ssl=self._certificate() if self._tls else None
        )
        self.port = listening.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        for _ in range(4):  # asyncio loses the socket of a connection that it accepts in the moment of closing
            await asyncio.sleep(0)
        listening.close()
        quiet = 0
        while quiet < 4:  # a connection that has just been accepted becomes a live one a moment later
            for wire in list(self._live):
                wire.abort()
            await asyncio.sleep(0)
            quiet = 0 if self._live or len(asyncio.all_tasks()) > 1 else quiet + 1

    def _certificate(self) -> ssl.SSLContext:
        import trustme

        self._folder = tempfile.TemporaryDirectory()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost" if self._tls == "good" else "elsewhere.test").configure_cert(context)
        return context

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _reply(self, asked: Asked) -> Reply:
        path = asked.path.partition("?")[0]
        if asked.method == "GET" and path.endswith("/models"):
            return _document({"object": "list", "data": [{"id": "test", "object": "model"}, {"id": "other", "object": "model"}]})
        if path == "/connections":
            return _document([[each.opened, each.closed] for each in self.connections])
        if asked.method != "POST" or not path.endswith(_CHAT):
            return _document({"error": {"message": f"there is no {path} here", "code": "not_found"}}, 404)
        self.requests.append(asked)
        if self._decide:
            reply = self._decide(asked)
        else:
            script = self._script or [Reply(echo=True)]
            reply = script[min(self._next, len(script) - 1)]
            self._next += 1
        return self._fit(reply, asked.body)

    def _fit(self, reply: Reply, body: Any) -> Reply:
        """The reply as this client asked for it."""
        if reply.echo:
            echo = _answer([_last_user_text(body)])
            reply = replace(reply, pieces=echo.pieces, whole=echo.whole, usage=echo.usage)
        if reply.whole is None or not isinstance(body, dict):
            return reply
        if not body.get("stream"):
            fault = {name: getattr(reply, name) for name in ("delay", "rate", "cut", "reset", "stall")}
            return _document(reply.whole, **fault)
        if reply.usage and (body.get("stream_options") or {}).get("include_usage"):
            return replace(reply, pieces=[*reply.pieces[:-1], *reply.usage, reply.pieces[-1]])
        return reply


class _Wire(asyncio.Protocol):
    """One connection: parses requests, sends replies, notes when the client leaves."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.buffer = bytearray()
        self.task: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.record = Connection(time.monotonic())
        self.server.connections.append(self.record)
        self.server._live.add(self)
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server._note()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.task is None or self.task.done():
            self._parse()

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended()
        self.server._live.discard(self)
        if self.task:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def abort(self) -> None:
        self.transport.abort()

    def _ended(self) -> None:
        if self.record.closed is None:
            self.record.closed = time.monotonic()
            self.gone.set()
            self.writable.set()
            self.server._note()

    def _parse(self) -> None:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        body: Any = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        with suppress(ValueError):
            body = json.loads(body)
        method, path, _ = first.split(" ", 2)
        asked = Asked(method, path, headers, body, time.monotonic(), self.record)
        reply = self.server._reply(asked)
        self.server._note()
        self.task = asyncio.create_task(self._send(reply))

    async def _send(self, reply: Reply) -> None:
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.reset and reply.cut is None:
            return self._reset()
        if reply.stall == "before headers":
            await self.gone.wait()
            return None
        if reply.rate:
            await self._trickle(reply)
        else:
            await self._pieces(reply)
        if reply.stall:
            await self._stalled(reply)
        if reply.reset:
            return self._reset()
        if reply.cut is not None or reply.framing.endswith("close") or reply.head is not None:
            self.transport.close()
            return None
        if self.buffer:
            self._parse()
        return None

    async def _pieces(self, reply: Reply) -> None:
        write = self.transport.write
        pieces = reply.wire
        if reply.stall:
            pieces = [] if reply.stall == "after headers" else pieces[: 1 + max(0, len(reply.pieces) - 3) // 2]
        if reply.cut is not None:
            pieces = [b"".join(pieces)[: reply.cut]]
        if reply.together > 1:
            pieces = [b"".join(pieces[at : at + reply.together]) for at in range(0, len(pieces), reply.together)]
        if len(pieces) < 4 and not reply.pause:
            write(b"".join([reply.start, *pieces]))
            return
        write(reply.start)
        for number, piece in enumerate(pieces):
            if reply.pause and number:
                await asyncio.sleep(reply.pause)
            elif number % 32 == 31:
                await asyncio.sleep(0)
            if self.gone.is_set():
                return
            if not self.writable.is_set():
                await self.writable.wait()
            write(piece)

    async def _trickle(self, reply: Reply) -> None:
        assert reply.rate
        self.transport.write(reply.start)
        for byte in b"".join(reply.wire):
            self.transport.write(bytes((byte,)))
            await asyncio.sleep(1 / reply.rate)

    async def _stalled(self, reply: Reply) -> None:
        while not self.gone.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(reply.ping):
                    await self.gone.wait()
                return
            self.transport.write(framed([b": ping\n\n"], reply.framing)[0])

    def _reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model_server", description="A model server on the loopback, for measuring.")
    parser.add_argument("--port", type=int, default=0)
    server = ModelServer().decides(by_model())
    started = threading.Event()

    def announce() -> None:
        started.wait()
        print(server.url, flush=True)

    threading.Thread(target=announce, daemon=True).start()
    with suppress(KeyboardInterrupt):
        asyncio.run(server._serve(started, parser.parse_args().port))


if __name__ == "__main__":
    main()
