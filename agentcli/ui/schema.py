"""The schema of `ask --schema`, and whether an answer fits it.

A schema is a file, JSON, or a list of names with types ("name, age int, tags list"). It must be whole in itself: nothing is fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import msgspec

from agentcli.errors import Exit, UserError

__all__ = ["Schema"]

_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string"}},
}
_FIELD = re.compile(r"(\w+)(?:\s+(\w+))?(?:\s*:\s*(.+))?")
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)


class Schema:
    """A JSON Schema, and what it takes to hold an answer to it."""

    def __init__(self, document: dict[str, Any]) -> None:
        import fastjsonschema

        self.document = document
        try:
            self._check: Callable[[Any], Any] = fastjsonschema.compile(document, handlers=_NO_REFERENCES)
        except (
            fastjsonschema.JsonSchemaDefinitionException,
            RecursionError,
            TypeError,
            ValueError,
            AttributeError,
            re.error,
        ) as error:
            raise _bad(f"it is not a JSON Schema: {error}") from None
        self._wrong = fastjsonschema.JsonSchemaValueException

    @classmethod
    def of(cls, text: str) -> Schema:
        """The schema that `--schema` names."""
        if text.lstrip().startswith("{"):
            return cls(_object(text, "it is not JSON"))
        if os.path.isfile(text):
            with open(text, encoding="utf-8-sig", errors="replace") as file:
                return cls(_object(file.read(), f"{text} does not hold JSON"))
        if text.endswith(".json"):
            raise _bad(f"there is no file {text}")
        return cls(_of_fields(text))

    @property
    def instructions(self) -> str:
        """What the model is told."""
        return f"Answer with JSON only, nothing around it, that fits this JSON Schema:\n{msgspec.json.encode(self.document).decode()}"

    def fit(self, text: str) -> str:
        """The JSON of an answer, without a fence around it; a ValueError that says why it does not fit."""
        if fenced := _FENCE.fullmatch(text):
            text = fenced[1]
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise ValueError(f"it is not JSON: {error}") from None
        try:
            self._check(value)
        except self._wrong as error:
            raise ValueError(str(error).replace("data", "the answer", 1)) from None
        return text.strip()


def _no_reference(uri: str) -> Any:
    raise ValueError(f"it refers to {uri}: a schema must be whole in itself")


# fastjsonschema would fetch what a schema refers to; nothing here goes to the network unasked.
_NO_REFERENCES = dict.fromkeys(("http", "https", "ftp", "file"), _no_reference)


def _object(text: str, fault: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise _bad(f"{fault}: {error}") from None
    if not isinstance(document, dict):
        raise _bad(f"{fault} object")
    return document


def _of_fields(text: str) -> dict[str, Any]:
    """ "name, age int" as a schema."""
    properties: dict[str, dict[str, Any]] = {}
    for part in filter(None, re.split(r"[,\n]", text)):
        field = _FIELD.fullmatch(part.strip())
        if not field or (field[2] or "str") not in _TYPES:
            raise _bad(f"{part.strip()!r} is not a name and one of {', '.join(_TYPES)}")
        properties[field[1]] = {**_TYPES[field[2] or "str"], **({"description": field[3]} if field[3] else {})}
    if not properties:
        raise _bad("it is empty")
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _bad(why: str) -> UserError:
    hint = 'A file, JSON, or names with types: --schema "name, age int". Types: ' + ", ".join(_TYPES) + "."
    return UserError(f"the schema cannot be used: {why}", hint=hint, exit_code=Exit.USAGE)
