"""Recorded answers of real servers must come out as an independent client read them, however their bytes are split.

The recordings are not part of the project: AGENTCLI_RECORDINGS names the folder that holds them. What lies there is what is tried: a
further recording is a further folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agentcli.core.message import Stop, user
from agentcli.core.provider import Draft, ProviderError, Request
from agentcli.providers import Clocks, Endpoint, create

NAMED = os.environ.get("AGENTCLI_RECORDINGS")  # read now: tests run in an environment of their own
FOLDER = Path(NAMED or ".")

pytestmark = pytest.mark.skipif(NAMED is None, reason="AGENTCLI_RECORDINGS names no folder of recordings")


@dataclass(frozen=True)
class Wire:
    """A wire format: the kind that speaks it, and how its recordings say things.

    `stops` is what a reason to finish means, or None if it is no end but a fault; what is not there is an ordinary end. `end` is in
    the bytes of the event that completes an answer: one that is cut before it is not whole. Calls of a kind that is not `calls` are
    those of tools that the server runs by itself.
    """

    dialects: tuple[str, ...]
    stops: dict[str | None, Stop | None]
    end: bytes
    calls: str | None = None
    path: str = ""  # what a base URL ends in


WIRES = {
    "openai-chat": Wire(
        ("openai-chat", "mistral-chat"),
        {
            "tool_calls": "tools",
            "function_call": "tools",
            "length": "length",
            "model_length": "length",
            "content_filter": "refused",
            "error": None,
        },
        b'"finish_reason":"',
        path="/v1",
    ),
    "openai-responses": Wire(
        ("openai-responses",),
        {
            "incomplete": "length",
            "max_output_tokens": "length",
            "content_filter": "refused",
            "failed": None,
        },
        b"response.completed",
        calls="function_call",
        path="/v1",
    ),
    "anthropic": Wire(
        ("anthropic-messages",),
        {
            "tool_use": "tools",
            "max_tokens": "length",
            "model_context_window_exceeded": "length",
            "pause_turn": "length",
            "refusal": "refused",
        },
        b'"stop_reason":"',
    ),
    "gemini": Wire(
        ("gemini",),
        {
            "MAX_TOKENS": "length",
            **dict.fromkeys(
                ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"), "refused"
            ),
            **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "OTHER")),
            None: "refused",  # what was asked is not answered at all
        },
        b'"finishReason"',
    ),
}


@dataclass(frozen=True)
class Recording:
    """One answer."""

    path: str
    dialect: str
    status: int
    features: tuple[str, ...]

    @property
    def body(self) -> bytes:
        return (FOLDER / self.path / "response.sse").read_bytes()

    @property
    def expected(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((FOLDER / self.path / "expected.json").read_text())
        return found


@cache
def recordings(kind: str) -> list[Recording]:
    """All of a wire format."""
    found = []
    for file in sorted(FOLDER.glob("*/*/meta.json")) if NAMED else ():
        meta = json.loads(file.read_text())
        if meta.get("dialect") in WIRES[kind].dialects and (file.parent / "expected.json").exists():
            path = file.parent.relative_to(FOLDER).as_posix()
            found.append(Recording(path, meta["dialect"], meta["status"], tuple(meta.get("features", ()))))
    return found


def whole(body: bytes) -> Iterator[bytes]:
    yield body


def lines(body: bytes) -> Iterator[bytes]:
    yield from body.splitlines(keepends=True)


def single(body: bytes) -> Iterator[bytes]:
    for place in range(len(body)):
        yield body[place : place + 1]


def seeded(seed: int) -> Callable[[bytes], Iterator[bytes]]:
    def pieces(body: bytes) -> Iterator[bytes]:
        chance = random.Random(seed)
        while body:
            size = chance.choice((1, 2, 3, 7, 17, 41, 97, 1000))
            yield body[:size]
            body = body[size:]

    return pieces


CHUNKINGS = {"whole": whole, "line": lines, "byte": single, "random 1": seeded(1), "random 2": seeded(2), "random 3": seeded(3)}


def read(kind: str, pieces: Iterable[bytes]) -> tuple[Draft, ProviderError | None]:
    """What an agent would hold at the end of these bytes."""
    answer = import_module(f"agentcli.providers.{kind.replace('-', '_')}").Answer()
    draft = Draft()
    try:
        for piece in pieces:
            for chunk in answer.feed(piece):
                draft.add(chunk)
        for chunk in answer.end():
            draft.add(chunk)
    except ProviderError as error:
        return draft, error
    return draft, None


# What we call the tokens, and what the recordings do. What an API does not tell is not in them.
COUNTS = {"input": "input", "output": "output", "cached": "cache_read", "reasoning": "reasoning", "cache_write": "cache_write"}


def differences(wire: Wire, expected: dict[str, Any], draft: Draft, error: ProviderError | None) -> Iterator[str]:
    """What an agent would get wrong about this recording."""
    message = draft.message(author=None, model=None)
    text = expected["text"] or expected["refusal"] or ""
    if message.text != text:
        yield f"text {message.text[-80:]!r} is not {text[-80:]!r}"
    if message.reasoning != (expected["reasoning"] or ""):
        yield f"reasoning {message.reasoning[-80:]!r} is not {(expected['reasoning'] or '')[-80:]!r}"
    wanted = [call for call in expected["tool_calls"] if call.get("kind") == wire.calls]
    calls = [(call.name, json.loads(call.arguments)) for call in message.calls]
    if calls != [(call["name"], call["arguments"]) for call in wanted]:
        yield f"calls {calls} are not {wanted}"
    if any(known["id"] and call.id != known["id"] for call, known in zip(message.calls, wanted, strict=False)):
        yield f"ids {[call.id for call in message.calls]} are not {wanted}"
    if usage := expected["usage"]:
        counted = {name: usage[key] or 0 for name, key in COUNTS.items() if key in usage}
        found = {name: getattr(message.usage, name, None) for name in counted}
        if found != counted:
            yield f"usage {found} is not {counted}"
    stop = wire.stops.get(expected["finish_reason"], "done")
    if bool(expected.get("error") or expected.get("incomplete") or stop is None) != (error is not None):
        yield f"error {error!r} for {expected.get('error')}"
    elif error is None:
        stop = "tools" if stop == "done" and calls else stop
        if draft.stop != stop:
            yield f"stop {draft.stop} is not {stop}"
    elif expected.get("error"):
        if not any(words in error.message for words in told(expected["error"])):
            yield f"error {error} does not say {expected['error']['message']!r}"
    elif expected.get("incomplete") and error.kind != "cut":
        yield f"incomplete, but {error.kind}: {error}"


def told(error: dict[str, Any]) -> list[str]:
    """The words of an error, in whichever form a client reports them."""
    found, values = [error["message"]], [error.get("body")]
    for value in values:
        if isinstance(value, dict):
            values.extend(value.values())
            found.extend(text for text in (value.get("message"), value.get("error")) if text and isinstance(text, str))
    return found


@pytest.mark.parametrize("chunking", CHUNKINGS)
@pytest.mark.parametrize("kind", WIRES)
def test_every_recording_gives_the_message_that_was_sent(kind: str, chunking: str) -> None:
    wrong: list[str] = []
    count: Counter[str] = Counter()
    for one in recordings(kind):
        if one.status != 200:
            continue
        found = [f"{one.path}: {what}" for what in differences(WIRES[kind], one.expected, *read(kind, CHUNKINGS[chunking](one.body)))]
        wrong.extend(found)
        count["wrong" if found else "right"] += 1
    assert not wrong, f"{count}\n" + "\n".join(wrong[:20])
    assert count["right"], "no recording was read"


@pytest.mark.parametrize("kind", WIRES)
def test_no_recording_that_is_cut_is_whole(kind: str) -> None:
    count = 0
    for one in recordings(kind):
        body = one.body
        ends = body.find(WIRES[kind].end)
        if one.status == 200 and ends > 0:
            for place in random.Random(one.path).sample(range(ends), 5):
                draft, error = read(kind, [body[:place]])
                assert error is not None, (one.path, place)
                assert one.expected["error"] or error.kind == "cut", (one.path, place, error)
                assert one.expected["text"].startswith(draft.message(author=None, model=None).text), (one.path, place)
                count += 1
    assert count > 100


# --- the same through HTTP ---


@pytest.fixture(scope="module")
def replay() -> Iterator[str]:
    """The base URL of the server that comes with the recordings: URL/MODE/PROVIDER/NAME answers as recorded."""
    command = [sys.executable, str(FOLDER / "replay_server.py"), "--port", "0", "--root", str(FOLDER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip()
        finally:
            server.kill()


async def ask(kind: str, url: str, draft: Draft, **settings: Any) -> ProviderError | None:
    """What an agent would hold after asking there, and the error."""
    endpoint = Endpoint(kind=kind, base_url=url + WIRES[kind].path, key="none")
    provider = create("lab", endpoint, Clocks(retries=0, idle=20), keep=False)
    request = Request(model="m", messages=[user("x")], settings=settings)
    try:
        async with aclosing(provider.stream(request)) as chunks:
            async for chunk in chunks:
                draft.add(chunk)
    except ProviderError as error:
        return error
    finally:
        await provider.aclose()
    return None


STATUSES = {
    400: ("bad_request", "context_length", "auth", "not_found"),
    401: ("auth",),
    403: ("auth",),
    404: ("not_found",),
    413: ("too_large", "context_length"),
    422: ("bad_request",),
    429: ("rate_limit", "auth"),
    500: ("server",),
    503: ("overloaded",),
    529: ("overloaded",),
}


def core() -> Collection[str]:
    """Those that cover every feature."""
    return set((FOLDER / "core.txt").read_text().split())


@pytest.mark.parametrize("mode", ["whole", "line", "rand7", "sized64"])
@pytest.mark.parametrize("kind", WIRES)
def test_recordings_through_http(replay: str, kind: str, mode: str) -> None:
    """All of them in one piece, errors included; those that cover every feature in pieces."""
    wrong: list[str] = []
    kinds: Counter[str] = Counter()
    chosen = [one for one in recordings(kind) if mode == "whole" or one.path in core()]

    async def main() -> None:
        for one in chosen:
            draft = Draft()
            async with asyncio.timeout(30):
                error = await ask(kind, f"{replay}/{mode}/{one.path}", draft)
            if one.status == 200:
                wrong.extend(f"{one.path}: {what}" for what in differences(WIRES[kind], one.expected, draft, error))
            elif error is None or error.kind not in STATUSES[one.status] or error.status != one.status:
                wrong.append(f"{one.path}: {one.status} gave {error!r}")
            kinds[error.kind if error else "good"] += 1

    asyncio.run(main())
    assert not wrong, "\n".join(wrong[:20])
    assert kinds["good"] > 5
    assert len(kinds) > 1


@pytest.mark.parametrize("kind", WIRES)
def test_a_recording_cut_through_http_is_never_whole(replay: str, kind: str) -> None:
    ends, path = min(
        (one.body.find(WIRES[kind].end), one.path)
        for one in recordings(kind)
        if one.status == 200 and one.expected["tool_calls"] and one.body.find(WIRES[kind].end) > 1000
    )

    async def main() -> None:
        for size in range(1, ends, max(97, ends // 20)):
            async with asyncio.timeout(30):
                error = await ask(kind, f"{replay}/cut{size}/{path}", Draft())
            assert error is not None, size
            assert error.kind == "cut", (size, error)

    asyncio.run(main())
