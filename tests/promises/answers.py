"""P12 to P16: what is taken for an answer, what is shown of it, what is asked again, what memory it costs, and what `ask` prints.

Most of it runs in this process, through a whole provider against the model server, because it takes thousands of answers; the rest
through the real program.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import tempfile
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import msgspec

from agentcli.core.message import user
from agentcli.core.provider import Chunk, Draft, Provider, ProviderError, Request, StopChunk
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.http.retry import Gate
from agentcli.providers.openai_chat import Answer, OpenAIChat, encode
from tests.model_server import Asked, ModelServer, Reply, framed, sse
from tests.promises import Outcome, promise
from tests.promises.program import Home, ask, at_once, left, new_home, program

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


def _event(delta: object, finish: str | None = None, *, ascii_only: bool = False) -> bytes:
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: %b\n\n" % json.dumps(body, ensure_ascii=ascii_only).encode()


# P12

DONE = sse("[DONE]")
BODIES: dict[str, list[bytes]] = {
    "text": [_event({"content": "Hello "}), _event({"content": "there."}), _event({}, "stop"), DONE],
    "no [DONE]": [_event({"content": "Hello"}), _event({}, "stop")],
    "no reason": [_event({"content": "Hello"}), _event({"content": " you"}), DONE],
    "usage": [
        _event({"content": "Hi"}),
        _event({}, "stop"),
        sse({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
        DONE,
    ],
    "not ASCII": [_event({"content": "Größe 語"}), _event({"content": "🌍\u2028e\u0301"}), _event({}, "stop"), DONE],
    "reasoning": [_event({"reasoning_content": "Let me see"}), _event({"content": "Yes."}), _event({}, "stop"), DONE],
    "tools": [
        _event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a":'}}]}),
        _event({"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}),
        _event({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "sub", "arguments": "{}"}}]}),
        _event({}, "tool_calls"),
        DONE,
    ],
    "CRLF": [event.replace(b"\n", b"\r\n") for event in (_event({"content": "Hello"}), _event({}, "stop"), DONE)],
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
        event = _event({"content": piece}, ascii_only=escaped).decode()
        events.append((": ping\n\n" if chance.random() < 0.2 else "") + event)
    body = ("".join(events) + (_event({}, "stop") + DONE).decode()).replace("\n", end).encode()
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


# P14


class Eager(OpenAIChat):
    """Asks again whatever has been said already."""

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        try:
            async with aclosing(super().stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ProviderError:
            async with aclosing(super().stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk


class Alone(OpenAIChat):
    """Has a gate of its own."""

    def __init__(self, *made: Any, **named: Any) -> None:
        super().__init__(*made, **named)
        self._http._gate = Gate()


QUICK = Clocks(connect=5, idle=5, retries=3)
SAID = _event({"content": "Hi"})
CALLED = _event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a"'}}]})
THOUGHT = _event({"reasoning_content": "Hm"})
OVERLOADED = sse({"error": {"message": "too much", "code": "overloaded_error"}})

# What is answered first, and how many requests there may be when every further one is answered well.
FIRST: dict[str, tuple[Reply, int]] = {
    "cut after text": (Reply([SAID], framing="close"), 1),
    "cut after a call": (Reply([CALLED], framing="chunked", cut=len(CALLED) + 6), 1),
    "cut after thinking": (Reply([THOUGHT], framing="close"), 1),
    "error after text": (Reply([SAID, OVERLOADED]), 1),
    "reset after text": (Reply([SAID, SAID], cut=len(SAID) + 10, reset=True), 1),
    "cut before content": (Reply([b": ping\n\n"], framing="close"), 2),
    "error before content": (Reply([OVERLOADED]), 2),
    "reset before headers": (Reply(reset=True), 2),
    **{f"status {status}": (Reply([b"{}"], status, framing="length"), 2) for status in (408, 409, 429, 500, 502, 503, 529)},
    **{f"status {status}": (Reply([b"{}"], status, framing="length"), 1) for status in (400, 401, 403, 404, 413, 422)},
}


def retried(case: str, kind: type[OpenAIChat] | None = None) -> str:
    reply, allowed = FIRST[case]
    with ModelServer().replies(reply).then.says("Good") as server:
        (heard,) = asyncio.run(hear_all(a_provider(server, kind, QUICK), range(1)))
        if len(server.requests) != allowed:
            return f"{len(server.requests)} requests, not {allowed}"
        return "" if (heard.text == "Good") == (allowed == 2) else f"heard {heard}"


@promise(
    "P14",
    "Retries only before the first content",
    "faults before and after the first content: how often the server is asked",
    quick=len(FIRST),
    full=20 * len(FIRST),
    planted=lambda: at_once(lambda case: retried(case, Eager), ["cut after text"]),
)
def p14_retried(count: int) -> Outcome:
    return at_once(retried, [list(FIRST)[number % len(FIRST)] for number in range(count)])


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


# The header and its value (a function of now), and the seconds between the two requests: at least, at most; None: not asked again.
FORMS: dict[str, tuple[Callable[[], tuple[str, str]], tuple[float, float] | None]] = {
    "seconds": (lambda: ("retry-after", "1"), (1, 2.5)),
    "a fraction": (lambda: ("retry-after", "0.4"), (0.4, 1.5)),
    "milliseconds": (lambda: ("retry-after-ms", "300"), (0.3, 1.5)),
    "zero": (lambda: ("retry-after", "0"), (0, 1)),
    "a date": (lambda: ("retry-after", _date(2)), (0.9, 3.5)),
    "a date that was": (lambda: ("retry-after", _date(-60)), (0, 1)),
    "nonsense": (lambda: ("retry-after", "soon"), (0, 2)),
    "negative": (lambda: ("retry-after", "-5"), (0, 2)),
    "too long": (lambda: ("retry-after", "100000"), None),
    "a date far away": (lambda: ("retry-after", _date(86400)), None),
    "no number any more": (lambda: ("retry-after", "9" * 400), (0, 2)),
}


def obeyed(form: str, kind: type[OpenAIChat] | None = None) -> str:
    make, bounds = FORMS[form]
    header = make()
    with ModelServer().fails(429, headers=[header]).then.says("Good") as server:
        asyncio.run(hear_all(a_provider(server, kind, QUICK), range(1)))
        times = [asked.at for asked in server.requests]
    if bounds is None:
        return "" if len(times) == 1 else f"{len(times)} requests"
    if len(times) != 2:
        return f"{len(times)} requests"
    least, most = bounds
    return "" if least <= times[1] - times[0] <= most else f"asked again after {times[1] - times[0]:.2f} s"


@promise(
    "P14",
    "Retries only before the first content",
    "Retry-After in all its forms is obeyed",
    quick=len(FORMS),
    full=10 * len(FORMS),
    planted=lambda: at_once(lambda form: obeyed(form, Eager), ["too long"]),
)
def p14_obeyed(count: int) -> Outcome:
    return at_once(obeyed, [list(FORMS)[number % len(FORMS)] for number in range(count)], 6)


def gated(count: int, kind: type[OpenAIChat] | None = None, shut: float = 0.5) -> Outcome:
    """So many agents of one key at a server that has too much: those that begin, then as many that come while it asks to wait."""
    begun: list[float] = []

    def choose(asked: Asked) -> Reply:
        begun.append(asked.at)
        if asked.at < begun[0] + shut:
            return Reply([b"{}"], 429, (("retry-after", str(shut)),), framing="length")
        return Reply([SAID, _event({}, "stop"), DONE])

    async def all_of_them() -> list[Heard]:
        providers = [a_provider(server, kind, QUICK) for _ in range(count)]
        first = [asyncio.create_task(hear(provider, "x")) for provider in providers[: count // 2]]
        await asyncio.sleep(shut * 0.6)  # they come while the gate is shut
        try:
            return await asyncio.gather(*first, *(hear(provider, "x") for provider in providers[count // 2 :]))
        finally:
            for provider in providers:
                await provider.aclose()

    with ModelServer().decides(choose) as server:
        heard = asyncio.run(all_of_them())
    times = sorted(at - begun[0] for at in begun)
    again = [at for at in times if at > shut * 0.5]
    failures = [f"an agent heard {one}" for one in heard if one.fault]
    if len(times) > count + count // 2:
        failures.append(f"{len(times)} requests of {count} agents")
    if early := [at for at in again if at < shut * 0.98]:
        failures.append(f"{len(early)} asked while they should wait")
    if again[-1] - again[0] < count * 0.004:
        failures.append(f"all asked again within {again[-1] - again[0]:.3f} s")
    return Outcome(count, failures)


@promise(
    "P14",
    "Retries only before the first content",
    "one gate for all agents of a key: they wait together and come back spread out",
    quick=50,
    full=500,
    planted=lambda: gated(50, Alone),
)
def p14_gated(count: int) -> Outcome:
    return gated(count)


def ran(case: str, bug: str = "") -> str:
    """A tool runs, then the question that tells its result goes wrong: how often did it run, and how often was the server asked?"""
    fault, allowed = (FIRST[case][0], FIRST[case][1] + 1)
    call = _event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "count", "arguments": "{}"}}]}, "tool_calls")
    good = Reply([_event({"content": "Good"}), _event({}, "stop"), DONE])
    with new_home() as home, ModelServer().replies(Reply([call, DONE])).then.replies(fault).then.replies(good) as server:
        (home.work / "mine.py").write_text(
            'def count() -> str:\n    """Counts."""\n    open("ran", "a").write("x")\n    return "ok"\n'
        )
        done = ask(home, "--tool", "mine.py:count", "hi", server=server, bug=bug)
        if (runs := (home.work / "ran").read_text()) != "x":
            return f"the tool ran {len(runs)} times"
        if len(server.requests) != allowed:
            return f"{len(server.requests)} requests, not {allowed}: {done.err[-200:]}"
        return "" if (done.code == 0) == (done.out == b"Good\n") else f"exit code {done.code}, {done.out!r}"


@promise(
    "P14",
    "Retries only before the first content",
    "a fault after a tool has run: it does not run again",
    quick=3,
    full=10 * len(FIRST),
    planted=lambda: at_once(lambda case: ran(case, "turns twice"), ["cut after text"]),
)
def p14_ran(count: int) -> Outcome:
    return at_once(ran, [list(FIRST)[number * 5 % len(FIRST)] for number in range(count)])


# P15

MIB = 1 << 20
MOST = 200  # MiB


class Heavy(NamedTuple):
    """What a server (or a tool) pours out, and how `ask` ends then."""

    what: str
    code: int


HEAVY = (
    Heavy("a line without an end", 69),
    Heavy("an event of 100 MiB", 69),
    Heavy("comments", 69),
    Heavy("pings", 75),
    Heavy("text", 69),
    Heavy("wide text", 69),
    Heavy("thinking", 69),
    Heavy("arguments", 69),
    Heavy("many calls", 69),
    Heavy("small words", 69),
    Heavy("a gzip bomb of text", 69),
    Heavy("a gzip bomb of nothing", 69),
    Heavy("a document", 69),
    Heavy("an error", 69),
    Heavy("a head", 69),
    Heavy("a chunk size", 69),
    Heavy("a tool", 0),
    Heavy("a tool that reports", 0),
)
TOOL = """
def big() -> str:
    \"\"\"Says a lot.\"\"\"
    return "x" * (SIZE << 20)

