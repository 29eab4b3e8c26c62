"""The published schema says what documents are: real ones fit, and it names the keys that the program knows, no more and no less."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from agentcli.core.document import FORMAT, Compaction, Origin
from agentcli.core.message import Blob, Message, Part, Reasoning, Role, Stop, Text, ToolCall, ToolResult, Usage, user
from agentcli.core.thread import Thread
from agentcli.store.index import ID
from agentcli.store.threads import Store

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "reference" / "thread.schema.json").read_text(encoding="utf-8")
)

TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}


def misfit(value: Any, schema: dict[str, Any], place: str = "") -> str:
    """Where and why the value does not fit the schema, as far as ours uses the language; "" if it does."""
    unknown = schema.keys() - {
        "$schema", "$defs", "$ref", "title", "description", "type", "properties", "required", "items", "const", "enum",
        "anyOf", "oneOf", "pattern", "minimum", "format", "contentEncoding",
    }  # fmt: skip
    assert not unknown, f"this validator does not know {unknown}"
    if ref := schema.get("$ref"):
        return misfit(value, SCHEMA["$defs"][ref.removeprefix("#/$defs/")], place)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fitting = [one for one in schema[word] if not misfit(value, one, place)]
            return "" if len(fitting) == 1 or (fitting and word == "anyOf") else f"{place}: fits {len(fitting)} of {word}"
    if "const" in schema and value != schema["const"]:
        return f"{place}: is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place}: {value!r} is none of {schema['enum']}"
    if kinds := schema.get("type"):
        allowed = tuple(TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            return f"{place}: {value!r} is not {kinds}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return f"{place}: {value!r} does not match"
        if schema.get("format") == "date-time" and datetime.fromisoformat(value).tzinfo is None:
            return f"{place}: {value!r} has no zone"
    if isinstance(value, int) and value < schema.get("minimum", value):
        return f"{place}: too small"
    if isinstance(value, list):
        return next(filter(None, (misfit(item, schema["items"], f"{place}/{at}") for at, item in enumerate(value))), "")
    if isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value:
                return f"{place}: no {key}"
        parts = ((key, item) for key, item in value.items() if key in schema.get("properties", {}))
        return next(filter(None, (misfit(item, schema["properties"][key], f"{place}/{key}") for key, item in parts)), "")
    return ""


def everything() -> Thread:
    call = ToolCall("c1", "add", "{}", {"fake": {"signature": "s"}})
    thread = Thread.of(
        user("look", Blob("image/png", b"small", name="a.png"), Blob("image/png", b"x" * 50_000)),
        Message(
            role="assistant", author="agentcli", model="fake/m", stop="tools", usage=Usage(1, 2, 3, 4), earlier=Usage(1, 1),
            parts=(Reasoning("hm", {"fake": {}}), Text("yes"), call),
        ),
        Message(role="tool", parts=(ToolResult("c1", "4", is_error=True),)),
        *(Message(role="assistant", stop=stop, parts=(Text("x"),)) for stop in get_args(Stop)),
    )  # fmt: skip
    thread.compact(Compaction(through=thread.messages[2].id, count=3, before=9, after=8))
    usage = Usage(1, 2, 3, 4, 5, 6, 7)
    thread.compact(Compaction(through=thread.messages[0].id, count=1, summary="a look", model="fake/m", usage=usage))
    return thread


def test_real_documents_fit(store: Store) -> None:
    thread = everything()
    store.save(thread)
    fork = thread.fork(2)
    store.save(fork)
    for name in (thread.id, fork.id):
        assert misfit(json.loads(store.path(name).read_bytes()), SCHEMA) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("id", "../x"),
        ("revision", -1),
        ("title", None),
        ("created", "2026-01-31T12:00:00"),
        ("messages", {}),
        ("parent", {}),
    ],
)
def test_others_do_not(key: str, value: object) -> None:
    document = json.loads(everything().dump())
    document[key] = value
    assert misfit(document, SCHEMA)


def test_it_names_exactly_what_the_program_knows() -> None:
    defs = SCHEMA["$defs"]
    assert tuple(SCHEMA["properties"]) == Thread.__struct_fields__
    assert tuple(defs["message"]["properties"]) == Message.__struct_fields__
    assert tuple(defs["usage"]["properties"]) == Usage.__struct_fields__
    assert tuple(defs["origin"]["properties"]) == Origin.__struct_fields__
    assert tuple(defs["compaction"]["properties"]) == Compaction.__struct_fields__
    parts = {one.__struct_config__.tag: one for one in get_args(Part)}
    assert [one["$ref"] for one in defs["part"]["oneOf"]] == [f"#/$defs/{tag}" for tag in parts]
    for tag, part in parts.items():
        assert tuple(defs[tag]["properties"]) == ("type", *part.__struct_fields__)
        assert defs[tag]["properties"]["type"] == {"const": tag}
    assert tuple(defs["message"]["properties"]["role"]["enum"]) == get_args(Role)
    assert tuple(defs["message"]["properties"]["stop"]["enum"]) == (*get_args(Stop), None)
    assert SCHEMA["properties"]["format"]["const"] == FORMAT
    assert SCHEMA["properties"]["id"]["pattern"] == f"^{ID.pattern}$"
