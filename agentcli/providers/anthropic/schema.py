"""A JSON Schema as the API can hold an answer to it.

The API takes only a part of JSON Schema: every object lists all it may have, nothing refers to itself, lengths and bounds are refused,
and of choices there may not be many. What is left out here only makes the schema wider, and closing an object makes it narrower:
either way an answer that fits the schema that was asked for can be given, and whether it fits is checked after it has come. Where more
would be lost than that (a map of any keys, a condition), the API is not asked.
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["held"]

Json: TypeAlias = dict[str, Any]

_MOST = 1_000  # parts of a schema, with what it refers to in place
_MOST_OPTIONAL, _MOST_CHOICES = 24, 16  # fields that may be left out, and choices: more are refused
_SAME = {"title", "description"}
_WIDER = {
    *("$schema", "$id", "$comment", "$defs", "definitions", "examples", "deprecated", "readOnly", "writeOnly", "default"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "format"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}


def held(schema: Json) -> Json | None:
    """The schema in the form that the API takes; None if there is none. It is for an object."""
    try:
        form = _Holding(schema).part(schema)
    except (_UnheldError, RecursionError, TypeError):
        return None
    return form if form.get("type") == "object" else None


class _UnheldError(Exception):
    """This cannot be said to the API."""


class _Holding:
    """One schema on its way into the form."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._parts = self._optional = self._choices = 0

    def part(self, schema: Any, within: tuple[str, ...] = ()) -> Json:
        self._parts += 1
        if not isinstance(schema, dict) or self._parts > _MOST:
            raise _UnheldError
        said = dict(schema)
        form: Json = {key: value for key in _SAME if isinstance(value := said.pop(key, None), str)}
        if reference := said.pop("$ref", None):
            if reference in within:
                raise _UnheldError
            return self.part({**self._find(reference), **said}, (*within, reference)) | form
        kind = said.pop("type", "object" if "properties" in said else None)
        if isinstance(kind, list):
            return {**form, "anyOf": self._choice([{**said, "type": one} for one in kind], within)}
        if literal := next((key for key in ("enum", "const") if key in said), None):
            form[literal] = _literal(said.pop(literal))
        elif several := said.pop("anyOf", None) or said.pop("oneOf", None):
            form["anyOf"] = self._choice(several, within)
        elif kind in _TYPES:
            form["type"] = kind
            form |= self._inside(kind, said, within)
        else:
            raise _UnheldError
        if said.keys() - _WIDER:
            raise _UnheldError
        return form

    def _inside(self, kind: str, said: Json, within: tuple[str, ...]) -> Json:
        if kind == "object":
            fields, required = said.pop("properties", None), said.pop("required", [])
            more = said.pop("additionalProperties", True)
            if not isinstance(fields, dict) or not fields or not isinstance(more, bool) or set(required) - set(fields):
                raise _UnheldError
            self._optional += len(fields) - len(required)
            if self._optional > _MOST_OPTIONAL:
                raise _UnheldError
            parts = {name: self.part(field, within) for name, field in fields.items()}
            return {"properties": parts, "required": required, "additionalProperties": False}
        if kind == "array":
            return {"items": self.part(said.pop("items", None), within)}
        if kind == "string" and said.get("format") in _FORMATS:
            return {"format": said.pop("format")}
        return {}

    def _choice(self, several: Any, within: tuple[str, ...]) -> list[Json]:
        self._choices += 1
        if not isinstance(several, list) or self._choices > _MOST_CHOICES:
            raise _UnheldError
        return [self.part(one, within) for one in several]

    def _find(self, reference: Any) -> Json:
        """What a reference within the schema means."""
        found: Any = self._root
        path = reference.removeprefix("#").split("/")[1:] if isinstance(reference, str) and reference.startswith("#") else [""]
        for step in path:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise _UnheldError
        return found


def _literal(values: Any) -> Any:
    if any(isinstance(value, list | dict) for value in (values if isinstance(values, list) else [values])):
        raise _UnheldError
    return values
