"""The document of a thread: UTF-8 JSON, whole or refused.

The keys stand in the order of the fields. Keys that this version does not know are carried along and written back, at every depth, so
that a newer agentcli's notes survive an older one's save: `load()` takes them out and `dump()` puts them where they were. What cannot
be read strictly (torn, foreign, NaN, nested too deeply) is a `ValueError` that says why.

`Thread.load()` and `Thread.dump()` are these two for a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, field

from agentcli.core.message import Message, Part, Usage, new_id, now, speakable

__all__ = ["FORMAT", "Compaction", "Origin", "Unknown", "dump", "encode", "load"]

FORMAT = 1

Place: TypeAlias = tuple[str | int, ...]

# Keys that this version does not know, by where they were: () is the document, then ("parent",), ("compactions", <through>, <nth>),
# ("messages", <id>, <nth with it>), and below that (…, "usage"), (…, "earlier") and (…, "parts", <number>). By id, because a message
# may get others before it; counted, because nothing keeps two messages of a foreign document from having one id.
Unknown: TypeAlias = dict[Place, dict[str, Any]]

_Document = TypeVar("_Document", bound=Struct)


class Origin(Struct, frozen=True):
    """Where a fork left its parent: the thread, and the last message the two share."""

    thread: str
    message: str | None = None


class Compaction(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a model gets in place of the first `count` messages, of which `through` is the last.

    With a `summary`: that. Without one: the messages, but with their long tool results and their attachments shortened. It holds for
    as long as the thread begins with these messages. `before` and `after` are tokens of the next request, estimated; `model` wrote the
    summary, for `usage`.
    """

    through: str
    count: int
    at: datetime = field(default_factory=now)
    summary: str = ""
    model: str | None = None
    usage: Usage | None = None
    before: int = 0
    after: int = 0


def dump(value: Struct, unknown: Unknown) -> bytes:
    """The document: whole, indented, with a newline at the end."""
    document: Any = value
    if unknown:
        document = msgspec.to_builtins(value)
        for place, there, _ in _places(document, frozenset()):
            there.update(unknown.get(place, {}))
    return msgspec.json.format(encode(document), indent=2) + b"\n"


def load(data: bytes, kind: type[_Document]) -> tuple[_Document, Unknown]:
    """What is in a document, and the keys in it that are not known; or a ValueError that says what is wrong with it."""
    try:
        document = msgspec.json.decode(data)
        if not isinstance(document, dict):
            raise ValueError(f"expected an object, got {type(document).__name__}")
        if isinstance(number := document.get("format"), int) and number > FORMAT:
            raise ValueError(f"its format is {number}; this version reads up to {FORMAT}")
        unknown: Unknown = {}
        for place, there, known in _places(document, frozenset(kind.__struct_fields__)):
            if extra := there.keys() - known:
                unknown[place] = {key: there.pop(key) for key in list(there) if key in extra}
        if missing := {"format", "id", "messages"} - document.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}: not a thread")
        return msgspec.convert(document, kind), unknown
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def encode(value: Any) -> bytes:
    """JSON. A half of a surrogate pair, which UTF-8 cannot hold, does not keep the rest from being written."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_speakable(msgspec.to_builtins(value)))


def _speakable(value: Any) -> Any:
    if isinstance(value, str):
        return speakable(value)
    if isinstance(value, dict):
        return {speakable(key): _speakable(item) for key, item in value.items()}
    return [_speakable(item) for item in value] if isinstance(value, list | tuple) else value


_MESSAGE_KEYS = frozenset(Message.__struct_fields__)
_USAGE_KEYS = frozenset(Usage.__struct_fields__)
_ORIGIN_KEYS = frozenset(Origin.__struct_fields__)
_COMPACTION_KEYS = frozenset(Compaction.__struct_fields__)
_PART_KEYS: Mapping[object, frozenset[str]] = {
    part.__struct_config__.tag: frozenset(part.__struct_fields__) | {"type"} for part in Part.__args__
}


def _places(document: dict[str, Any], keys: frozenset[str]) -> Iterator[tuple[Place, dict[str, Any], frozenset[str]]]:
    """The objects in a document that may hold unknown keys: the place, the object, and its known keys (at the top: `keys`)."""
    yield (), document, keys
    if isinstance(parent := document.get("parent"), dict):
        yield ("parent",), parent, _ORIGIN_KEYS
    for place, compaction in _named("compactions", "through", document):
        yield place, compaction, _COMPACTION_KEYS
        if isinstance(usage := compaction.get("usage"), dict):
            yield (*place, "usage"), usage, _USAGE_KEYS
    for message in _objects(document.get("messages")):
        if "id" not in message:
            message["id"] = new_id()
    for place, message in _named("messages", "id", document):
        yield place, message, _MESSAGE_KEYS
        for key in ("usage", "earlier"):
            if isinstance(usage := message.get(key), dict):
                yield (*place, key), usage, _USAGE_KEYS
        for number, part in enumerate(_objects(message.get("parts"))):
            kind = part.get("type")
            if isinstance(kind, str) and (known := _PART_KEYS.get(kind)):
                yield (*place, "parts", number), part, known


def _named(key: str, name: str, document: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The objects of a list, each with its place: what it is called, and which of those that are called so."""
    before: dict[str, int] = {}
    for one in _objects(document.get(key)):
        called = str(one.get(name))
        nth = before.get(called, 0)
        before[called] = nth + 1
        yield (key, called, nth), one


def _objects(values: object) -> Iterator[dict[str, Any]]:
    """The objects in what should be a list of them."""
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list | tuple) else iter(())
