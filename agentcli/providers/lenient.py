"""Reads JSON that is nearly what was documented.

An event that is as documented is decoded straight into structs, in microseconds. Any other (numbers for texts, half of a surrogate
pair, which JSON may carry and UTF-8 may not) goes the slow way: Python's own decoder, and of what comes out whatever fits.
"""

from __future__ import annotations

import json
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["count", "loads", "read"]

_Shape = TypeVar("_Shape", bound=Struct)


def read(data: str, decoder: msgspec.json.Decoder[_Shape]) -> _Shape:
    """The struct in a JSON object. Every field of it needs a default."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        kind: type[_Shape] = decoder.type
        return _fitting(loads(data), kind) or kind()


def loads(data: str) -> Any:
    """Whatever is in the JSON, as leniently as Python reads it."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ProviderError("protocol", f"the server sent something that is not JSON: {data}") from None


def count(tokens: int | None) -> int:
    """A number of tokens that can be one."""
    return tokens if tokens and 0 < tokens < 1 << 53 else 0


_hints = cache(get_type_hints)


def _fitting(value: Any, kind: Any) -> Any:
    """The value as this type, without the parts of it that do not fit; None if nothing does. A number may stand for a text."""
    for one in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        origin = get_origin(one) or one
        if origin is Any:
            return value
        if issubclass(origin, Struct):
            if isinstance(value, dict):
                return _filled(one, value)
        elif origin is list:
            if isinstance(value, list):
                (inner,) = get_args(one)
                return [found for item in value if (found := _fitting(item, inner)) is not None]
        elif isinstance(value, bool):
            if origin is bool:
                return value
        elif isinstance(value, origin):
            return value
        elif origin is str and isinstance(value, int | float):
            return str(value)
    return None


def _filled(kind: type[Struct], value: dict[str, Any]) -> Struct:
    """The struct with those fields that fit."""
    names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    found = {name: _fitting(value.get(names[name]), hint) for name, hint in _hints(kind).items() if name in names}
    return kind(**{name: fits for name, fits in found.items() if fits is not None})
