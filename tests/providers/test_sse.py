"""The standard's rules for event streams, each with every way to split the bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.provider import ProviderError
from agentcli.providers.sse import LIMIT, ServerEvent, ServerEvents

# name -> (bytes, [(type, data, id)])
CASES: dict[str, tuple[bytes, list[tuple[str, str, str]]]] = {
    "one": (b"data: a\n\n", [("", "a", "")]),
    "several lines of data": (b"data: a\ndata: b\ndata:\n\n", [("", "a\nb\n", "")]),
    "CR ends a line": (b"data: a\rdata: b\r\rdata: c\r\r", [("", "a\nb", ""), ("", "c", "")]),
    "CRLF ends a line": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [("", "a\nb", ""), ("", "c", "")]),
    "line ends mixed": (b"data: a\r\ndata: b\ndata: c\r\n\rdata: d\n\r\n", [("", "a\nb\nc", ""), ("", "d", "")]),
    "CR before LF is one end": (b"data: a\r\n\r\n\r\ndata: b\n\n", [("", "a", ""), ("", "b", "")]),
    "byte-order mark": (b"\xef\xbb\xbfdata: a\n\n", [("", "a", "")]),
    "a second mark is a character": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", "b", "")]),
    "a mark in the middle is a character": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: \xef\xbb\xbfc\n\n",
        [("", "a", ""), ("", "\ufeffc", "")],
    ),
    "nearly a mark": (b"\xef\xbbdata: a\n\ndata: b\n\n", [("", "b", "")]),
    "comments": (b": hello\n:\ndata: a\n: data: b\n\n: bye\n\n", [("", "a", "")]),
    "field without colon": (b"data\n\ndata\ndata\n\n", [("", "", ""), ("", "\n", "")]),
    "one space is removed": (b"data:a\n\ndata:  b\n\ndata:\tc\n\n", [("", "a", ""), ("", " b", ""), ("", "\tc", "")]),
    "colons in a value": (b"data: a: b:c\n\n", [("", "a: b:c", "")]),
    "names are exact": (b"Data: a\n data: b\ndata : c\ndatax: d\ndata: e\n\n", [("", "e", "")]),
    "a NUL is a character": (b"data: a\0b\n\ndata\0: c\n\n", [("", "a\0b", "")]),
    "type": (b"event: ping\ndata: a\n\ndata: b\n\n", [("ping", "a", ""), ("", "b", "")]),
    "the last type counts": (b"event: a\nevent: b\ndata: x\n\n", [("b", "x", "")]),
    "a type without data is dropped": (b"event: ping\n\ndata: a\n\n", [("", "a", "")]),
    "an empty type is none": (b"event: ping\nevent:\ndata: a\n\n", [("", "a", "")]),
    "ids stay": (b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", [("", "a", "1"), ("", "b", "1"), ("", "c", "")]),
    "an id with NUL is ignored": (b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", [("", "a", "1"), ("", "b", "1")]),
    "an id without data stays": (b"id: 7\n\ndata: a\n\n", [("", "a", "7")]),
    "retry is not an event": (b"retry: 100\ndata: a\n\nretry: 1x\n\n", [("", "a", "")]),
    "unknown fields": (b"colour: red\ndata: a\n\n", [("", "a", "")]),
    "the end is not a blank line": (b"data: a\n\ndata: b\n", [("", "a", "")]),
    "the end is not a line end": (b"data: a\n\ndata: b", [("", "a", "")]),
    "nothing": (b"\n\n\r\r\r\n", []),
    "line ends that are not": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
        [("", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg", "")],
    ),
    "long characters": ("data: žluťoučký 🐎\n\n".encode(), [("", "žluťoučký 🐎", "")]),
    "broken characters": (b"data: a\xf0\x9f\x90 b\xff\n\ndata: c\xe2\x82\n\n", [("", "a\ufffd b\ufffd", ""), ("", "c\ufffd", "")]),
    "the error field": (b'error: {"message": "no"}\n\ndata: a\n\n', [("error", '{"message": "no"}', ""), ("", "a", "")]),
}


def events(pieces: Iterable[bytes]) -> list[tuple[str, str, str]]:
    decoder = ServerEvents()
    return [(event.event, event.data, event.id) for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize("name", CASES)
def test_the_standard(name: str) -> None:
    body, expected = CASES[name]
    assert events([body]) == expected


@pytest.mark.parametrize("name", CASES)
def test_every_split_gives_the_same(name: str) -> None:
    body, expected = CASES[name]
    assert events(body[place : place + 1] for place in range(len(body))) == expected
    assert events(body.splitlines(keepends=True)) == expected
    for first in range(len(body) + 1):
        assert events([body[:first], b"", body[first:]]) == expected
        for second in range(first, min(first + 5, len(body) + 1)):
            assert events([body[:first], body[first:second], body[second:]]) == expected


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.sampled_from([b"data: a", b"data", b"event: x", b"id: 1", b":", b"\r", b"\n", b"\r\n", b"\xf0\x9f", b"\xef\xbb\xbf", b" "])
    ),
    st.data(),
)
def test_any_bytes_give_the_same_however_split(parts: list[bytes], data: st.DataObject) -> None:
    body = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert events(pieces) == events([body])


def test_what_came_before_a_fault_in_the_same_piece_is_handed_on() -> None:
    got: list[ServerEvent] = []
    with pytest.raises(ProviderError) as caught:
        got.extend(ServerEvents().feed(b"data: a\n\ndata: " + b"x" * (LIMIT + 1) + b"\n\n"))
    assert [event.data for event in got] == ["a"]
    assert caught.value.kind == "too_large"


def test_an_event_of_16_mib_is_taken_and_a_larger_one_is_not() -> None:
    filling = b"x" * (LIMIT - len(b"data: "))
    assert [len(event.data) for event in ServerEvents().feed(b"data: " + filling + b"\n\n")] == [len(filling)]
    with pytest.raises(ProviderError):
        list(ServerEvents().feed(b"data: " + filling + b"x\n\n"))


@pytest.mark.parametrize("piece", [b"x" * 65536, b"data: " + b"x" * 60000 + b"\n", b"data\n" * 10000, b": " + b"x" * 65536])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        events(piece for _ in range(LIMIT // 1000))
    assert caught.value.kind == "too_large"


def test_comments_without_end_are_not_kept() -> None:
    decoder = ServerEvents()
    for _ in range(1000):
        assert list(decoder.feed(b": still here\n" * 2000)) == []


def test_a_long_event_in_small_pieces_takes_time_in_proportion() -> None:
    def took(size: int) -> float:
        decoder, began = ServerEvents(), time.process_time()
        for _ in range(size // 64):
            list(decoder.feed(b"x" * 64))
        return time.process_time() - began

    took(1 << 16)
    assert took(1 << 23) < 40 * took(1 << 20) + 0.1  # 8 times the bytes; quadratic would be 64 times the time
