"""P12 and P13: what is taken for an answer, and what is shown of it.

Most of it runs in this process, through a whole provider against the model server, because it takes thousands of answers; the rest
through the real program.
"""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from itertools import pairwise
from typing import NamedTuple

import msgspec

from agentcli.core.message import user
from agentcli.core.provider import Chunk, Draft, Provider, ProviderError, Request, StopChunk
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.openai_chat import Answer, OpenAIChat, encode
from tests.model_server import ModelServer, Reply, framed, sse
from tests.promises import Outcome, promise
from tests.promises.program import ask, at_once, left, new_home

FRAMINGS = ("length", "chunked", "close", "gzip+length", "gzip+chunked", "gzip+close")
ONCE = {"AGENTCLI_RETRIES": "0"}
NO_RETRIES = Clocks(connect=5, idle=20, retries=0)


class Heard(NamedTuple):
    """What a provider made of one answer: its message's parts, and the kind of error it ended with, or "" if it is complete."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str], ...]
    fault: str


async def hear(provider: Provider, model: str) -> Heard:
    draft, fault = Draft(), ""
    try:
        async with aclosing(provider.stream(Request(model=model, messages=[user("Hi")]))) as chunks:
            async for chunk in chunks:
                draft.add(chunk)
        fault = "" if draft.stop else "just ended"
    except ProviderError as error:
        fault = error.kind
    message = draft.message(author=None, model=None)
    return Heard(message.text, message.reasoning, tuple((call.name, call.arguments) for call in message.calls), fault)


async def hear_all(provider: Provider, models: range, at_a_time: int = 8) -> list[Heard]:
    places = asyncio.Semaphore(at_a_time)

    async def one(model: int) -> Heard:
        async with places:
            return await hear(provider, str(model))

    try:
        return await asyncio.gather(*map(one, models))
    finally:
        await provider.aclose()


class Made(OpenAIChat):
    """The provider with another decoder."""

    decoder: Callable[[], Answer] = Answer

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        return self._http.stream("/chat/completions", msgspec.json.encode(encode(request, self.server)), self.decoder)


class Lenient(Answer):
    """Takes any end for the end."""

    def end(self) -> Iterator[Chunk]:
        yield StopChunk("done")


class Hasty(Answer):
    """Decodes every piece on its own, and splits lines as Python does."""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        return super().feed("\n".join(data.decode(errors="replace").split("\u2028")).encode())


class MadeLenient(Made):
    decoder = Lenient


class MadeHasty(Made):
    decoder = Hasty


def a_provider(server: ModelServer, kind: type[OpenAIChat] | None = None, clocks: Clocks = NO_RETRIES) -> Provider:
    place = Endpoint(kind="openai-chat", base_url=server.url, key="sk-x")
    return kind("openai", place, clocks, keep=False) if kind else create("openai", place, clocks, keep=False)


def event(delta: object, finish: str | None = None, *, ascii_only: bool = False) -> bytes:
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: %b\n\n" % json.dumps(body, ensure_ascii=ascii_only).encode()


# P12

DONE = sse("[DONE]")
BODIES: dict[str, list[bytes]] = {
    "text": [event({"content": "Hello "}), event({"content": "there."}), event({}, "stop"), DONE],
    "no [DONE]": [event({"content": "Hello"}), event({}, "stop")],
    "no reason": [event({"content": "Hello"}), event({"content": " you"}), DONE],
    "usage": [
        event({"content": "Hi"}),
        event({}, "stop"),
        sse({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
        DONE,
    ],
    "not ASCII": [event({"content": "Größe 語"}), event({"content": "🌍\u2028e\u0301"}), event({}, "stop"), DONE],
    "reasoning": [event({"reasoning_content": "Let me see"}), event({"content": "Yes."}), event({}, "stop"), DONE],
    "tools": [
        event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a":'}}]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}),
        event({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "sub", "arguments": "{}"}}]}),
        event({}, "tool_calls"),
        DONE,
    ],
    "CRLF": [event.replace(b"\n", b"\r\n") for event in (event({"content": "Hello"}), event({}, "stop"), DONE)],
}


class Cut(NamedTuple):
    body: str
    framing: str
    after: int

    @property
    def reply(self) -> Reply:
        return Reply(BODIES[self.body], framing=self.framing, cut=self.after)


def arrived(case: Cut) -> bytes:
    """What of the body is in the bytes that were sent, worked out without the program's own code."""
    sent = b"".join(framed(BODIES[case.body], case.framing))[: case.after]
    zipped, _, how = case.framing.rpartition("+")
    if how == "chunked":
        body = b""
        while b"\r\n" in sent:
            size, _, sent = sent.partition(b"\r\n")
            body += sent[: int(size, 16)]
            sent = sent[int(size, 16) + 2 :]
        sent = body
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(sent) if zipped else sent


