"""Why does it not work? Everything a turn needs, looked at one by one.

A check is one line: `ok`, `note` (worth knowing, or wrong for something that is not used now) or `fault`, and a hint for what is not
ok. A key is never shown, only its variable and whether that is set; what is secret in a URL is hidden. What is missing is not made,
and what is damaged is not repaired.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from agentcli.config import Config, Loaded, Places
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS
from agentcli.store.index import Row
from agentcli.ui.sanitise import visible
from agentcli.ui.stdout import print_json, put
from agentcli.ui.talk import colours

__all__ = [
    "Check", "configuration", "exit_code", "folders", "keys", "limits", "model", "network", "print_checks", "servers", "terminal",
    "threads", "versions",
]  # fmt: skip

Status = Literal["ok", "note", "fault"]


class Check(Struct, frozen=True):
    """What was looked at, how it is, and what to do about it."""

    status: Status
    topic: str
    text: str
    hint: str = ""


def versions() -> Iterator[Check]:
    """What is running, on what."""
    import platform
    from importlib.metadata import PackageNotFoundError, requires, version

    from agentcli import __version__

    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Check("ok", "version", f"agentcli {__version__}, {platform.python_implementation()} {platform.python_version()}, {system}")
    try:
        needed = [_name(line) for line in requires("agentcli") or () if "extra ==" not in line]
    except PackageNotFoundError:
        yield Check("note", "version", "agentcli runs from a folder: it is not installed", "pip install -e . installs it from there.")
        return
    found = []
    for name in needed:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Check("fault", "version", f"{name} is missing", "Install agentcli again: it brings what it needs.")
    yield Check("ok", "version", ", ".join(found))


def folders(places: Places) -> Iterator[Check]:
    """Where things lie, and whether they can be written and are closed to others."""
    home = os.environ.get("AGENTCLI_HOME")
    yield Check("ok", "paths", f"AGENTCLI_HOME is {home}" if home else "the platform's own folders (AGENTCLI_HOME is not set)")
    for name, path in (
        ("configuration", places.config.parent),
        ("threads", places.threads),
        ("blobs", places.blobs),
        ("cache", places.cache),
    ):
        yield _folder(name, path)
    if places.config.is_file() and (check := _open_to_others("the configuration", places.config, 0o600)):
        yield check


def configuration(loaded: Loaded | UserError) -> Iterator[Check]:
    """Whether the file and the variables are understood."""
    if isinstance(loaded, UserError):
        yield _fault("configuration", loaded)
        return
    state = "is understood" if loaded.text is not None else "is not there: the defaults hold"
    yield Check("ok", "configuration", f"{loaded.file} {state}")
    from agentcli.config.schema import VARIABLES

    known = {"AGENTCLI_HOME", *VARIABLES.values()}
    said = sorted(name for name in os.environ if name.startswith("AGENTCLI_") and name != "AGENTCLI_HOME")
    if used := [name for name in said if name in known and os.environ[name]]:
        yield Check("ok", "configuration", f"set by the environment: {', '.join(used)}")
    for name in said:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            yield Check("note", "configuration", f"{name} means nothing to agentcli", f"Did you mean {near[0]}?" if near else "")


def model(choice: tuple[str, str] | UserError, problem: UserError | None) -> Iterator[Check]:
    """Which model would be asked, why that one, and whether all is there to ask it."""
    if isinstance(choice, UserError):
        yield _fault("model", choice)
        return
    name, why = choice
    yield Check("ok", "model", f"{name} ({why})" if why else name)
    if problem:
        yield _fault("model", problem)


def keys(config: Config) -> Iterator[Check]:
    """For each provider: is its key there?"""
    variables = {name: entry.key_variable for name, entry in PROVIDERS.items()}
    variables.update({name: said.key_env for name, said in config.providers.items() if said.key_env})
    for name, variable in variables.items():
        if variable:
            yield _key(name, variable)
    for name, said in config.providers.items():
        if said.key_command:
            yield _key_command(name, said.key_command)


async def servers(urls: Mapping[str, str], used: str | None, patience: float | None = None) -> list[Check]:
    """Whether the servers answer, all asked at once. Only the one that is used can be a fault."""
    import asyncio

    from agentcli.providers.probe import PATIENCE, probe

    patience = PATIENCE if patience is None else patience
    names = list(urls)
    outcomes = await asyncio.gather(*(probe(urls[name], patience=patience) for name in names))
    checks = []
    for name, outcome in zip(names, outcomes, strict=True):
        good = outcome.kind == "answers"
        status: Status = "ok" if good else "fault" if name == used and outcome.kind != "path" else "note"
        checks.append(Check(status, "server", f"{name}, {shown(urls[name])}: {outcome.text}", outcome.hint))
    return checks


def shown(url: str) -> str:
    """A URL without what may be secret in it: the user and the query."""
    return re.sub(r"[?#].*", "", re.sub(r"\A([A-Za-z]+://)?.*@", r"\1…@", url, flags=re.DOTALL), flags=re.DOTALL)


def addresses(config: Config, chosen: tuple[str, str] | None) -> dict[str, str]:
    """The servers to ask: those that are configured, or that a variable speaks of, and the chosen one."""
    urls: dict[str, str] = {}
    for name, entry in PROVIDERS.items():
        moved = os.environ.get(entry.base_url_variable or "-")
        if url := moved or (entry.base_url if os.environ.get(entry.key_variable or "-") else ""):
            urls[name] = url
    urls.update({name: said.base_url for name, said in config.providers.items() if said.base_url})
    if chosen and chosen[1]:
        urls[chosen[0]] = chosen[1]
    return urls


def network() -> Iterator[Check]:
    """Variables that change how servers are reached."""
    found = False
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        for variable in (name.lower(), name):
            if value := os.environ.get(variable):
                found = True
                yield Check("ok", "network", f"{variable} is {shown(value)}")
                break
    if not found:
        yield Check("ok", "network", "no proxy is set")
    for variable, is_there in (("SSL_CERT_FILE", os.path.isfile), ("SSL_CERT_DIR", os.path.isdir)):
        if value := os.environ.get(variable):
            if is_there(value):
                yield Check("ok", "network", f"{variable} is {value}")
            else:
                yield Check("fault", "network", f"{variable} is {value}, which is not there", f"Correct it, or: unset {variable}")


def terminal() -> Iterator[Check]:
    """What the screen can do."""
    import shutil

    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    ttys = [name for name, stream in streams.items() if stream is not None and stream.isatty()]
    term = os.environ.get("TERM", "")
    yield Check("ok", "terminal", f"{', '.join(ttys) or 'none of stdin, stdout, stderr'} on a terminal; TERM is {term or 'not set'}")
    if "stdout" in ttys:
        size = shutil.get_terminal_size()
        if size.columns < 40:
            yield Check(
                "note", "terminal", f"{size.columns} columns by {size.lines} lines", "An answer reads better from 40 columns on."
            )
        else:
            yield Check("ok", "terminal", f"{size.columns} columns by {size.lines} lines")
        yield Check("ok", "terminal", _colours(term))
    encoding = (getattr(sys.stdout, "encoding", None) or "none").lower().replace("-", "")
    if encoding == "utf8":
        yield Check("ok", "terminal", "text is UTF-8")
    else:
        hint = "Set LANG to a UTF-8 locale, e.g. LANG=C.UTF-8, or PYTHONUTF8=1."
        yield Check("note", "terminal", f"text is {encoding}: other characters are shown as \\u…", hint)


def threads(rows: Iterable[Row] | UserError) -> Iterator[Check]:
    """How many threads there are, and which cannot be read."""
    if isinstance(rows, UserError):
        yield _fault("threads", rows)
        return
    found = list(rows)
    damaged = [row for row in found if row.damaged]
    if damaged:
        named = ", ".join(row.id for row in damaged[:3]) + (", …" if len(damaged) > 3 else "")
        hint = "`agentcli threads check` says what is wrong, `agentcli threads check --repair` saves what can be saved."
        yield Check("fault", "threads", f"{len(damaged)} of {len(found)} cannot be read: {named}", hint)
    else:
        yield Check("ok", "threads", f"{len(found)}, and all can be read")


def limits() -> Iterator[Check]:
    """What the system allows."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{_count(soft, resource.RLIM_INFINITY)} open files (may be raised to {_count(hard, resource.RLIM_INFINITY)})"
    if 0 <= soft < 64:
        yield Check("note", "limits", text, "ulimit -n 1024")
    else:
        yield Check("ok", "limits", text)


