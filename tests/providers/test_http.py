"""Questions through the whole stack, against a server that does everything wrong that a server can."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from contextlib import aclosing
from itertools import pairwise
from time import monotonic

import pytest

from agentcli.core.event import Retrying
from agentcli.core.provider import ReasoningChunk, TextChunk
from agentcli.errors import Exit
from agentcli.providers import Clocks
from agentcli.providers.openai_chat.answer import Answer
from tests.model_server import Asked, ModelServer, Reply, sse
from tests.providers.asking import QUICK, Outcome, ask, http, once

SHORT = Clocks(connect=0.3, idle=0.3, retries=0)
HELLO = [sse({"choices": [{"delta": {"content": "Hé"}}]}), sse({"choices": [{"delta": {}, "finish_reason": "stop"}]}), sse("[DONE]")]


def run(server: ModelServer, clocks: Clocks = QUICK, **how: str) -> Outcome:
    return asyncio.run(once(server.url, clocks=clocks, **how))


def test_an_answer(server: ModelServer) -> None:
    outcome = run(server.says("Hello there", chunks=3))
    assert outcome.whole
    assert outcome.text == "Hello there"
    assert outcome.waits == ["connecting", "sent", "answering"]
    (asked,) = server.requests
    assert asked.headers["authorization"] == "Bearer sk-secret"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["user-agent"].startswith("agentcli/")


@pytest.mark.parametrize("framing", ["chunked", "length", "close", "gzip+chunked", "gzip+length", "gzip+close"])
def test_every_framing(server: ModelServer, framing: str) -> None:
    outcome = run(server.raw(HELLO, framing=framing))
    assert outcome.whole
    assert outcome.text == "Hé"


@pytest.mark.parametrize("how", ["zlib", "raw", "members"])
def test_compressions_that_are_less_usual(server: ModelServer, how: str) -> None:
    text = b"".join(HELLO)
    raw = zlib.compressobj(wbits=-15)
    body, coding = {
        "zlib": (zlib.compress(text), "deflate"),
        "raw": (raw.compress(text) + raw.flush(), "deflate"),
        "members": (gzip.compress(text[:20]) + gzip.compress(text[20:]), "x-gzip"),
    }[how]
    outcome = run(server.raw(body, headers=(("content-type", "text/event-stream"), ("content-encoding", coding))))
    assert (outcome.text, outcome.whole) == ("Hé", True)


@pytest.mark.parametrize(("coding", "body"), [("br", b"x"), ("gzip", b"this is not gzip at all")])
def test_a_compression_that_cannot_be_read(server: ModelServer, coding: str, body: bytes) -> None:
    server.raw(body, headers=(("content-type", "text/event-stream"), ("content-encoding", coding)))
    assert run(server).kind == "protocol"


def test_json_in_place_of_a_stream(server: ModelServer) -> None:
    outcome = run(server.json())
    assert (outcome.text, outcome.whole) == ("Hello", True)


@pytest.mark.parametrize(
    ("status", "kind", "exit_code"),
    [
        (400, "bad_request", Exit.UNAVAILABLE),
        (401, "auth", Exit.UNAVAILABLE),
        (403, "auth", Exit.UNAVAILABLE),
        (404, "not_found", Exit.UNAVAILABLE),
        (413, "too_large", Exit.UNAVAILABLE),
    ],
)
def test_a_refusal_is_not_tried_again(server: ModelServer, status: int, kind: str, exit_code: Exit) -> None:
    server.fails(status, "you and your sk-secret", retry_after="0").then.says("never")
    outcome = run(server, Clocks(retries=3))
    assert outcome.error
    assert (outcome.kind, outcome.error.exit_code, outcome.error.status) == (kind, exit_code, status)
    assert "you and your …" in outcome.error.message
    assert "sk-secret" not in f"{outcome.error} {outcome.error.hint} {outcome.error!r}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [*((status, "0.01") for status in (408, 409, 429, 500, 502, 503, 504, 529)), (429, None), (500, None), (503, None)],
)
def test_what_may_pass_is_tried_again(server: ModelServer, status: int, retry_after: str | None) -> None:
    server.fails(status, retry_after=retry_after).then.says("ok")
    outcome = run(server, Clocks(retries=1))
    assert (outcome.text, outcome.whole) == ("ok", True)
    (retry,) = outcome.retries
    assert (retry.attempt, retry.attempts, retry.status) == (1, 1, status)
    assert retry.delay == 0.01 if retry_after else 0 <= retry.delay <= 0.5
    assert outcome.waits == ["connecting", "sent", "connecting", "sent", "answering"]


@pytest.mark.parametrize(("status", "exit_code"), [(429, Exit.TRY_LATER), (503, Exit.TRY_LATER), (500, Exit.UNAVAILABLE)])
def test_after_the_last_try_it_fails(server: ModelServer, status: int, exit_code: Exit) -> None:
    outcome = run(server.fails(status, retry_after="0.01"), Clocks(retries=4))
    assert outcome.error
    assert outcome.error.exit_code == exit_code
    assert [retry.attempt for retry in outcome.retries] == [1, 2, 3, 4]
    assert len(server.requests) == 5


def test_retry_after_is_obeyed(server: ModelServer) -> None:
    run(server.fails(429, retry_after="0.4").then.says("ok"), Clocks(retries=1))
    first, second = server.requests
    assert 0.4 <= second.at - first.at < 2


def test_a_wait_that_is_too_long_fails_at_once(server: ModelServer) -> None:
    began = monotonic()
    outcome = run(server.fails(429, retry_after="3600"), Clocks(retries=4))
    assert outcome.error
    assert (outcome.kind, len(server.requests)) == ("rate_limit", 1)
    assert "60 minutes" in outcome.error.hint
    assert monotonic() - began < 5


def test_a_wait_can_be_cancelled(server: ModelServer) -> None:
    server.fails(429, retry_after="100")

    async def main() -> None:
        through = http(server.url, clocks=Clocks(retries=4), key="sk-cancelled")
        task = asyncio.create_task(ask(through))
        await server.until(lambda: server.requests)
        await asyncio.sleep(0.05)
        task.cancel()
        began = monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert monotonic() - began < 0.5
        await through.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_all_of_a_key_wait_when_one_is_told_to(server: ModelServer) -> None:
    server.fails(429, retry_after="0.5").then.echo()

    async def main() -> list[Outcome]:
        through = [http(server.url, clocks=Clocks(retries=2), key="sk-gate") for _ in range(2)]
        first = asyncio.create_task(ask(through[0]))
        await server.until(lambda: server.requests)
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(ask(each)) for each in through * 10]
        outcomes = await asyncio.gather(first, *others)
        for each in through:
            await each.aclose()
        return outcomes

    assert all(outcome.whole for outcome in asyncio.run(main()))
    told, *rest = [asked.at for asked in server.requests]
    assert len(rest) == 21
    assert min(rest) - told >= 0.5
    assert max(later - earlier for earlier, later in pairwise(rest)) < 1
    assert rest[-1] - rest[0] > 0.05  # spread out


@pytest.mark.parametrize("fault", ["stall", "reset", "cut", "error event"])
def test_nothing_is_retried_after_content(server: ModelServer, fault: str) -> None:
    match fault:
        case "stall":
            server.stalls()
        case "reset":
            server.reset(400)
        case "cut":
            server.cut(400)
        case "error event":
            server.error_event(after="so far", code=503)
    outcome = run(server.then.says("again"), Clocks(idle=0.3, retries=3))
    assert outcome.text in ("Hello", "so far")
    assert (outcome.error is not None, len(outcome.retries), len(server.requests)) == (True, 0, 1)


@pytest.mark.parametrize("fault", ["reset", "cut", "error event", "nothing"])
def test_a_broken_answer_without_content_is_retried(server: ModelServer, fault: str) -> None:
    match fault:
        case "reset":
            server.reset()
        case "cut":
            server.cut(10)
        case "error event":
            server.error_event("overloaded", code="overloaded_error")
        case "nothing":
            server.raw(b"", framing="length")
    outcome = run(server.then.says("ok"), Clocks(retries=1))
    assert (outcome.text, outcome.whole, len(outcome.retries)) == ("ok", True, 1)


def test_an_error_event_that_time_does_not_heal(server: ModelServer) -> None:
    outcome = run(server.error_event("no such model", code="model_not_found").then.says("never"), Clocks(retries=2))
    assert outcome.kind == "not_found"
    assert len(server.requests) == 1


@pytest.mark.parametrize("where", ["before headers", "after headers", "mid-stream"])
@pytest.mark.parametrize("ping", [None, 0.05])
def test_a_stall(server: ModelServer, where: str, ping: float | None) -> None:
    """Pings are not content."""
    began = monotonic()
    outcome = run(server.stalls(where, ping=ping), SHORT)  # type: ignore[arg-type]
    assert outcome.error
    assert (outcome.kind, outcome.error.exit_code) == ("stalled", Exit.TRY_LATER)
    assert "for 0.3 s" in outcome.error.message
    assert outcome.text == ("Hello" if where == "mid-stream" else "")
    assert 0.3 <= monotonic() - began < 2.5


def test_content_keeps_the_idle_clock_from_ringing(server: ModelServer) -> None:
    outcome = run(server.says("one two three four five six", chunks=6, pause=0.08), SHORT)
    assert outcome.whole


def test_a_slow_reader_is_not_a_slow_server(server: ModelServer) -> None:
    server.says("one two three", chunks=3, pause=0.05)

    async def main() -> str:
        through = http(server.url, clocks=SHORT)
        text = ""
        body = json.dumps({"stream": True, "messages": []}).encode()
        async with aclosing(through.stream("/chat/completions", body, Answer)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, TextChunk):
                    text += chunk.text
                    await asyncio.sleep(0.35)
        await through.aclose()
        return text

    assert asyncio.run(main()) == "one two three"


def test_a_byte_at_a_time_is_no_stall_while_it_is_content(server: ModelServer) -> None:
    outcome = run(server.raw(HELLO, rate=400), Clocks(idle=2.0, retries=0))
    assert (outcome.text, outcome.whole) == ("Hé", True)


def test_a_byte_a_second_is_a_stall(server: ModelServer) -> None:
    assert run(server.trickle(1), SHORT).kind == "stalled"


def test_the_end_was_said_so_what_breaks_later_does_not_matter(server: ModelServer) -> None:
    whole = sum(map(len, HELLO[:2])) + 12  # with the sizes of the chunks
    for outcome in (run(server.raw(HELLO, cut=whole)), run(server.afresh().raw(HELLO, cut=whole, reset=True))):
        assert (outcome.text, outcome.whole) == ("Hé", True)
    outcome = run(server.afresh().raw(HELLO[:2], framing="length", head=b"HTTP/1.1 200 x\r\nContent-Length: 9999\r\n\r\n"))
    assert (outcome.text, outcome.whole) == ("Hé", True)


def test_who_is_in_a_hurry_does_not_wait_for_a_server_that_wants_to_be_left_alone(server: ModelServer) -> None:
    async def main() -> list[Outcome]:
        through = http(server.fails(429, retry_after="60").url, clocks=Clocks(retries=4, again=5.0), key="sk-in-a-hurry")
        try:
            return [await ask(through), await ask(through)]
        finally:
            await through.aclose()

    began = monotonic()
    first, second = asyncio.run(main())
    assert monotonic() - began < 4
    assert (first.kind, second.kind) == ("rate_limit", "rate_limit")
    assert len(server.requests) == 1  # the second did not even ask
    assert second.error
    assert "wants to be left alone for another" in second.error.message


def test_what_was_held_back_comes_also_if_the_body_breaks_off(server: ModelServer) -> None:
    half = b'data: {"choices": [{"delta": {"content": "so far \\ud83d"}}]}\n\n'
    more = b"HTTP/1.1 200 x\r\nContent-Length: 9999\r\n\r\n"
    outcome = run(server.raw([half], framing="length", head=more), Clocks(retries=3))
    assert (outcome.text, outcome.kind) == ("so far \ufffd", "cut")
    thinking = {"choices": [{"delta": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}}]}
    outcome = run(server.afresh().raw([sse(thinking)], framing="length", head=more))
    assert outcome.kind == "cut"
    assert not any(isinstance(chunk, ReasoningChunk) and chunk.private for chunk in outcome.chunks)  # it may lack its signature


def test_an_error_in_a_document_is_told_also_if_the_connection_breaks_then(server: ModelServer) -> None:
    document = b'{"choices": [{"message": {"content": "Hi"}}], "error": {"message": "no more", "code": 429}}'
    outcome = run(server.raw([document], framing="length", head=b"HTTP/1.1 200 x\r\nContent-Length: 9999\r\n\r\n"))
    assert (outcome.text, outcome.kind) == ("Hi", "rate_limit")
    assert outcome.error
    assert outcome.error.hint


@pytest.mark.parametrize("status", [200, 400])
def test_a_key_across_a_cut_is_not_said(server: ModelServer, status: int) -> None:
    key = "sk-0123456789-abcdefghij"
    for before in (*range(180, 210, 7), *range(480, 620, 7), 4080, (64 << 10) - 10):
        for filling in (b"x", b" "):
            server.afresh().raw([filling * before + key.encode() + b"y" * 10], status=status, framing="length")
            outcome = asyncio.run(once(server.url, key=key))
            assert outcome.error
            assert "sk-" not in f"{outcome.error} {outcome.error.hint}", (before, filling)
            assert len(outcome.error.message) < 700


def test_a_redirect_is_not_followed(server: ModelServer) -> None:
    with ModelServer() as other:
        outcome = run(server.redirects(f"{other.url}/chat/completions"), Clocks(retries=2))
        assert outcome.error
        assert outcome.kind == "redirect"
        assert f"127.0.0.1:{other.port}" in outcome.error.message
        assert not other.connections


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_web_page(server: ModelServer, status: int) -> None:
    outcome = run(server.html(status))
    assert outcome.error
    assert outcome.kind == {200: "protocol", 404: "not_found", 500: "server"}[status]
    assert "<" not in outcome.error.message
    assert "/v1" in outcome.error.hint or status == 500


def test_an_error_body_that_never_ends(server: ModelServer) -> None:
    server.raw([b"x" * 1000] * 100, status=400, stall="mid-stream")
    began = monotonic()
    outcome = run(server, SHORT)
    assert outcome.error
    assert outcome.kind == "bad_request"
    assert len(outcome.error.message) < 700
    assert monotonic() - began < 3


def test_a_reply_without_bounds(server: ModelServer) -> None:
    piece = b"".join(sse({"choices": [{"delta": {"content": "x" * 100_000}}]}) for _ in range(10))
    outcome = run(server.raw([piece] * 50))
    assert outcome.kind == "too_large"
    assert 30_000_000 < len(outcome.text) <= 32 << 20


def test_a_reply_that_is_big_in_disguise(server: ModelServer) -> None:
    piece = sse({"choices": [{"delta": {"content": "x" * 100_000}}]}) * 1000
    outcome = run(server.raw(piece, framing="gzip+length"))
    assert outcome.kind == "too_large"


def test_tls() -> None:
    with ModelServer(tls="bad").says("x") as server:
        outcome = run(server, Clocks(retries=3))
        assert outcome.error
        assert (outcome.kind, outcome.retries) == ("tls", [])
        assert "certificate" in outcome.error.message
    with ModelServer(tls="good").says("safe") as server:
        os.environ["SSL_CERT_FILE"] = server.ca
        try:
            assert run(server).text == "safe"
        finally:
            del os.environ["SSL_CERT_FILE"]


def test_where_nobody_is() -> None:
    with ModelServer() as server:
        url = server.url
    outcome = asyncio.run(once(url, clocks=Clocks(retries=1)))
    assert outcome.error
    assert (outcome.kind, len(outcome.retries)) == ("unreachable", 1)
    assert "connection refused" in outcome.error.message
    outcome = asyncio.run(once("http://no.such.host.invalid/v1"))
    assert outcome.error
    assert "no.such.host.invalid" in outcome.error.message


@pytest.mark.parametrize(
    "url", ["", "localhost:8000/v1", "ftp://x/v1", "http://", "http://[::1/v1", "http://a b/v1", "http://x:99999/"]
)
def test_a_base_url_that_is_none(url: str) -> None:
    outcome = asyncio.run(once(url))
    assert outcome.error
    assert outcome.kind == "unreachable"
    assert "base URL" in outcome.error.message


@pytest.mark.parametrize("key", ["ключ", "a\nb", "a\r\nx-evil: 1"])
def test_a_key_that_cannot_be_sent(server: ModelServer, key: str) -> None:
    outcome = run(server, key=key)
    assert outcome.error
    assert key not in str(outcome.error)
    assert "evil" not in str(outcome.error)
    assert not server.requests


def test_a_name_and_password_in_the_base_url(server: ModelServer) -> None:
    server.fails(401, "wrong: p@ss")
    outcome = asyncio.run(once(server.url.replace("//", "//me:p%40ss@"), key=""))
    assert server.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="
    assert outcome.error
    assert "p@ss" not in str(outcome.error)


def test_a_query_in_the_base_url_stays(server: ModelServer) -> None:
    asyncio.run(once(f"{server.url}/?api-version=1"))
    assert server.requests[0].path == "/v1/chat/completions?api-version=1"


@pytest.mark.parametrize(("keep", "connections"), [(True, 1), (False, 3)])
def test_whether_the_connection_is_kept(server: ModelServer, keep: bool, connections: int) -> None:
    async def main() -> None:
        through = http(server.url, keep=keep)
        for number in range(3):
            assert (await ask(through, prompt=str(number))).text == str(number)
        await through.aclose()

    asyncio.run(main())
    assert len(server.connections) == connections


def closing_at(asked: Asked) -> Reply:
    """A reply that is cut where the name of the model says, in the framing that it says."""
    framing, _, cut = asked.body["model"].partition("@")
    return Reply(HELLO, framing=framing, cut=int(cut))


@pytest.mark.parametrize("framing", ["chunked", "length", "close", "gzip+chunked", "gzip+length", "gzip+close"])
def test_cut_at_every_byte(server: ModelServer, framing: str) -> None:
    """P12: an answer that was cut is never taken for a whole one, and a whole one is never called cut."""
    server.decides(closing_at)
    length = sum(map(len, Reply(HELLO, framing=framing).wire))

    async def main() -> list[Outcome]:
        through = http(server.url)
        outcomes: list[Outcome] = []
        for start in range(0, length + 1, 40):
            some = range(start, min(start + 40, length + 1))
            outcomes += await asyncio.gather(*(ask(through, model=f"{framing}@{cut}") for cut in some))
        await through.aclose()
        return outcomes

    outcomes = asyncio.run(main())
    end = b"".join(HELLO[:2])  # after the finish reason nothing is missing
    for cut, outcome in enumerate(outcomes):
        if len(text_before(framing, cut)) >= len(end):
            assert (outcome.text, outcome.whole) == ("Hé", True), cut
        else:
            assert outcome.kind == "cut", cut
            assert outcome.text in ("", "Hé")
    assert {outcome.whole for outcome in outcomes} == {True, False}


def text_before(framing: str, cut: int) -> bytes:
    """What a reader can know of the text from so many bytes of the body."""
    raw = b"".join(Reply(HELLO, framing=framing).wire)[:cut]
    zipped, _, how = framing.rpartition("+")
    if how == "chunked":
        text = b""
        while b"\r\n" in raw:
            size, _, raw = raw.partition(b"\r\n")
            text += raw[: int(size, 16)]
            raw = raw[int(size, 16) + 2 :]
        raw = text
    return zlib.decompressobj(wbits=31).decompress(raw) if zipped else raw


def test_a_retry_is_announced_before_it_is_waited_for(server: ModelServer) -> None:
    server.fails(503, retry_after="30")

    async def main() -> None:
        through = http(server.url, clocks=Clocks(retries=1), key="sk-announced")
        async with asyncio.timeout(5), aclosing(through.stream("/chat/completions", b"{}", Answer)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, Retrying):
                    break
        assert isinstance(chunk, Retrying)
        assert chunk.delay == 30
        await through.aclose()

    asyncio.run(main())
