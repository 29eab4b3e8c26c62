"""Backends for the package `keyring`, chosen by PYTHON_KEYRING_BACKEND: one that keeps, and those that do not do what they should.

What is kept lies in the file that KEYRING_FILE names, as JSON.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

__all__ = ["File", "Forgetful", "Locked", "Silent", "entries"]


def entries() -> dict[str, str]:
    """What is kept, by `service/user`."""
    file = Path(os.environ["KEYRING_FILE"])
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


class File(KeyringBackend):
    """Keeps everything in a file."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        Path(os.environ["KEYRING_FILE"]).write_text(json.dumps({**entries(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        Path(os.environ["KEYRING_FILE"]).write_text(json.dumps({k: v for k, v in entries().items() if k != f"{service}/{username}"}))


class Forgetful(File):
    """Takes a key and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Locked(File):
    """Is locked, and says more about it than it should."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the collection is locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(f"cannot keep {password}: the collection is locked")


class Silent(File):
    """Waits for an answer that never comes."""

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None