def exit_code(checks: Iterable[Check]) -> int:
    """0 without a fault, 78 if the configuration is at fault, else 1."""
    faults = {check.topic for check in checks if check.status == "fault"}
    return Exit.CONFIG if faults & {"configuration", "model", "keys"} else Exit.FAILED if faults else Exit.OK


def print_checks(checks: list[Check], *, json: bool) -> None:
    """A line for each check, and what to do under it."""
    if json:
        print_json({"ok": exit_code(checks) == 0, "checks": checks})
        return
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    paint = _COLOURS if is_terminal and colours(1) else {}
    lines = []
    for check in checks:
        text = visible(_text(check)) if is_terminal else _text(check)
        lines.append(f"{paint[check.status]}{check.status:5}\x1b[0m{text}" if paint else f"{check.status:5}{text}")
    put("\n".join(lines) + "\n")


_COLOURS = {"ok": "\x1b[32m", "note": "\x1b[33m", "fault": "\x1b[1;31m"}


def _text(check: Check) -> str:
    """What stands after the status: the hint is indented under the text."""
    hint = f"\n{check.hint}" if check.status != "ok" and check.hint else ""
    return f"  {check.topic:13}  {check.text}{hint}".replace("\n", f"\n{'':22}")


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _fault(topic: str, error: UserError) -> Check:
    return Check("fault", topic, error.message, error.hint)


