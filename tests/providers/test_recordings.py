"""Recorded answers of real servers must come out as an independent client read them, however their bytes are split.

The recordings are not part of the project: AGENTCLI_RECORDINGS names the folder that holds them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agentcli.core.message import Stop, user
from agentcli.core.provider import Draft, ProviderError, Request
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.openai_chat.answer import Answer

NAMED = os.environ.get("AGENTCLI_RECORDINGS")  # read now: tests run in an environment of their own
FOLDER = Path(NAMED or ".")
DIALECTS = ("openai-chat", "mistral-chat")
STOPS: dict[str | None, Stop] = {
    "stop": "done",
    "tool_calls": "tools",
    "function_call": "tools",
    "length": "length",
    "content_filter": "refused",
}

pytestmark = pytest.mark.skipif(NAMED is None, reason="AGENTCLI_RECORDINGS names no folder of recordings")


def rows(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """The rows of the index that this wire format is about."""
    if NAMED is None:
        return []
    wanted = None if names is None else set(names)
    index: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())
    return [row for row in index if row["dialect"] in DIALECTS and (wanted is None or row["path"] in wanted)]


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


def read(pieces: Iterable[bytes]) -> tuple[Draft, ProviderError | None]:
    """What an agent would hold at the end of these bytes."""
    draft, answer = Draft(), Answer()
    try:
        for piece in pieces:
            for chunk in answer.feed(piece):
                draft.add(chunk)
        for chunk in answer.end():
            draft.add(chunk)
    except ProviderError as error:
        return draft, error
    return draft, None


def differences(expected: dict[str, Any], draft: Draft, error: ProviderError | None) -> Iterator[str]:
    """What an agent would get wrong about this recording."""
    message = draft.message(author=None, model=None)
    text = expected["text"] or expected["refusal"] or ""
    if message.text != text:
        yield f"text {message.text[-80:]!r} is not {text[-80:]!r}"
    if message.reasoning != (expected["reasoning"] or ""):
        yield f"reasoning {message.reasoning[-80:]!r} is not {expected['reasoning'][-80:]!r}"
    calls = [(call.name, json.loads(call.arguments)) for call in message.calls]
    if calls != [(call["name"], call["arguments"]) for call in expected["tool_calls"]]:
        yield f"calls {calls} are not {expected['tool_calls']}"
    if any(known["id"] and call.id != known["id"] for call, known in zip(message.calls, expected["tool_calls"], strict=False)):
        yield f"ids {[call.id for call in message.calls]} are not {expected['tool_calls']}"
    if usage := expected["usage"]:
        found = message.usage and (message.usage.input, message.usage.output, message.usage.cached, message.usage.reasoning)
        wanted = tuple(usage.get(key) or 0 for key in ("input", "output", "cache_read", "reasoning"))
        if found != wanted:
            yield f"usage {found} is not {wanted}"
    if bool(expected.get("error") or expected.get("incomplete")) != (error is not None):
        yield f"error {error!r} for {expected.get('error')}"
    if error is None:
        stop = STOPS.get(expected["finish_reason"], "done")
        stop = "tools" if stop == "done" and calls else stop
        if draft.stop != stop:
            yield f"stop {draft.stop} is not {stop}"
    elif expected.get("incomplete") and error.kind != "cut":
        yield f"incomplete, but {error.kind}: {error}"
    elif expected.get("error") and expected["error"]["message"] not in error.message:
        yield f"error {error} does not say {expected['error']['message']!r}"


@pytest.mark.parametrize("chunking", CHUNKINGS)
def test_every_recording_gives_the_message_that_was_sent(chunking: str) -> None:
    wrong: list[str] = []
    count: Counter[str] = Counter()
    for row in rows():
        if row["status"] != 200:
            continue
        body = (FOLDER / row["path"] / "response.sse").read_bytes()
        expected = json.loads((FOLDER / row["path"] / "expected.json").read_text())
        found = [f"{row['path']}: {one}" for one in differences(expected, *read(CHUNKINGS[chunking](body)))]
        wrong.extend(found)
        count["wrong" if found else "right"] += 1
    assert not wrong, f"{count}\n" + "\n".join(wrong[:20])
    assert count["right"], "no recording was read"


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


async def ask(url: str, draft: Draft, **settings: Any) -> ProviderError | None:
    """What an agent would hold after asking there, and the error."""
    endpoint = Endpoint(kind="openai-chat", base_url=url, key="none")
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


STATUSES = {400: ("bad_request", "context_length"), 401: ("auth",), 404: ("not_found",), 429: ("rate_limit",), 500: ("server",)}


@pytest.mark.parametrize(("mode", "core"), [("whole", False), ("line", True), ("rand7", True), ("sized64", True)])
def test_recordings_through_http(replay: str, mode: str, core: bool) -> None:
    """All of them in one piece, errors included; those that cover every feature in pieces."""
    wrong: list[str] = []
    kinds: Counter[str] = Counter()

    async def main() -> None:
        for row in rows((FOLDER / "core.txt").read_text().split() if core else None):
            expected = json.loads((FOLDER / row["path"] / "expected.json").read_text())
            draft = Draft()
            async with asyncio.timeout(30):
                error = await ask(f"{replay}/{mode}/{row['path']}/v1", draft)
            if row["status"] == 200:
                wrong.extend(f"{row['path']}: {one}" for one in differences(expected, draft, error))
            elif error is None or error.kind not in STATUSES[row["status"]] or error.status != row["status"]:
                wrong.append(f"{row['path']}: {row['status']} gave {error!r}")
            kinds[error.kind if error else "good"] += 1

    asyncio.run(main())
    assert not wrong, "\n".join(wrong[:20])
    assert kinds["good"] > 20
    assert len(kinds) > 3


def test_a_recording_cut_through_http_is_never_whole(replay: str) -> None:
    row = next(row for row in rows() if "finish_tool_calls" in row["features"] and 1500 < row["bytes"] < 5000)
    body = (FOLDER / row["path"] / "response.sse").read_bytes()
    ends = body.index(b'"finish_reason":"')

    async def main() -> None:
        for size in range(1, ends, 211):
            async with asyncio.timeout(30):
                error = await ask(f"{replay}/cut{size}/{row['path']}", Draft())
            assert error is not None, size
            assert error.kind == "cut", (size, error)

    asyncio.run(main())