def complete(body: str, came: bytes) -> bool:
    """Was the event that ends this answer wholly in what came?"""
    position = 0
    for event in BODIES[body]:
        position += len(event)
        # The blank line that ends an event may be a CR without its LF.
        if (b'finish_reason": "' in event or b"[DONE]" in event) and len(came) >= position - event.endswith(b"\r\n"):
            return True
    return False


def cuts(count: int, kind: type[OpenAIChat] | None = None) -> Outcome:
    """Answers cut at every so many bytes: as many of all there are as `count` says."""
    every = [
        Cut(body, framing, after)
        for body, pieces in BODIES.items()
        for framing in FRAMINGS
        for after in range(len(b"".join(framed(pieces, framing))) + 1)
    ]
    cases = every[:: max(1, len(every) // count)]
    wholes = {body: asyncio.run(_whole(body, kind)) for body in BODIES}
    with ModelServer().decides(lambda asked: cases[int(asked.body["model"])].reply) as server:
        heard = asyncio.run(hear_all(a_provider(server, kind), range(len(cases))))
    wrong = [_judge(case, one, wholes[case.body]) for case, one in zip(cases, heard, strict=True)]
    return Outcome(len(cases), [one for one in wrong if one])


async def _whole(body: str, kind: type[OpenAIChat] | None) -> Heard:
    with ModelServer().raw(BODIES[body]) as server:
        (heard,) = await hear_all(a_provider(server, kind), range(1))
    return heard


def _judge(case: Cut, heard: Heard, whole: Heard) -> str:
    done = complete(case.body, arrived(case))
    if done and heard != whole:
        return f"{case} is whole, and was taken for {heard}"
    if not done and not heard.fault:
        return f"{case} is cut, and was taken for complete: {heard}"
    if not whole.text.startswith(heard.text) or not whole.reasoning.startswith(heard.reasoning):
        return f"{case} has other text: {heard}"
    return ""


@promise(
    "P12",
    "A cut answer is never taken for a whole one",
    "a reply cut at every byte, as text, tools, thinking, under each framing",
    quick=1_300,
    full=1_000_000,
    planted=lambda: cuts(100, MadeLenient),
)
def p12_cuts(count: int) -> Outcome:
    return cuts(count)


def program_cuts(count: int, bug: str = "") -> Outcome:
    """The same through `ask`: exit code, words shown, mark in the thread."""
    chance = random.Random(count)
    bodies = [body for body in BODIES if body not in ("tools", "reasoning")]
    sizes = {body: len(b"".join(BODIES[body])) for body in bodies}
    cases = [
        Cut(body, "close", chance.randrange(1, sizes[body])) for body in (bodies[number % len(bodies)] for number in range(count))
    ]

    def one(case: Cut) -> str:
        with new_home() as home, ModelServer().replies(case.reply) as server:
            done = ask(home, "hi", server=server, bug=bug, more=ONCE)
            whole = complete(case.body, arrived(case))
            if done.code != (0 if whole else 75):
                return f"exit code {done.code}: {done.err[-200:]}"
            answer = home.threads()[0].last
            if answer and answer.text and answer.stop != ("done" if whole else "failed"):
                return f"kept as {answer.stop}"
            if done.out.decode().removesuffix("\n") != (answer.text if answer else ""):
                return f"shown {done.out!r}"
            return left(home)

    return at_once(one, cases)


@promise(
    "P12",
    "A cut answer is never taken for a whole one",
    "the same through `ask`: 75, and marked in the thread",
    quick=6,
    full=300,
    planted=lambda: program_cuts(6, "takes any end"),
)
def p12_program(count: int) -> Outcome:
    return program_cuts(count)


# P13

LETTERS = (
    "a",
    "é",
    "語",
    "🌍",
    "👩‍🚀",
    "e\u0301",
    "\u2028",
    "\u2029",
    "\x85",
    "\r\n",
    "\r",
    "\n",
    "\0",
    "\x1b[31m",
    "\u202e",
    "\ufeff",
    " ",
    "\t",
    "\\",
    '"',
    "\x0b",
)


def random_text(chance: random.Random, size: int) -> str:
    return "".join(chance.choice(LETTERS) if chance.random() < 0.7 else chr(chance.randrange(0xD800)) for _ in range(size))


def random_reply(chance: random.Random, text: str) -> Reply:
    """The text in random pieces (also inside a surrogate pair), in random events, random HTTP pieces and a random framing."""
    units = text.encode("utf-16-le")
    edges = sorted({0, len(units), *(2 * chance.randrange(len(units) // 2 + 1) for _ in range(chance.randrange(8)))})
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(edges)]
    end = chance.choice(("\n", "\r\n", "\r"))
    events = []
    for piece in pieces:
        escaped = chance.random() < 0.5 or any("\ud800" <= letter <= "\udfff" for letter in piece)
        said = event({"content": piece}, ascii_only=escaped).decode()
        events.append((": ping\n\n" if chance.random() < 0.2 else "") + said)
    body = ("".join(events) + (event({}, "stop") + DONE).decode()).replace("\n", end).encode()
    if chance.random() < 0.2:
        body = b"\xef\xbb\xbf" + body
    size = chance.choice((1, 2, 3, 7, 50, 5000))
    sent = [body[at : at + size] for at in range(0, len(body), size)]
    pause = 0.0002 if len(sent) < 200 and chance.random() < 0.3 else 0.0  # so that they are also read one by one
    return Reply(sent, framing=chance.choice(FRAMINGS), pause=pause)


def texts(count: int, kind: type[OpenAIChat] | None = None) -> Outcome:
    chance = random.Random(count)
    said = [random_text(chance, chance.choice((0, 1, 5, 40))) for _ in range(count)]
    replies = [random_reply(chance, text) for text in said]
    with ModelServer().decides(lambda asked: replies[int(asked.body["model"])]) as server:
        heard = asyncio.run(hear_all(a_provider(server, kind), range(count)))
    wrong = [
        f"said {text!r}, heard {one.text!r} ({one.fault or 'complete'}; {reply.framing})"
        for text, reply, one in zip(said, replies, heard, strict=True)
        if one.text != text or one.fault
    ]
    return Outcome(count, wrong)


@promise(
    "P13",
    "The text shown is the text sent",
    "random text in random pieces, escapes, line ends, chunks and compression",
    quick=400,
    full=50_000,
    planted=lambda: texts(100, MadeHasty),
)
def p13_texts(count: int) -> Outcome:
    return texts(count)


def shown(count: int, bug: str = "") -> Outcome:
    """The bytes on stdout, and the text in the thread."""
    chance = random.Random(count)
    cases = [random_text(chance, 60) for _ in range(count)]

    def one(text: str) -> str:
        with new_home() as home, ModelServer().replies(random_reply(random.Random(text), text)) as server:
            done = ask(home, "hi", server=server, bug=bug)
            expected = text.encode() + (b"" if text.endswith("\n") else b"\n")
            if done.out != expected:
                return f"shown as {done.out!r} ({done.code})"
            answer = home.threads()[0].last
            return "" if answer and answer.text == text else "kept as another text"

    return at_once(one, cases)


@promise(
    "P13",
    "The text shown is the text sent",
    "the same through `ask`, byte by byte",
    quick=4,
    full=200,
    planted=lambda: shown(1, "talks on stdout"),
)
def p13_shown(count: int) -> Outcome:
    return shown(count)
