"""What agentcli runs on: versions, extras, the terminal, and what the system allows."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from agentcli.ui.doctor.check import Check
from agentcli.ui.talk import colours

__all__ = ["extras", "limits", "terminal", "versions"]


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


def extras(models: Path | None = None) -> Iterator[Check]:
    """What of the optional is installed; `models` is where the embedded model would be."""
    from agentcli.extra import EXTRAS, command, installed
    from agentcli.providers.local.wheel import weights

    there = [name for name in EXTRAS if installed(name)]
    text = f"installed: {', '.join(there)}" if there else "none is installed"
    wanted = "".join(f"\n{name}: {command(name)}" for name in EXTRAS if name not in there)
    yield Check("ok", "extras", text, f"To be had:{wanted}" if wanted else "")
    if models and (file := weights(models)):
        yield Check("ok", "extras", f"the embedded model is here: {file}")


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


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _colours(term: str) -> str:
    if os.environ.get("NO_COLOR"):
        return "no colours: NO_COLOR is set"
    if not colours(1):
        return f"no colours: TERM is {term or 'not set'}"
    return "16 million colours" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else f"{256 if '256' in term else 16} colours"


def _count(number: int, infinity: int) -> str:
    return "any number of" if number == infinity else str(number)