async def reports() -> str:
    \"\"\"Reports a lot.\"\"\"
    for _ in range(SIZE):
        yield "x" * (1 << 20)
"""


def _bombed(piece: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(piece) for _ in range(size)) + packer.flush()


def pour(what: str, size: int) -> Reply:
    """The reply; `size` in MiB is as much as there is of it."""
    word = _event({"content": "x" * 1000})
    big = word * (MIB // len(word))

    def endless(piece: bytes, head: bytes = b"") -> Reply:
        return Reply([head or piece, *[piece] * (size * MIB // len(piece))], framing="close")

    match what:
        case "a line without an end":
            return endless(b"x" * MIB, b"data: ")
        case "an event of 100 MiB":
            return Reply([b'data: {"choices": [{"delta": {"content": "', *[b"x" * MIB] * 100, b'"}}]}\n\n', DONE], framing="close")
        case "comments":
            return endless(b": a comment\n" * 90_000)
        case "pings":
            return Reply([], stall="after headers", ping=0.01)
        case "text":
            return endless(big)
        case "wide text":  # in memory, one such letter makes four bytes of every other one
            return endless(big, _event({"content": "🌍"}))
        case "small words":
            return endless(_event({"content": "a "}) * 10_000)
        case "thinking":
            return endless(_event({"reasoning_content": "x" * 1000}) * 1000)
        case "arguments":
            call = {"index": 0, "id": "a", "function": {"name": "big", "arguments": "x" * 1000}}
            return endless(_event({"tool_calls": [call]}) * 1000)
        case "many calls":
            calls = [{"index": n, "id": f"c{n}", "function": {"name": "big", "arguments": "{}"}} for n in range(400_000)]
            return Reply([_event({"tool_calls": calls[n : n + 100]}) for n in range(0, 400_000, 100)], framing="close")
        case "a gzip bomb of text":
            headers = (("content-type", "text/event-stream"), ("content-encoding", "gzip"))
            return Reply([_bombed(big, size)], 200, headers, framing="close")
        case "a gzip bomb of nothing":
            return Reply([_bombed(b"\n" * MIB, size)], 200, (("content-encoding", "gzip"),), framing="close")
        case "a document":
            return endless(b"x" * MIB, b'{"choices": [{"message": {"content": "')
        case "an error":
            return Reply([b"x" * MIB] * size, 500, framing="close")
        case "a head":
            return Reply([b"x-more: " + b"x" * 1000 + b"\r\n"] * (size * 1000), head=b"HTTP/1.1 200 OK\r\n", framing="close")
        case "a chunk size":
            return Reply([b"0" * MIB] * size, head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", framing="close")
    name = "big" if what == "a tool" else "reports"
    return Reply(
        [_event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": name, "arguments": "{}"}}]}, "tool_calls"), DONE]
    )


def heavy(case: Heavy, size: int, bug: str = "") -> str:
    with new_home() as home, ModelServer().replies(pour(case.what, size)).then.says("ok") as server:
        (home.work / "mine.py").write_text(TOOL.replace("SIZE", str(min(size, 64))))
        tools = ["--tool", "mine.py:big", "--tool", "mine.py:reports"]
        code, peak, err = _measured(home, [*tools, "--idle-timeout", "1", "hi"], server, bug)
        if peak > MOST:
            return f"{peak:.0f} MiB"
        if code != case.code:
            return f"exit code {code}: {err[-300:]}"
        if case.what == "a tool":
            return _spilt(home, min(size, 64) * MIB)
        return left(home) or ("a traceback" if "Traceback" in err else "")


def _measured(home: Home, words: list[str], server: ModelServer, bug: str) -> tuple[int, float, str]:
    """Run `ask`: its exit code, the most memory it ever had in MiB, what it said on stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            [*program(bug), "ask", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=home.environment(server, **ONCE),
            cwd=home.work,
        )
        peak, end = 0.0, monotonic() + 120
        while child.poll() is None and monotonic() < end:
            with suppress(OSError, IndexError):  # it is over
                peak = max(peak, int(Path(f"/proc/{child.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
            sleep(0.005)  # the figure only grows; what comes in the last instant is missed
        child.kill()
        code = child.wait()
        err.seek(0)
        return code, peak, err.read().decode(errors="replace")


def _spilt(home: Home, size: int) -> str:
    """What is wrong with what is kept of a big output."""
    result = home.threads()[0].messages[2].results[0].content
    kept, _, note = result.partition("\n[cut here")
    if len(kept) != MIB:
        return f"{len(kept)} characters were kept"
    files = [path for path in (home.path / "home").rglob("*.txt") if str(path) in note]
    return "" if files and files[0].stat().st_size == size else f"the rest is not in a file that is named: {note}"


@promise(
    "P15",
    "Memory stays under 200 MB",
    "servers and tools that pour out without an end: the most memory of `ask`, and how it ends",
    quick=5,
    full=len(HEAVY),
    planted=lambda: at_once(lambda case: heavy(case, 64, "fills the memory"), [Heavy("text", 69)]),
)
def p15_heavy(count: int) -> Outcome:
    """The quick count takes a few of them, and less of each."""
    if not Path("/proc/self/status").exists():
        return Outcome(0, [], "/proc")
    cases = (
        [HEAVY[number] for number in (0, 2, 5, 10, 16)]
        if count < len(HEAVY)
        else [HEAVY[number % len(HEAVY)] for number in range(count)]
    )
    return at_once(lambda case: heavy(case, 64 if count < len(HEAVY) else 1024), cases, 2)


# P16


class Fault(NamedTuple):
    """A fault, and what `ask` makes of it: its exit code, and what of the answer is on stdout."""

    name: str
    reply: Reply
    code: int
    out: str = ""
    words: tuple[str, ...] = ()


def _status(status: int, code: int, body: bytes = b'{"error": {"message": "no"}}', *headers: tuple[str, str]) -> Fault:
    return Fault(f"status {status} {body[:12]!r} {headers}", Reply([body], status, headers, framing="length"), code)


HALF, END = _event({"content": "Half "}), _event({}, "stop")
CALL = _event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "fails", "arguments": "{}"}}]}, "tool_calls")
FAULTS = (
    Fault("none", Reply([HALF, END, DONE]), 0, "Half "),
    Fault("nothing said", Reply([END, DONE]), 0),
    Fault("a newline of its own", Reply([_event({"content": "a\n\n"}), END]), 0, "a\n\n"),
    Fault("thinking", Reply([_event({"reasoning_content": "Hm."}), HALF, END]), 0, "Half "),
    Fault("cut", Reply([HALF], framing="close"), 75, "Half "),
    Fault("cut at once", Reply([], framing="close"), 75),
    Fault("reset", Reply([HALF, HALF, HALF], cut=len(HALF) + 8, reset=True), 75, "Half "),
    Fault("reset at once", Reply(reset=True), 75),
    Fault("length", Reply([HALF, _event({}, "length")]), 1, "Half "),
    Fault("refused", Reply([HALF, _event({}, "content_filter")]), 1, "Half "),
    Fault("error event", Reply([HALF, sse({"error": {"message": "no", "code": "server_error"}})]), 69, "Half "),
    Fault("overloaded event", Reply([HALF, OVERLOADED]), 75, "Half "),
    Fault("stall", Reply([HALF, END, HALF, HALF], stall="mid-stream"), 75, "Half ", ("--idle-timeout", "0.2")),
    Fault("time", Reply([HALF, END, HALF, HALF], stall="mid-stream"), 124, "Half ", ("--timeout", "0.3")),
    Fault("HTML", Reply([b"<!doctype html><p>hi"], headers=(("content-type", "text/html"),)), 69),
    Fault("HTML unsaid", Reply([b"<html>hi"]), 69),
    Fault("not JSON", Reply([b"data: {nonsense\n\n", END]), 69),
    Fault(
        "a JSON document",
        Reply([b'{"choices": [{"message": {"content": "Half "}, "finish_reason": "stop"}]}'], framing="length"),
        0,
        "Half ",
    ),
    Fault("a number", Reply([b"42"], framing="length"), 69),
    Fault("no HTTP", Reply([b"hello there\n"], head=b"", framing="close"), 69),
    Fault("unknown events", Reply([sse("x", event="what"), b"foo: bar\n\n", HALF, END]), 0, "Half "),
    Fault("finish twice", Reply([HALF, END, END, DONE, DONE]), 0, "Half "),
    Fault("bad gzip", Reply([b"hello"], headers=(("content-encoding", "gzip"),), framing="length"), 69),
    Fault("unknown compression", Reply([b"hello"], headers=(("content-encoding", "br"),), framing="length"), 69),
    Fault("redirect", Reply([], 307, (("location", "http://127.0.0.1:1/"),), framing="length"), 69),
    Fault("a tool fails", Reply([CALL]), 0, "It failed."),
    Fault("a tool asks", Reply([CALL.replace(b"fails", b"risky")]), 77, "It failed."),
    Fault("no such tool", Reply([CALL.replace(b"fails", b"other")]), 0, "It failed."),
    Fault("arguments are not JSON", Reply([CALL.replace(b'"{}"', b'"{"')]), 0, "It failed."),
    Fault("too many steps", Reply([CALL]), 1, "", ("--max-steps", "1")),
    Fault("usage", Reply(), 2, "", ("--nonsense",)),
    Fault("no such thread", Reply(), 2, "", ("-t", "zzzzzzzz")),
    Fault("no such model", Reply(), 78, "", ("-m", "nobody/x")),
    Fault("no such file", Reply(), 2, "", ("-f", "none")),
    *(_status(status, 69) for status in (400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 500, 502, 504)),
    *(_status(status, 75) for status in (429, 503, 529)),
    _status(429, 75, b"", ("retry-after", "1000000")),
    _status(500, 69, b"<html>oops"),
    _status(500, 69, b"\xff\xfe\x00"),
    _status(101, 69, b""),
    _status(204, 75, b""),
    _status(300, 69, b""),
    _status(999, 69, b"[[[[[[" * 1000),
)
MINE = """
from agentcli import tool

def fails() -> str:
    \"\"\"Fails.\"\"\"
    raise RuntimeError("no")

@tool(asks=True)
def risky() -> str:
    \"\"\"Asks.\"\"\"
"""


