"""The system's keyring: macOS Keychain, Windows Credential Locker, Secret Service or KWallet, through the package `keyring`.

The package is an extra and takes a twentieth of a second to import, so it is imported only where a key is known to be there. What says
so is a small file of our own beside the configuration, `keys.json`, which holds the names of providers and nothing secret:

    {"keyring": ["anthropic", "lab"]}

A keyring may be locked and ask a person, or wait for a service that never answers. So each call runs in a thread of its own that is
given 20 seconds; a thread that is late is left behind, and does not hold up the end of the program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from agentcli.config import places
from agentcli.config.document import read
from agentcli.errors import Exit, UserError

__all__ = ["PATIENCE", "SERVICE", "backend", "file", "get", "installed", "listing", "names", "put", "remove"]

SERVICE = "agentcli"  # under which the keyring has our keys; the user name is the provider's
PATIENCE = 20.0  # seconds
_SAID = 200  # characters of what a backend says about a fault

T = TypeVar("T")


class _File(Struct):
    keyring: list[str]


def file() -> Path:
    """Which file says what is in the keyring."""
    return places().config.with_name("keys.json")


def names() -> list[str]:
    """The providers whose key was put into the keyring."""
    try:
        path = file()
    except UserError:  # no home, so nothing was kept in it
        return []
    text = read(path, required=False)
    if text is None:
        return []
    try:
        return msgspec.json.decode(text, type=_File).keyring
    except (msgspec.MsgspecError, RecursionError) as error:
        hint = "It holds names only. Remove it, and say `agentcli keys set NAME` for each key again."
        raise UserError(f"cannot read {path}: {error}", hint=hint, exit_code=Exit.CONFIG) from None


def listing(providers: Iterable[str]) -> bytes:
    """What the file has to hold so that it names these providers."""
    return msgspec.json.format(msgspec.json.encode(_File(sorted(set(providers)))), indent=2) + b"\n"


def installed() -> bool:
    """Is the package there?"""
    return find_spec("keyring") is not None


def backend() -> str:
    """What keeps the keys here, by its own name; a UserError if nothing does."""
    return _bounded(lambda: str(_keyring().get_keyring().name))


def get(provider: str, *, patience: float = PATIENCE) -> str:
    """The key that was put there; a UserError if it cannot be had."""
    key = _bounded(lambda: _keyring().get_password(SERVICE, provider), patience=patience)
    if not key:
        raise UserError(
            f"the keyring has no key for {provider} any more",
            hint=f"`agentcli keys set {provider}` puts it there again, `agentcli keys remove {provider}` forgets it.",
            exit_code=Exit.CONFIG,
        )
    return str(key)


def put(provider: str, key: str) -> None:
    """Keep a key, and see that it is kept."""

    def work() -> bool:
        keyring = _keyring()
        keyring.set_password(SERVICE, provider, key)
        return bool(keyring.get_password(SERVICE, provider) == key)

    if not _bounded(work, secret=key):
        raise UserError("the keyring took the key, but does not give it back", hint=_OTHERWISE, exit_code=Exit.CONFIG)


def remove(provider: str) -> None:
    """Remove a key, if it is there."""

    def work() -> None:
        keyring = _keyring()
        if keyring.get_password(SERVICE, provider) is not None:
            keyring.delete_password(SERVICE, provider)

    _bounded(work)


_OTHERWISE = "A key can also be in an environment variable, or printed by a `key-command`: `agentcli keys set --help`."


def _keyring() -> Any:
    """The package, if it has anything to keep keys in."""
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        from agentcli.extra import command

        raise UserError("the package `keyring` is not installed", hint=command("keyring"), exit_code=Exit.CONFIG) from None
    if isinstance(keyring.get_keyring(), fail.Keyring | null.Keyring):
        raise UserError("there is no keyring on this system that can be used", exit_code=Exit.CONFIG)
    return keyring


def _bounded(work: Callable[[], T], *, patience: float = PATIENCE, secret: str = "") -> T:
    """What the work returns, or a UserError, within the time. A backend's own words are told without the secret."""
    outcome: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except Exception as error:  # noqa: BLE001  (a backend may be anybody's)
            outcome.put((None, error))

    threading.Thread(target=run, name="keyring", daemon=True).start()
    try:
        value, error = outcome.get(timeout=patience)
    except Empty:
        hint = f"It may be locked, or wait for an answer to a question on another screen.\n{_OTHERWISE}"
        raise UserError(f"the keyring gave no answer within {patience:g} s", hint=hint, exit_code=Exit.CONFIG) from None
    if isinstance(error, UserError):
        raise error
    if error:
        said = " ".join(str(error).split())
        said = said.replace(secret, "…")[:_SAID] if secret else said[:_SAID]
        raise UserError(f"the keyring failed: {said or type(error).__name__}", hint=_OTHERWISE, exit_code=Exit.CONFIG) from None
    return value  # type: ignore[return-value]
