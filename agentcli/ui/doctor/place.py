"""Where things lie: can it be written, is it closed to others, and can what is there be read?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from agentcli.config import Places
from agentcli.errors import UserError
from agentcli.store.index import Row
from agentcli.ui.doctor.check import Check, fault

__all__ = ["folders", "threads"]

_ELSEWHERE = "Move it out of the way, or set AGENTCLI_HOME to another folder."


def folders(places: Places) -> Iterator[Check]:
    """Whether our folders can be written and are closed to others."""
    home = os.environ.get("AGENTCLI_HOME")
    yield Check("ok", "paths", f"AGENTCLI_HOME is {home}" if home else "the platform's own folders (AGENTCLI_HOME is not set)")
    for name, path in (
        ("configuration", places.config.parent),
        ("threads", places.threads),
        ("blobs", places.blobs),
        ("cache", places.cache),
    ):
        yield _folder(name, path)
    for name, path in (("the configuration", places.config), ("the list of keys", places.config.with_name("keys.json"))):
        if path.is_file() and (check := _open_to_others(name, path, 0o600)):
            yield check


def threads(rows: Iterable[Row] | UserError) -> Iterator[Check]:
    """How many threads there are, and which cannot be read."""
    if isinstance(rows, UserError):
        yield fault("threads", rows)
        return
    found = list(rows)
    damaged = [row for row in found if row.damaged]
    if damaged:
        named = ", ".join(row.id for row in damaged[:3]) + (", …" if len(damaged) > 3 else "")
        hint = "`agentcli threads check` says what is wrong, `agentcli threads check --repair` saves what can be saved."
        yield Check("fault", "threads", f"{len(damaged)} of {len(found)} cannot be read: {named}", hint)
    else:
        yield Check("ok", "threads", f"{len(found)}, and all can be read")


def _folder(name: str, path: Path) -> Check:
    if path.is_dir():
        if not os.access(path, os.W_OK | os.X_OK):
            return Check(
                "fault", "paths", f"{name}: {path} cannot be written", "See who owns it, or set AGENTCLI_HOME to another folder."
            )
        return _open_to_others(name, path, 0o700) or Check("ok", "paths", f"{name}: {path}")
    if os.path.lexists(path):
        return Check("fault", "paths", f"{name}: {path} is not a folder", _ELSEWHERE)
    above = next((folder for folder in path.parents if folder.exists()), path.parent)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Check("ok", "paths", f"{name}: {path} (made when it is needed)")
    return Check("fault", "paths", f"{name}: {path} cannot be made in {above}", "Set AGENTCLI_HOME to a folder that can be written.")


def _open_to_others(name: str, path: Path, mode: int) -> Check | None:
    found = path.stat().st_mode & 0o777
    if os.name == "nt" or not found & 0o077:
        return None
    return Check("note", "paths", f"{name}: {path} is open to others (mode {found:o})", f"chmod {mode:o} '{path}'")