def faults(fault: Fault, bug: str = "") -> str:
    with (
        new_home() as home,
        ModelServer().replies(fault.reply).then.replies(Reply([_event({"content": "It failed."}), END])) as server,
    ):
        (home.work / "mine.py").write_text(MINE)
        tools = ("--tool", "mine.py:fails", "--tool", "mine.py:risky")
        done = ask(home, *tools, *fault.words, "hi", server=server, bug=bug, more=ONCE)
        if done.code != fault.code:
            return f"exit code {done.code}: {done.err[-300:]}"
        if done.out.decode() != fault.out + ("\n" if fault.out and not fault.out.endswith("\n") else ""):
            return f"stdout is {done.out!r}"
        if "Traceback" in done.err:
            return f"a traceback: {done.err[-300:]}"
        if ("error: " in done.err) != (done.code != 0):
            return f"exit code {done.code}, and on stderr: {done.err[-300:]!r}"
        return left(home)


@promise(
    "P16",
    "`ask`: the answer alone on stdout, the exit codes of the contract, no traceback",
    "a table of faults of servers, tools and usage",
    quick=16,
    full=5 * len(FAULTS),
    planted=lambda: at_once(lambda fault: faults(fault, "talks on stdout"), FAULTS[:1]),
)
def p16_faults(count: int) -> Outcome:
    return at_once(faults, [FAULTS[number * 8 % len(FAULTS)] for number in range(count)])
