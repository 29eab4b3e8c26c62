"""P24: keys stay where they are.

A key comes from each place that it may come from, and goes with every kind of question and answer; servers do what they can to give
it away. Then it is looked for in everything that was printed, written, and asked of another server.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from itertools import product
from typing import NamedTuple
from urllib.parse import quote

from tests.model_server import Asked, ModelServer, Reply, sse
from tests.promises import Outcome, promise
from tests.promises.program import Home, ask, at_once, new_home, wait_for
from tests.promises.talk import Talk

SECRET = "sk-Very+Secret/0123456789=="


class Place(NamedTuple):
    """Where the key is said, the model then, and the header that carries it."""

    name: str
    model: str
    header: str


PLACES = (
    Place("the environment", "openai/any", "authorization"),
    Place("a variable of the provider", "lab/any", "authorization"),
    Place("a command", "lab/any", "authorization"),
    Place("a header", "lab/any", "x-api-key"),
    Place("a proxy-like header", "lab/any", "x-access-token"),
    Place("a query", "lab/any", ""),
)


def configure(home: Home, place: Place, server: ModelServer) -> dict[str, str]:
    """Say the key there; the variables that takes."""
    url = server.url
    match place.name:
        case "the environment":
            return {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": url, "AGENTCLI_MODEL": place.model}
        case "a variable of the provider":
            more = 'key-env = "LAB_KEY"'
        case "a command":
            (home.work / "key").write_text(SECRET)
            more = f'key-command = "cat {home.work / "key"}"'
        case "a query":
            url, more = f"{url}?key={SECRET}", ""
        case _:
            more = f'headers = {{ {place.header} = "{SECRET}" }}'
    home.configure(f'model = "{place.model}"\n[providers.lab]\nbase-url = "{url}"\n{more}\n')
    return {"LAB_KEY": SECRET}


# What a server does with the key it was sent.
def _error(status: int, **how: str) -> Callable[[Asked, str], Reply]:
    def reply(asked: Asked, other: str) -> Reply:
        body = {"error": {"message": f"Incorrect API key provided: {asked.headers}. Path {asked.path}", "headers": asked.headers}}
        return Reply([json.dumps(body).encode()], status, (("content-type", "application/json"), *how.items()), framing="length")

    return reply


def _long(status: int, cut: int) -> Callable[[Asked, str], Reply]:
    """The key again and again, so that it stands across the cut of a message, wherever around there that is."""

    def reply(asked: Asked, other: str) -> Reply:
        words = "x" * (cut - len(SECRET)) + f"{SECRET}/" * 3
        body = json.dumps({"error": {"message": words}}).encode() if status != 200 else words.encode()
        return Reply([body], status, (("content-type", "application/json"), ("retry-after", "0")), framing="length")

    return reply


def _long_event(asked: Asked, other: str) -> Reply:
    return Reply([sse({"error": {"message": "x" * 490 + f"{SECRET}/" * 3, "code": "server_error"}})])


def _plain(asked: Asked, other: str) -> Reply:
    return Reply([f"<p>{asked.headers} {asked.path}".encode()], 500, (("content-type", "text/html"),), framing="length")


def _redirect(status: int) -> Callable[[Asked, str], Reply]:
    return lambda asked, other: Reply([], status, (("location", f"{other}?key={quote(SECRET)}&again={SECRET}"),), framing="length")


def _event(asked: Asked, other: str) -> Reply:
    said = sse({"choices": [{"delta": {"content": "Half"}}]})
    return Reply([said, sse({"error": {"message": f"bad key {asked.headers} {asked.path}", "code": "server_error"}})])


def _nonsense(asked: Asked, other: str) -> Reply:
    return Reply([f"{SECRET} is not a key {asked.headers}".encode()], framing="length")


def _not_json(asked: Asked, other: str) -> Reply:
    return Reply([f'data: {{"key": "{SECRET}", nonsense\n\n'.encode()])


def _good(asked: Asked, other: str) -> Reply:
    return Reply([sse({"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}), sse("[DONE]")])


def _reason(asked: Asked, other: str) -> Reply:
    return Reply(head=f"HTTP/1.1 401 {SECRET}\r\nwww-authenticate: {SECRET}\r\ncontent-length: 0\r\n\r\n".encode(), framing="length")


def _dies(asked: Asked, other: str) -> Reply:
    return Reply(reset=True)


SERVERS = {
    "answers": _good,
    "echoes in a 401": _error(401),
    "echoes in a 400": _error(400),
    "echoes in a 429": _error(429, **{"retry-after": "0"}),
    "echoes in a web page": _plain,
    "redirects": _redirect(307),
    "redirects for good": _redirect(301),
    "echoes in an event": _event,
    "talks nonsense": _nonsense,
    "sends no JSON": _not_json,
    "echoes in its status": _reason,
    "dies": _dies,
    "echoes at a cut in a 400": _long(400, 500),
    "echoes at a cut in a 429": _long(429, 480),
    "echoes at a cut in nonsense": _long(200, 210),
    "echoes at a cut in an event": _long_event,
    "echoes at the end of what is read": _long(400, 64 << 10),
}
FORMS = ((), ("--json",), ("--jsonl",), ("--verbose",), ("--verbose", "--json"))


class Leak(NamedTuple):
    place: Place
    server: str
    words: tuple[str, ...]


def traces(data: bytes) -> bool:
    """Is the key in there, as it is or in another writing?"""
    writings = (
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps(SECRET).strip('"'),
        base64.b64encode(SECRET.encode()).decode(),
    )
    return any(writing.encode() in data for writing in writings) or b"Very+S" in data or b"Very%2BS" in data


def found_in(home: Home) -> list[str]:
    """The files that agentcli wrote and that have the key in them."""
    return [
        str(path.relative_to(home.path))
        for path in (home.path / "home").rglob("*")
        if path.is_file() and path.name != "config.toml" and traces(path.read_bytes())
    ]


def leak(case: Leak, bug: str = "") -> str:
    elsewhere = ModelServer().echo()
    with new_home() as home, elsewhere as other, ModelServer() as server:
        server.decides(lambda asked: SERVERS[case.server](asked, other.url))
        more = configure(home, case.place, server)
        done = ask(home, *case.words, "hi", bug=bug, more={"AGENTCLI_RETRIES": "1", **more})
        if not server.requests:
            return f"nothing was asked: {done.err[-300:]}"
        sent = server.requests[0]
        if SECRET not in (sent.headers.get(case.place.header, "") if case.place.header else sent.path):
            return f"the key was not sent: {sent.headers}"
        if "Traceback" in done.err:
            return f"a traceback: {done.err[-400:]}"
        if traces(done.out) or traces(done.err.encode()):
            return f"it was printed: {done.out[-200:]!r} {done.err[-400:]!r}"
        if files := found_in(home):
            return f"it is in {files}"
        return "the redirect was followed" if other.connections else ""


@promise(
    "P24",
    "Keys stay where they are",
    "keys from everywhere, servers that echo, redirect and fail: not printed, kept, or sent elsewhere",
    quick=16,
    full=len(PLACES) * len(SERVERS) * len(FORMS),
    planted=lambda: at_once(lambda bug: leak(Leak(PLACES[0], "answers", ()), bug), ["tells the key", "notes the key"]),
)
def p24_leaks(count: int) -> Outcome:
    every = [Leak(*one) for one in product(PLACES, SERVERS, FORMS)]
    step = max(1, len(every) // count)
    step += step % 2 == 0 or step % 5 == 0 or step % 3 == 0  # so that not the same ones are always left out
    return at_once(leak, [every[number * step % len(every)] for number in range(count)])


COMMANDS = (
    ("doctor", "--json"),
    ("doctor",),
    ("config", "show"),
    ("config", "show", "--json"),
    ("threads", "list", "--json"),
    ("config", "get", "providers"),
)


def tells(case: tuple[Place, tuple[str, ...]], bug: str = "") -> str:
    """Commands that show what is configured."""
    place, words = case
    with new_home() as home, ModelServer().decides(lambda asked: SERVERS["echoes in a 401"](asked, "")) as server:
        more = configure(home, place, server)
        done = ask(home, *words[1:], bug=bug, command=words[0], more=more)
        if "Traceback" in done.err:
            return f"a traceback: {done.err[-400:]}"
        if traces(done.out) or traces(done.err.encode()):
            lines = [line for line in (done.out.decode() + done.err).splitlines() if traces(line.encode())]
            return f"it was printed: {lines[:3]}"
        return ""


@promise(
    "P24",
    "Keys stay where they are",
    "doctor and config show with keys from everywhere",
    quick=6,
    full=len(PLACES) * len(COMMANDS),
    planted=lambda: at_once(lambda case: tells(case, "tells the key"), [(PLACES[0], ("ask", "hi"))]),
)
def p24_tells(count: int) -> Outcome:
    every = [(place, words) for words in COMMANDS for place in PLACES]
    step = 5 if count < len(every) else 1
    return at_once(tells, [every[number * step % len(every)] for number in range(count)])


def journals(count: int, bug: str = "") -> Outcome:
    """A chat: its journal while it answers, its screen, its files."""

    def one(place: Place) -> str:
        half = [sse({"choices": [{"delta": {"content": "half"}}]})] * 4
        with new_home() as home, ModelServer().replies(Reply(half, stall="mid-stream")) as server:
            more = configure(home, place, server)
            with Talk(home, None, bug=bug, more=more) as talk:
                before = talk.prompts
                talk.until("half", talk.say("hi"))
                wait_for(lambda: any(b"half" in path.read_bytes() for path in home.journals()))
                while_answering = found_in(home)
                talk.terminal.send("\x03")
                talk.until_prompt(before)
                if wrong := talk.leave():
                    return wrong
                if files := while_answering + found_in(home):
                    return f"it is in {files}"
                return "it is on the screen" if traces(talk.terminal.raw) else ""

    return at_once(one, [PLACES[number % len(PLACES)] for number in range(count)], 2)


@promise(
    "P24",
    "Keys stay where they are",
    "a chat: journal, screen and thread",
    quick=2,
    full=30,
    planted=lambda: journals(1, "notes the key"),
)
def p24_journals(count: int) -> Outcome:
    return journals(count)
