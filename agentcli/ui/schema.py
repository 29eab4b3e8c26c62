"""Answers that must fit a schema: `ask --schema`.

A schema is a file, JSON, or a list of names with types ("name, age int, tags list"). The provider is asked for it where it can be,
the model is told in words always, and the answer is checked here always. One that does not fit gets one chance to be repaired, told
what is wrong; the second one is an error (65).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from agentcli.core.event import Event, Failure, TextDelta, TurnEnded
from agentcli.errors import Exit, UserError
from agentcli.ui.form import FORMS, Notices, Still, Talk
from agentcli.ui.output import Output

__all__ = ["Fitting", "Schema"]

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


class Fitting(Still):
    """An answer that must fit a schema: held back until it does."""

    def __init__(self, out: Output, talk: Talk, form: str, schema: Schema) -> None:
        self.wrong: UserError | None = None
        self._out = out
        self._schema = schema
        self._notices = Notices(talk)
        self._inner = FORMS[form](out, talk) if form in ("json", "jsonl") else None
        self._lines = form == "jsonl"
        self._ended: TurnEnded | None = None

    def show(self, event: Event) -> None:
        if isinstance(event, TurnEnded):
            self._ended = event
        elif self._inner and self._lines:
            self._inner.show(event)
        elif not isinstance(event, TextDelta):
            self._notices.show(event)

    def repair(self) -> str | None:
        """What to say to the model about an answer that does not fit."""
        why = self._why()
        if why is None or self._ended is None or self._ended.stop != "done":
            return None
        return f"That does not fit: {why}. {self._schema.instructions}"

    def close(self) -> None:
        self._notices.close()
        if self._ended is None:
            return
        why = self._why()
        ended = self._ended
        if why is None and ended.stop == "done":
            if self._inner is None:
                self._out.write(self._schema.fit(ended.text).encode() + b"\n")
        elif ended.stop == "done":
            self.wrong = UserError(f"the answer does not fit the schema: {why}", exit_code=Exit.DATA)
            ended = replace(ended, error=Failure("schema", self.wrong.message))
        if self._inner:
            self._inner.show(ended)
            self._inner.close()

    def _why(self) -> str | None:
        """Why the answer does not fit; None if it does."""
        try:
            self._schema.fit(self._ended.text if self._ended else "")
        except ValueError as error:
            return str(error)
        return None


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
