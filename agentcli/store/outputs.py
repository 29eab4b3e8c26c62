"""Outputs of tools that are too long for a thread.

The thread keeps the beginning and names a file with the whole. Those files lie in the cache, which may be deleted at any time, so each
new one removes those that are older than a month.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from time import time

from agentcli.store import disk

__all__ = ["DAYS", "keep"]

DAYS = 30


def keep(folder: Path, tool: str, text: str) -> Path:
    """Keep an output of that tool in the folder, and say where."""
    path = folder / f"{re.sub('[^A-Za-z0-9_-]', '_', tool[:40])}-{os.urandom(4).hex()}.txt"
    disk.replace(path, text.encode(), durable=False)
    _remove_old(folder)
    return path


def _remove_old(folder: Path) -> None:
    oldest = time() - DAYS * 24 * 3600
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # removed by another one just now, or not ours to remove
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)
