"""The extras, what agentcli can do with one package more: which are there, and which one command installs one here?

The command depends on how this program was installed, which its own metadata say (PEP 376, PEP 610): by pip, uv or pipx; from an
index, a folder or a repository; to be edited or not. Nothing is imported to find out.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["EXTRAS", "command", "installed"]

# extra -> its package, and the module in that
EXTRAS = {
    "local": ("xllamacpp", "xllamacpp"),
    "prices": ("genai-prices", "genai_prices"),
    "keyring": ("keyring", "keyring"),
}


def installed(extra: str) -> bool:
    """Is it there?"""
    return find_spec(EXTRAS[extra][1]) is not None


def command(extra: str) -> str:
    """The one command that makes it so."""
    import shlex

    package = EXTRAS[extra][0]
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx inject agentcli {package}"
    wanted = _requirement(extra)
    if (prefix / "uv-receipt.toml").exists():
        return shlex.join(["uv", "tool", "install", "--with", package, *_without_extra(wanted, extra)])
    if find_spec("pip") is None:
        return shlex.join(["uv", "pip", "install", "--python", sys.executable, *wanted])
    return shlex.join([_python(), "-m", "pip", "install", *wanted])


def _python() -> str:
    """This Python, as it can be typed: by its name if it is the one that is found by it."""
    from shutil import which

    found = which("python")
    return "python" if found and Path(found) == Path(sys.executable) else sys.executable


def _requirement(extra: str) -> list[str]:
    """This program with the extra, from where it came, as pip takes it."""
    import json
    from importlib.metadata import Distribution, PackageNotFoundError
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        said = Distribution.from_name("agentcli").read_text("direct_url.json")
        origin = json.loads(said) if said else {}
        url = origin.get("url")
    except (PackageNotFoundError, OSError, ValueError, AttributeError):
        return [f"agentcli[{extra}]"]
    if not isinstance(url, str) or not url:
        return [f"agentcli[{extra}]"]
    if isinstance(vcs := origin.get("vcs_info"), dict):
        return [f"agentcli[{extra}] @ {vcs.get('vcs', 'git')}+{url}"]
    place = urlsplit(url)
    if place.scheme != "file":
        return [f"agentcli[{extra}] @ {url}"]
    folder = f"{url2pathname(place.path)}[{extra}]"
    editable = isinstance(info := origin.get("dir_info"), dict) and info.get("editable")
    return ["-e", folder] if editable else [folder]


def _without_extra(wanted: list[str], extra: str) -> list[str]:
    return ["--editable" if each == "-e" else each.replace(f"[{extra}]", "") for each in wanted]
