"""Where the key of a provider comes from.

Three places are looked at, in this order, and the first that has one counts: the environment variable, the `key-command` of the
configuration, and the system's keyring (`keyring.py`), if a key was put there with `agentcli keys set`. A key is never in the
configuration, never on a command line, and never in a message: what is said of it is where it is.
"""

from __future__ import annotations

import os

from agentcli.errors import Exit, UserError

__all__ = ["KEYRING", "from_command", "key_of"]

KEYRING = "the keyring"
_PATIENCE = 10.0  # seconds for a command to print the key


def key_of(name: str, variable: str, command: str | None, *, keyring: bool = True) -> tuple[str | None, str]:
    """The key of a provider, or None, and how a message names the place where it is, or belongs.

    `keyring=False` looks at the first two places only: a program that uses the library has not asked for the user's own keys. A place
    that should have the key and cannot give it is a UserError.
    """
    if key := os.environ.get(variable or "-"):
        return key, variable
    if key := from_command(name, command):
        return key, f"the key-command of [providers.{name}]"
    if keyring:
        from agentcli.config.keyring import get, names

        if name in names():
            return get(name), KEYRING
    return None, variable


def from_command(name: str, command: str | None, *, patience: float = _PATIENCE) -> str | None:
    """What a `key-command` prints: its first line, since in many password stores the lines below are notes."""
    if not command:
        return None
    import shlex
    import subprocess

    program = ""
    try:
        words = shlex.split(command)
        program = words[0]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            try:
                printed, _ = child.communicate(timeout=patience)
            except BaseException:
                child.kill()
                if child.stdout:
                    child.stdout.close()  # whatever else holds the other end is not waited for
                raise
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, program)
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:  # what it was told, or said, may be secret
        match error:
            case subprocess.CalledProcessError(returncode=code):
                what = f"{program} left with the exit code {code}"
            case subprocess.TimeoutExpired():
                what = f"{program} took longer than {patience:g} s"
            case OSError():
                what = f"{program} cannot be started ({error.strerror})"
            case UnicodeError():
                what = f"{program} printed something that is not text"
            case _:
                what = "its words cannot be told apart"
        hint = f"It is `key-command` of [providers.{name}] in the configuration, and has {patience:g} s to print the key."
        raise UserError(f"the command for the key of {name} failed: {what}", hint=hint, exit_code=Exit.CONFIG) from None
    return next(iter(printed.strip().splitlines()), "").strip() or None
