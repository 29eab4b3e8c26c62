"""What the answers of a thread took: tokens, by model and by the quarter of an hour.

A quarter of an hour is the largest piece that belongs to one day in every time zone, so what a day is can be decided by whoever asks.
Answers to small questions of the same quarter are one sum. Those to large ones stand alone: providers may ask another price for all
tokens of a request once it is larger than so many, and of a sum that could not be told any more.

The list caches this with each row (index.py), as bytes that are unpacked only when somebody wants to know.

What a fork shares with its parent counts in the parent. Compactions count, too: a model wrote their summaries.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain

import msgspec
from msgspec import Struct

from agentcli.core.document import Compaction
from agentcli.core.message import Message, Usage

__all__ = ["SMALL", "Spent", "packed", "spent", "unpacked"]

SMALL = 32_000  # tokens read: the smallest step of a price that is known
_QUARTER = 900  # seconds
_MOST = 1 << 40  # tokens that an answer can take: a document may say anything


class Spent(Struct, frozen=True, array_like=True):
    """What so many answers of a model took within a quarter of an hour. `counts` are the fields of `Usage`."""

    quarter: int  # since 1970
    model: str
    answers: int
    counts: tuple[int, ...]

    @property
    def usage(self) -> Usage:
        return Usage(*self.counts)

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.quarter * _QUARTER, UTC)


def spent(
    messages: Iterable[Message], compactions: Iterable[Compaction] = (), *, model: str | None = None, since: float | None = None
) -> list[Spent]:
    """What was taken, oldest first. `model` is whose an answer is that does not say, `since` when a fork left its parent."""
    sums: dict[tuple[int, str, int], tuple[int, ...]] = {}
    counted: dict[tuple[int, str, int], int] = {}
    everything: Iterable[Message | Compaction] = chain(messages, compactions)
    for said in everything:
        if said.usage is None:
            continue
        at = (said.at if said.at.tzinfo else said.at.replace(tzinfo=UTC)).timestamp()
        if since is not None and at < since:
            continue
        counts = tuple(min(max(each, 0), _MOST) for each in _counts(said.usage))
        if not any(counts):
            continue
        alone = len(sums) + 1 if counts[_INPUT] + counts[_MORE_INPUT] > SMALL else 0
        key = (int(at // _QUARTER), said.model or model or "", alone)
        before = sums.get(key)
        sums[key] = tuple(map(sum, zip(before, counts, strict=True))) if before else counts
        counted[key] = counted.get(key, 0) + 1
    return [Spent(key[0], key[1], counted[key], counts) for key, counts in sorted(sums.items())]


def packed(found: list[Spent]) -> bytes:
    """As few bytes as can be; none for nothing."""
    return _ENCODE(found) if found else b""


def unpacked(data: bytes) -> list[Spent]:
    """What was packed; nothing if a damaged cache has something else there."""
    with suppress(msgspec.MsgspecError):
        return _DECODE(data) if data else []
    return []


_FIELDS = Usage.__struct_fields__
_INPUT, _MORE_INPUT = _FIELDS.index("input"), _FIELDS.index("more_input")
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(list[Spent]).decode


def _counts(usage: Usage) -> tuple[int, ...]:
    return msgspec.structs.astuple(usage)
