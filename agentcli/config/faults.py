"""What is wrong with a configuration, in words that help. Loaded only when there is something to say, or to set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, NamedTuple, TypeAlias, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from agentcli.config.schema import VARIABLES, Config
from agentcli.errors import Exit, UserError

__all__ = ["Fault", "check", "dotted", "expected", "faults", "value_of"]

_SECRETS = frozenset({"key", "api-key", "api_key", "apikey", "token", "secret", "password"})
_WORDS: dict[Any, str] = {str: "text", bool: "true or false"}
_LIST = "a list of texts"

Path: TypeAlias = tuple[str, ...]


class Fault(NamedTuple):
    """Where something is wrong, what, and what to do about it."""

    path: Path
    message: str
    hint: str = ""

    def error(self, place: str) -> UserError:
        """As it is told to a person. What was wrong on the command line is a wrong use of it."""
        flag = place.startswith("-")
        key = dotted(self.path)
        named = flag or place in (key, VARIABLES.get(key)) or f"`{self.path[-1]}`" in self.message
        message = f"{place}: {self.message}" if named else f"{place}: `{key}`: {self.message}"
        return UserError(message, hint=self.hint, exit_code=Exit.USAGE if flag else Exit.CONFIG)


def faults(value: Any, kind: Any = Config, path: Path = ()) -> Iterator[Fault]:
    """What is wrong with a value that should be of this type."""
    kind = _table(kind)
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield from _of_table(value, kind, path)
    elif get_origin(kind) is dict and isinstance(value, dict):
        name, inner = get_args(kind)
        for key, each in value.items():
            if not _fits(key, name):
                yield Fault((*path, key), f"`{key}` in [{dotted(path)}] must be {expected(name)}")
            yield from faults(each, inner, (*path, key))
    elif not _fits(value, kind):
        yield Fault(path, f"expected {expected(kind)}, found {_found(value, path)}")


def check(key: str) -> Any:
    """The type that a dotted key has, or the UserError for one that cannot be set."""
    path = tuple(key.split("."))
    kind: Any = Config
    for depth, part in enumerate(path):
        kind = _table(kind)
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(kind, type) and issubclass(kind, Struct):
            if part not in (known := _fields(kind)):
                raise _unknown(part, list(known), path[:depth]).error(key)
            kind = known[part]
        else:
            raise Fault(path, f"`{dotted(path[:depth])}` is not a table").error(key)
    return kind


def value_of(key: str, text: str) -> Any:
    """What was typed, as the type that the key has: TOML if that fits, else the text itself."""
    kind, path = check(key), tuple(key.split("."))
    for candidate in _readings(text, is_list=expected(kind) == _LIST):
        if not any(faults(candidate, kind, path)):
            return candidate
    raise next(faults(candidate, kind, path)).error(key)


def expected(kind: Any) -> str:
    """A type, in words."""
    plain, *more = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    if title := next((meta.title for meta in more if isinstance(meta, Meta) and meta.title), None):
        return title
    if get_origin(plain) is tuple:
        return _LIST
    return _WORDS.get(plain, "a table")


def dotted(path: Path) -> str:
    return ".".join(path)


def _of_table(value: Any, kind: type[Struct], path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path, f"expected a table, found {_found(value, path)}", f"Begin it with [{dotted(path)}].")
        return
    fields = _fields(kind)
    sound = True
    for key, each in value.items():
        found = list(faults(each, fields[key], (*path, key))) if key in fields else [_unknown(key, list(fields), path)]
        sound = sound and not found
        yield from found
    if sound:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            yield Fault(path, str(error).partition(" - at ")[0])


def _unknown(key: str, known: list[str], path: Path) -> Fault:
    table = f" in [{dotted(path)}]" if path else ""
    if path and key.lower() in _SECRETS:
        hint = 'Name its variable, key-env = "LAB_KEY", or a command that prints it, key-command = "pass show lab".'
        return Fault((*path, key), f"`{key}`{table}: a key does not belong in this file", hint)
    from difflib import get_close_matches

    near = get_close_matches(key.lower().replace("_", "-"), known, n=1)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    return Fault((*path, key), f"unknown key `{key}`{table}{meant}", f"The keys{table} are: {', '.join(known)}.")


def _fields(kind: type[Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _table(kind: Any) -> Any:
    """The type without its notes, if it is a table."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return plain if get_origin(plain) is dict else kind


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError, RecursionError):
        return False
    return True


def _found(value: Any, path: Path) -> str:
    """A value, in words. What stands in a provider's table may be a secret."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value) if abs(value) < 1e15 else "a number out of range"
        case str():
            shown = value if len(value) <= 40 else f"{value[:40]}…"
            return "other text" if path[:1] == ("providers",) else f"the text {shown!r}"
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
    return "a date or a time"


def _readings(text: str, *, is_list: bool) -> Iterator[Any]:
    """What a typed text may mean, the likeliest first."""
    import tomllib

    with suppress(ValueError, RecursionError):
        document = tomllib.loads(f"value = {text}")
        if document.keys() == {"value"}:
            yield document["value"]
            if isinstance(document["value"], str):  # in quotes: that is what it says
                return
    if is_list:
        yield [name.strip() for name in text.split(",") if name.strip()]
    yield text
