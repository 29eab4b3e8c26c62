"""The configuration file as text: read strictly, point at a line, change one value.

`read()` takes what people really put in place of a file (nothing, a folder, a pipe, a gigabyte, another encoding) and gives the text
or says what is wrong. `line_of()` finds the line of a key, which the parser does not tell: a small scan, good enough to point with.
`changed()` sets or removes one value and leaves comments and order as they are; it checks its own work, so that a file is never
written that does not say exactly what was meant.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from agentcli.errors import Exit, UserError

__all__ = ["LIMIT", "changed", "line_of", "parse", "read"]

LIMIT = 1 << 20  # bytes: a configuration is written by hand


def read(file: Path, *, required: bool) -> str | None:
    """The text of the file; None if there is none and none is required."""
    if os.fspath(file) == os.devnull:  # the way to say: no configuration
        return None
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer
    except (FileNotFoundError, NotADirectoryError) as error:
        if required:
            _refuse(file, "there is no such file", "Check the path, or leave --config out.")
        if isinstance(error, NotADirectoryError):
            _refuse(file.parent, "is not a folder", "AGENTCLI_HOME, or HOME, names the folder that holds everything.")
        return None
    except (OSError, ValueError) as error:
        _refuse(file, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            _refuse(file, "is not a file", "A configuration is an ordinary file of TOML text.")
        with open(descriptor, "rb", closefd=False) as opened:
            data = opened.read(LIMIT + 1)
    except OSError as error:
        _refuse(file, f"cannot be read: {error.strerror or error}")
    finally:
        os.close(descriptor)
    if len(data) > LIMIT:
        _refuse(file, "is larger than 1 MiB", "This cannot be a configuration.")
    return _decoded(file, data)


def parse(file: Path, text: str) -> dict[str, Any]:
    """The document, or a UserError with the line."""
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        _refuse(file, "is nested too deeply")
    except ValueError as error:
        import re

        reason, _, _ = str(error).partition("; use sys.")
        place = ""
        if found := re.search(r" \((?:at line (\d+), column (\d+)|(at end of document))\)$", reason):
            reason = reason[: found.start()]
            line = found[1] or str(text.count("\n") + (not text.endswith("\n")))
            place = f":{line}"
        reason = reason[:1].lower() + reason[1:]
        raise UserError(
            f"{file}{place}: not TOML: {reason}",
            hint='Text goes in quotes: model = "openai/gpt-5.4". `agentcli config edit` opens the file.',
            exit_code=Exit.CONFIG,
        ) from None


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The number of the line where the key is set, or its table begins; else that of the nearest thing around it."""
    import re

    key = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
    keys = rf"[ \t]*({key}(?:[ \t]*\.[ \t]*{key})*)[ \t]*"
    header, assignment = re.compile(rf"[ \t]*\[\[?{keys}\]"), re.compile(rf"{keys}=")
    table: tuple[str, ...] = ()
    inside = ""  # the quotes that end the text of several lines we are in
    best: tuple[int, int] = (0, 0)  # how many parts of the path, in which line
    for number, line in enumerate(text.split("\n"), 1):
        rest = line
        if inside:
            _, closed, rest = line.partition(inside)
            if not closed:
                continue
            inside = ""
        elif found := header.match(line):
            here = table = _parts(found[1])
            best = max(best, (_shared(here, path), -number))
        elif found := assignment.match(line):
            here = (*table, *_parts(found[1]))
            best = max(best, (_shared(here, path), -number))
        for quotes in ('"""', "'''"):
            if rest.count(quotes) % 2:
                inside = quotes
    return -best[1] if best[0] else None


def changed(file: Path, text: str, path: tuple[str, ...], value: Any) -> str:
    """The text with the key set to the value, or removed if the value is None."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import InlineTable

    wanted = parse(file, text)
    _put(wanted, path, value)
    try:
        document = tomlkit.parse(text)
        _put(document, path, value, lambda inside: tomlkit.inline_table() if isinstance(inside, InlineTable) else tomlkit.table())
        result = tomlkit.dumps(document)
        good = _filled(parse(file, result)) == _filled(wanted)
    except (TOMLKitError, UserError, ValueError, TypeError, KeyError):
        good = False
    if not good:
        _refuse(file, f"`{'.'.join(path)}` cannot be changed without disturbing the rest", "Change it with `agentcli config edit`.")
    return result


def _put(document: Any, path: tuple[str, ...], value: Any, table: Callable[[Any], Any] = lambda _: {}) -> None:
    *tables, last = path
    for name in tables:
        if name not in document:
            if value is None:
                return
            document[name] = table(document)
        document = document[name]
    if value is not None:
        document[last] = value
    elif last in document:
        del document[last]


def _filled(value: Any) -> Any:
    """The value without its empty tables: those say nothing, and go with the last thing that was in them."""
    if not isinstance(value, dict):
        return value
    inner = {key: _filled(each) for key, each in value.items()}
    return {key: each for key, each in inner.items() if each != {}}


def _decoded(file: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse(file, "is UTF-16", "Save it as UTF-8.")
    if b"\0" in data:
        _refuse(file, f"holds a NUL byte in line {data.count(10, 0, data.index(0)) + 1}", "Save it as plain UTF-8 text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(
            file, f"is not UTF-8: byte 0x{data[error.start]:02x} in line {data.count(10, 0, error.start) + 1}", "Save it as UTF-8."
        )


def _parts(key: str) -> tuple[str, ...]:
    """`lab."base-url"` -> ("lab", "base-url")."""
    import tomllib

    parts: list[str] = []
    try:
        value: Any = tomllib.loads(f"{key} = 0")
    except ValueError:
        return ()
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return tuple(parts)


def _shared(here: tuple[str, ...], path: tuple[str, ...]) -> int:
    """How much of the path a line speaks of: one has to begin with the other."""
    length = min(len(here), len(path))
    return length if here[:length] == path[:length] else 0


def _refuse(file: Path, what: str, hint: str = "") -> NoReturn:
    message = f"{file}: {what}" if not what.startswith(("is ", "holds ", "cannot ")) else f"{file} {what}"
    raise UserError(message, hint=hint, exit_code=Exit.CONFIG)
