"""Servers on this machine, found by asking at their usual ports whether one is there: all at once, in a tenth of a second.

Nearly always nobody listens, and then finding that out must cost nothing. So this speaks to the socket itself: a refused connection
takes less than a millisecond, importing httpx forty. No proxy is asked, no key is sent, and what is asked is the list of models, which
changes nothing at whoever listens there.

The ports are everybody's: a web server on 8080 is not llama.cpp. Only a list of models counts, and not one whose owner is a vendor:
that is a proxy to models that cost money, and belongs into the configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from agentcli.providers import PROVIDERS
from agentcli.providers.catalogue.model import Listed
from agentcli.providers.catalogue.page import page

__all__ = ["nearby"]

_MOST = 4 << 20  # bytes of an answer
_DIGITS = 20  # of its length
_OWNERS = {"", "llamacpp", "vllm", "organization_owner", "library", "sglang", "me", "local", "user"}  # what servers of one's own say


async def nearby(*, within: float = 0.15, ports: Mapping[str, int] | None = None) -> list[tuple[str, list[Listed]]]:
    """The providers whose usual ports list models, in the order of the table, and the models that can be asked."""
    if ports is None:
        ports = {name: entry.port for name, entry in PROVIDERS.items() if entry.port}
    deadline = asyncio.get_running_loop().time() + within
    answers = await asyncio.gather(*(_listed(port, deadline) for port in ports.values()))
    found = []
    for name, models in zip(ports, answers, strict=True):
        if models and (name == "ollama" or all(model.owner in _OWNERS for model in models)):  # an owner there is whoever made it
            found.append((name, [model for model in models if model.chats]))
    return found


async def _listed(port: int, deadline: float) -> list[Listed]:
    """What is listed at a port. Whoever says anything else, whatever it is, is nobody."""
    with suppress(Exception):
        return _models(await _ask(port, deadline))
    return []


async def _ask(port: int, deadline: float) -> bytes:
    """What is answered at a port, from the status on; nothing if nobody answers in time."""
    writer: asyncio.StreamWriter | None = None
    answer = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            host = f"127.0.0.1:{port}".encode()
            writer.write(b"GET /v1/models HTTP/1.0\r\nHost: %b\r\nAccept: application/json\r\nConnection: close\r\n\r\n" % host)
            while not _whole(answer) and (piece := await reader.read(65536)) and len(answer) < _MOST:
                answer += piece
    except (OSError, TimeoutError):
        return b""
    finally:
        if writer:
            writer.transport.abort()
    return bytes(answer)


def _whole(answer: bytearray) -> bool:
    """Has all come that was announced? Where nothing is, the end of the connection is the end."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    length = _header(head, b"content-length")
    return bool(blank) and length.isdigit() and len(length) < _DIGITS and len(body) >= int(length)


def _models(answer: bytes) -> list[Listed]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].split()
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"200":
        return []
    if _header(head, b"transfer-encoding").lower() == b"chunked":  # though it was asked in HTTP/1.0
        body = _joined(body)
    return page(body).models


def _header(head: bytes | bytearray, name: bytes) -> bytes:
    for line in bytes(head).split(b"\r\n")[1:]:
        said, _, value = line.partition(b":")
        if said.strip().lower() == name:
            return value.strip()
    return b""


def _joined(body: bytes) -> bytes:
    """The chunks of a body, as far as they are some."""
    joined = bytearray()
    at = 0
    while (end := body.find(b"\r\n", at)) != -1:
        try:
            length = int(body[at:end].split(b";")[0], 16)
        except ValueError:
            break
        if length <= 0:
            break
        joined += body[end + 2 : end + 2 + length]
        at = end + 2 + length + 2
    return bytes(joined)
