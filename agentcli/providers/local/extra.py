"""llama.cpp, as the extra `local` brings it: is it there, and which one command installs it here?

The command depends on how this program was installed, which its own metadata say (PEP 376, PEP 610): by pip, uv or pipx; from an
index, a folder or a repository; to be edited or not. llama.cpp itself is never imported here: that is for the process of the model.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PACKAGE", "command", "installed"]

PACKAGE = "xllamacpp"


def installed() -> bool:
    """Can a model be run?"""
    return find_spec(PACKAGE) is not None


def command() -> str:
    """The one command that makes it so."""
    import shlex

    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx inject agentcli {PACKAGE}"
    wanted = _requirement()
    if (prefix / "uv-receipt.toml").exists():
        return shlex.join(["uv", "tool", "install", "--with", PACKAGE, *_without_extra(wanted)])
    if find_spec("pip") is None:
        return shlex.join(["uv", "pip", "install", "--python", sys.executable, *wanted])
    return shlex.join([_python(), "-m", "pip", "install", *wanted])


def _python() -> str:
    """This Python, as it can be typed: by its name if it is the one that is found by it."""
    from shutil import which

    found = which("python")
    return "python" if found and Path(found) == Path(sys.executable) else sys.executable


def _requirement() -> list[str]:
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
        return ["agentcli[local]"]
    if not isinstance(url, str) or not url:
        return ["agentcli[local]"]
    if isinstance(vcs := origin.get("vcs_info"), dict):
        return [f"agentcli[local] @ {vcs.get('vcs', 'git')}+{url}"]
    place = urlsplit(url)
    if place.scheme != "file":
        return [f"agentcli[local] @ {url}"]
    folder = f"{url2pathname(place.path)}[local]"
    editable = isinstance(info := origin.get("dir_info"), dict) and info.get("editable")
    return ["-e", folder] if editable else [folder]


def _without_extra(wanted: list[str]) -> list[str]:
    return ["--editable" if each == "-e" else each.replace("[local]", "") for each in wanted]