def _folder(name: str, path: Path) -> Check:
    if path.is_dir():
        if not os.access(path, os.W_OK | os.X_OK):
            return Check(
                "fault", "paths", f"{name}: {path} cannot be written", "See who owns it, or set AGENTCLI_HOME to another folder."
            )
        return _open_to_others(name, path, 0o700) or Check("ok", "paths", f"{name}: {path}")
    if os.path.lexists(path):
        return Check(
            "fault", "paths", f"{name}: {path} is not a folder", "Move it out of the way, or set AGENTCLI_HOME to another folder."
        )
    above = next((folder for folder in path.parents if folder.exists()), path.parent)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Check("ok", "paths", f"{name}: {path} (made when it is needed)")
    return Check("fault", "paths", f"{name}: {path} cannot be made in {above}", "Set AGENTCLI_HOME to a folder that can be written.")


def _open_to_others(name: str, path: Path, mode: int) -> Check | None:
    found = path.stat().st_mode & 0o777
    if os.name == "nt" or not found & 0o077:
        return None
    return Check("note", "paths", f"{name}: {path} is open to others (mode {found:o})", f"chmod {mode:o} '{path}'")


def _key(provider: str, variable: str) -> Check:
    value = os.environ.get(variable)
    if not value:
        return Check("note", "keys", f"{provider}: {variable} is not set", f"If you use {provider}: export {variable}=…")
    if value != value.strip() or not value.isascii() or value[0] in "\"'":
        return Check(
            "note", "keys", f"{provider}: {variable} is set, but not only to a key", "There are quotes, blanks or odd letters in it."
        )
    return Check("ok", "keys", f"{provider}: {variable} is set")


def _key_command(provider: str, command: str) -> Check:
    import shlex
    import shutil

    try:
        program = shlex.split(command)[0]
    except (ValueError, IndexError):
        return Check("fault", "keys", f"{provider}: its key-command cannot be read", "Its quotes do not match.")
    if shutil.which(program):
        return Check("ok", "keys", f"{provider}: the command {program} prints it")
    return Check("fault", "keys", f"{provider}: there is no command {program}", f"See key-command in [providers.{provider}].")


def _colours(term: str) -> str:
    if os.environ.get("NO_COLOR"):
        return "no colours: NO_COLOR is set"
    if not colours(1):
        return f"no colours: TERM is {term or 'not set'}"
    return "16 million colours" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else f"{256 if '256' in term else 16} colours"


def _count(number: int, infinity: int) -> str:
    return "any number of" if number == infinity else str(number)
