"""Keys as a person sees and types them: where each one comes from, and never one itself.

A key is typed without echo, or comes on stdin from another program. It is never an argument: those can be read by every other program
on the machine, and the shell keeps them in its history.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

from msgspec import Struct

from agentcli.config import Config, keyring
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS
from agentcli.ui.confirm import interruptible
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import dim, on_terminal, print_json, put
from agentcli.ui.talk import say
from agentcli.ui.terminal import flush_typed

__all__ = ["Source", "instead", "print_sources", "read_key", "sources"]

_MOST = 16 << 10  # bytes of a key


class Source(Struct, frozen=True):
    """Where the key of a provider comes from: `where` is None if there is none, `name` the variable or the program."""

    provider: str
    where: Literal["environment", "command", "keyring"] | None
    name: str
    variable: str
    in_keyring: bool


def sources(config: Config) -> list[Source]:
    """Each provider that takes a key. Nothing is opened and nothing is run to find out."""
    kept = keyring.names()
    known = {name: entry.key_variable for name, entry in PROVIDERS.items() if entry.key_variable}
    for name, said in config.providers.items():
        if said.key_env or said.key_command:
            known[name] = said.key_env or known.get(name, "")
    return [_source(name, known.get(name, ""), config, name in kept) for name in [*known, *(set(kept) - set(known))]]


def _source(name: str, variable: str, config: Config, in_keyring: bool) -> Source:
    said = config.providers.get(name)
    if os.environ.get(variable or "-"):
        return Source(name, "environment", variable, variable, in_keyring)
    if said and said.key_command:
        return Source(name, "command", said.key_command.split(maxsplit=1)[0] if said.key_command.strip() else "", variable, in_keyring)
    return Source(name, "keyring" if in_keyring else None, "", variable, in_keyring)


def print_sources(found: list[Source], *, json: bool) -> None:
    """A line for each provider: those with a key first."""
    if json:
        print_json(found)
        return
    ordered = sorted(found, key=lambda source: source.where is None)
    if not on_terminal():
        put("".join(f"{source.provider}\t{source.where or ''}\t{source.name}\n" for source in ordered))
        return
    width = max(len(source.provider) for source in ordered)
    lines = [f"{one_line(source.provider):{width}}  {one_line(_told(source))}" for source in ordered]
    put("\n".join([dim(f"{'PROVIDER':{width}}  KEY"), *lines]) + "\n")


def _told(source: Source) -> str:
    match source.where:
        case "environment":
            return source.name + (", which goes before the one in the keyring" if source.in_keyring else "")
        case "command":
            also = ", which goes before the one in the keyring" if source.in_keyring else ""
            return f"printed by the command {source.name}{also}"
        case "keyring":
            return "in the keyring" + ("" if keyring.installed() else ", which needs the package `keyring`: it is not installed")
    return f"none ({source.variable} is not set)" if source.variable else "none"


def instead(provider: str, variable: str) -> str:
    """How a key can be given without a keyring."""
    table = f"agentcli config set providers.{provider}"
    lines = ["Without a keyring:"]
    if variable:
        lines.append(f"  export {variable}=…")
    lines.append(f'  {table}.key-command "pass show {provider}"   (any command that prints the key)')
    if not variable:
        lines.append(f"  {table}.key-env {provider.upper().replace('-', '_')}_KEY   (a variable that holds it)")
    return "\n".join(lines)


def read_key(provider: str) -> str:
    """The key, typed by a person who does not see it, or from stdin; a UserError says what is wrong with it."""
    if sys.stdin is None:
        raise UserError("there is no stdin to read the key from", hint=_PIPE, exit_code=Exit.USAGE)
    if sys.stdin.isatty():
        return _sound(_typed(f"Key for {one_line(provider, 60)} (it is not shown): "), _TYPE)
    data = sys.stdin.buffer.read(_MOST + 1)
    if len(data) > _MOST:
        raise UserError(f"what came on stdin is longer than {_MOST >> 10} KiB: that is no key", exit_code=Exit.USAGE)
    return _sound(data.decode("utf-8-sig", "replace"), _PIPE)


_TYPE = "Nothing was kept. Try again, and paste only the key."
_PIPE = "Nothing was kept. For example: pass show work/openai | head -n 1 | agentcli keys set openai"


def _sound(typed: str, hint: str) -> str:
    """A key that a header can carry."""
    key = typed.strip()
    if not key:
        fault = "there is no key: nothing was typed" if hint is _TYPE else "there is no key: nothing came on stdin"
    elif "\n" in key or "\r" in key:
        fault = "a key is one line, and there are more"
    elif not key.isascii():
        fault = "a key has no letters like ü or ж, nor curly quotes: something else was taken along"
    elif not key.isprintable() or " " in key:
        fault = "a key has no blanks or control characters in it: something else was taken along"
    elif key[0] in "\"'" or key[-1] in "\"'":
        fault = "there are quotes around the key"
    else:
        return key
    raise UserError(fault, hint=hint, exit_code=Exit.USAGE)


def _typed(prompt: str) -> str:
    import getpass
    import warnings

    say("", end="")  # what was said so far is out before the terminal is asked
    try:
        with interruptible(), warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except EOFError:
        say("")
        return ""
    except getpass.GetPassWarning:
        raise UserError("this terminal cannot hide what is typed", hint=_PIPE, exit_code=Exit.USAGE) from None
    except BaseException:
        say("")  # the cursor stands behind the prompt
        raise
    finally:
        flush_typed()  # the rest of what was pasted must not become a command of the shell
