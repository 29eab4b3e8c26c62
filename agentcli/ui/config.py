"""The configuration as a person reads it: every value, and where it comes from.

A key is not in the configuration, but what leads to one may be: header values, the words of a key command and the query of a base URL
are hidden. What is shown of a key is the name of its variable and whether that is set.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from agentcli.config import Loaded, where
from agentcli.errors import Exit, UserError
from agentcli.ui.stdout import print_json, put_text

__all__ = ["print_values", "value_of", "values"]


def values(loaded: Loaded) -> dict[str, Any]:
    """Every value by its dotted key, in order, with what may be secret hidden. Not set: None."""
    flat: dict[str, Any] = {}
    _flatten(msgspec.to_builtins(loaded.config), flat, "")
    return {key: _hidden(key, value) for key, value in flat.items() if key in loaded.origins}


def value_of(loaded: Loaded, key: str) -> Any:
    """One value, or a table of them."""
    known = values(loaded)
    if key in known:
        value = known[key]
    else:
        value = {name.removeprefix(f"{key}."): each for name, each in known.items() if name.startswith(f"{key}.")} or None
    if value is None:
        from agentcli.config.faults import check

        check(key)
        raise UserError(f"`{key}` is not set", hint=f"agentcli config set {key} VALUE", exit_code=Exit.FAILED)
    return value


def print_values(loaded: Loaded, *, json: bool) -> None:
    """All values with their origins, as lines of TOML with a comment, or as JSON."""
    found = values(loaded)
    if json:
        rows = {key: {"value": value, "origin": where(loaded, key), **_variable(key, value)} for key, value in found.items()}
        print_json({"file": str(loaded.file), "exists": loaded.text is not None, "values": rows})
        return
    there = "" if loaded.text is not None else "  (there is none yet)"
    lines = [(f"{key} = {_shown(value)}", _origin(loaded, key, value)) for key, value in found.items()]
    width = min(44, max(len(line) for line, _ in lines))
    text = f"# {loaded.file}{there}\n" + "".join(f"{line:{width}}  # {origin}\n" for line, origin in lines)
    put_text(text)


def _flatten(value: Any, flat: dict[str, Any], key: str) -> None:
    if isinstance(value, dict) and (value or not key):
        for name, each in value.items():
            _flatten(each, flat, f"{key}.{name}" if key else name)
    else:
        whole = isinstance(value, float) and value.is_integer()  # 300.0 was written 300
        flat[key] = int(value) if whole else None if value in ("", {}) else value


def _hidden(key: str, value: Any) -> Any:
    table, *rest = key.split(".")
    if table == "providers" and isinstance(value, str):
        match rest[1:]:
            case ["headers", _]:
                return "…"
            case ["key-command"]:
                return f"{value.split()[0]} …" if len(value.split()) > 1 else value
            case ["base-url"] if "?" in value:
                return f"{value.partition('?')[0]}?…"
    return value


def _variable(key: str, value: Any) -> dict[str, bool]:
    return {"set": bool(os.environ.get(value))} if key.endswith(".key-env") and value else {}


def _origin(loaded: Loaded, key: str, value: Any) -> str:
    state = _variable(key, value)
    place = where(loaded, key).replace(str(loaded.file), loaded.file.name)
    return place + (("; it is set" if state["set"] else "; it is not set") if state else "")


def _shown(value: Any) -> str:
    return "(not set)" if value is None else msgspec.json.encode(value).decode()
