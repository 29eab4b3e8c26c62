"""Where pip would fetch a package from: its index, further ones, folders of wheels, and the proxy and certificates on the way there.

The name of no index stands here: pip is asked, since it knows its configuration files, and the index that it uses when nothing is
configured. Where this Python has no pip, the one that came with it to be installed (`ensurepip`) is asked, as it is; and then any
that can be found. What its variables say holds without it, too, and so do uv's, for those who have uv in place of pip.

What counts is what `pip install` would take: a variable before `[install]` before `[global]`.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from agentcli.errors import Exit, UserError

__all__ = ["Sources", "configured"]

_PATIENCE = 20.0  # seconds for pip to say something
_KEYS = ("index-url", "extra-index-url", "find-links", "no-index", "proxy", "cert")


class Sources(Struct, frozen=True):
    """Where packages come from. `indexes` speak the simple API; `links` are folders of wheels, or pages with links to them."""

    indexes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    proxy: str = ""
    certificates: str = ""

    def __repr__(self) -> str:
        """Without the passwords that addresses may carry."""
        return f"Sources({len(self.indexes)} indexes, {len(self.links)} links)"


def configured(environment: Mapping[str, str] = os.environ) -> Sources:
    """What this machine is set to. Raises a UserError if that is nothing."""
    pip = next(_pips(), None)
    said = _config(pip) if pip else {}
    said |= {key: value for key in _KEYS if (value := environment.get(f"PIP_{key.upper().replace('-', '_')}", "").strip())}
    uv = {name: _addresses(environment.get(f"UV_{name}", "")) for name in ("DEFAULT_INDEX", "INDEX_URL", "INDEX", "EXTRA_INDEX_URL")}
    links = tuple(_addresses(said.get("find-links", "")))
    indexes: list[str] = []
    if said.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        own = _addresses(environment.get("PIP_INDEX_URL", "")) or uv["DEFAULT_INDEX"] or uv["INDEX_URL"]
        first = own or _addresses(said.get("index-url", "")) or [address for address in [_default()] if address]
        indexes = [*first[:1], *_addresses(said.get("extra-index-url", "")), *uv["INDEX"], *uv["EXTRA_INDEX_URL"]]
    if not indexes and not links:
        raise UserError(
            "it is not known where packages come from: there is no pip to ask, and no variable says it",
            hint="Set PIP_INDEX_URL to the address of your package index.",
            exit_code=Exit.CONFIG,
        )
    certificates = said.get("cert") or environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE") or ""
    return Sources(tuple(dict.fromkeys(indexes)), links, said.get("proxy", ""), certificates)


def _pips() -> Iterator[list[str]]:
    """Ways to run pip, the nearest first."""
    if find_spec("pip"):
        yield [sys.executable, "-m", "pip"]
    for wheel in _bundled():
        yield [sys.executable, f"{wheel}/pip"]
    for name in ("pip", "pip3"):
        if found := shutil.which(name):
            yield [found]


def _bundled() -> Iterator[Path]:
    """The wheel of pip that came with Python."""
    import sysconfig

    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR")]
    if (found := find_spec("ensurepip")) and found.origin:
        folders.append(os.path.join(os.path.dirname(found.origin), "_bundled"))
    for folder in filter(None, folders):
        yield from sorted(Path(folder).glob("pip-*.whl"), reverse=True)


def _config(pip: list[str]) -> dict[str, str]:
    """What pip's files and variables say."""
    said: dict[str, dict[str, str]] = {}
    for line in _ask(pip, "config", "list").splitlines():
        if found := re.fullmatch(r"(global|install|:env:)\.([\w-]+)=(.+)", line.strip()):
            with suppress(ValueError, SyntaxError):
                said.setdefault(found[1], {})[found[2]] = str(ast.literal_eval(found[3]))
    return said.get("global", {}) | said.get("install", {}) | said.get(":env:", {})


def _default() -> str:
    """The index that pip uses when nothing is configured: its own help says it."""
    for pip in _pips():
        if found := re.search(r"--index-url\b[^(]*\(default\s+(https?://[^\s)]+)\)", _ask(pip, "install", "--help")):
            return found[1]
    return ""


def _ask(pip: list[str], *arguments: str) -> str:
    """What pip prints; nothing if it fails."""
    own = {name: value for name, value in os.environ.items() if not re.search("key|token|secret", name, re.IGNORECASE)}
    environment = {**own, "COLUMNS": "300", "PYTHONIOENCODING": "utf-8", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            [*pip, *arguments], capture_output=True, timeout=_PATIENCE, env=environment, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def _addresses(value: str) -> list[str]:
    """The addresses in a list of them, without the names that uv lets them have. A `~` is the home folder."""
    named = (re.sub(r"^[\w.-]+=(?=[\w+.-]+:)", "", each) for each in value.split())
    return [os.path.expanduser(each) for each in named]
