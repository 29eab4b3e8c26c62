"""P14: a request is made again only before the first content, when the server says, and not by all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from agentcli.core.provider import Chunk, ProviderError, Request
from agentcli.providers import Clocks
from agentcli.providers.http.retry import Gate
from agentcli.providers.openai_chat import OpenAIChat
from tests.model_server import Asked, ModelServer, Reply, sse
from tests.promises import Outcome, promise
from tests.promises.answers import DONE, Heard, a_provider, event, hear, hear_all
from tests.promises.program import ask, at_once, new_home


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
SAID = event({"content": "Hi"})
CALLED = event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a"'}}]})
THOUGHT = event({"reasoning_content": "Hm"})
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
        return Reply([SAID, event({}, "stop"), DONE])

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
    call = event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "count", "arguments": "{}"}}]}, "tool_calls")
    good = Reply([event({"content": "Good"}), event({}, "stop"), DONE])
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
