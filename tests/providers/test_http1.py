"""Reading HTTP/1.1: any split gives the same, and what is not whole or not clear is an error."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.providers.http.http1 import Answer, MalformedError
from tests.model_server import framed

PIECES = [b"data: one\n\n", b"x" * 300, "é\r\n0\r\n\r\n".encode(), b"end"]
HEAD = b"HTTP/1.1 200 OK\r\nA: 1\r\n"
WHOLE = {
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(framed(PIECES)),
    "extensions": HEAD
    + b"transfer-encoding: Chunked\r\n\r\n5;a=b\r\nHello\r\n00a ; x=\"y\"\r\n0123456789\r\n0\r\nTrailer: 1\r\nB: 2\r\n\r\n",
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % sum(map(len, PIECES)) + b"".join(PIECES),
    "close": HEAD + b"\r\n" + b"".join(PIECES),
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "bare line ends": b"HTTP/1.0 200\nA:1\nContent-Length: 2\n\nok",
}  # fmt: skip
BODIES = dict.fromkeys(("chunked", "length", "close"), b"".join(PIECES)) | {
    "extensions": b"Hello0123456789",
    "interim": b"ok",
    "bare line ends": b"ok",
}


def read(*pieces: bytes, has_body: bool = True) -> tuple[Answer, bytes]:
    answer = Answer(has_body=has_body)
    body = b"".join(answer.feed(piece) for piece in pieces)
    answer.end()
    return answer, body


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=12))
def test_any_split_gives_the_same(name: str, cuts: list[int]) -> None:
    whole = WHOLE[name]
    edges = [0, *sorted(cut % len(whole) for cut in cuts), len(whole)]
    answer, body = read(*(whole[start:end] for start, end in pairwise(edges)))
    assert answer.status == 200
    assert (b"a", b"1") in answer.headers
    assert body == BODIES[name]


@pytest.mark.parametrize("name", WHOLE)
def test_a_byte_at_a_time(name: str) -> None:
    answer, body = read(*(bytes((byte,)) for byte in WHOLE[name]))
    assert body == BODIES[name]
    assert answer.done


@pytest.mark.parametrize("name", WHOLE)
def test_cut_at_every_byte(name: str) -> None:
    """Only a body that ends with the connection may end anywhere."""
    end = len(HEAD) + 2 if name == "close" else len(WHOLE[name])
    for cut in range(end):
        with pytest.raises(MalformedError):
            read(WHOLE[name][:cut])


@pytest.mark.parametrize(
    "bad",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nHello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nHello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5_0\r\nHello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nHello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHelloX\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"e" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: 1\r\n" * 20000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 20000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
        b"",
        b"HTTP/1.1 200",
    ],
    ids=lambda bad: repr(bad[:60]),
)
def test_what_is_malformed(bad: bytes) -> None:
    with pytest.raises(MalformedError):
        read(bad)
    step = 7 + len(bad) // 100
    with pytest.raises(MalformedError):
        read(*(bad[at : at + step] for at in range(0, len(bad), step)))


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(status: int) -> None:
    assert read(b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status)[0].done


def test_no_body_for_head() -> None:
    assert read(b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", has_body=False)[0].done


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nokmore", False),
        (b"HTTP/1.1 200 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 x\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 x\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1", False),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 x\r\n\r\nok", False),
    ],
)
def test_whether_the_connection_lives_on(raw: bytes, reusable: bool) -> None:
    assert read(raw)[0].reusable is reusable


def test_what_comes_together_is_given_together() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert answer.feed(b"".join(framed([b"a", b"b", b"c"]))) == b"abc"
