"""Words that can stand for a value: models, agents, tools, settings, providers, keys of the configuration.

What the configuration says is added where it can be read; a damaged one only means fewer words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from agentcli.cli.complete import Asked, Word

if TYPE_CHECKING:
    from agentcli.config import Config

__all__ = [
    "agents", "agents_or_none", "embedded", "files", "in_keyring", "keys", "models", "providers", "settings", "threads", "tools",
    "values", "with_key",
]  # fmt: skip

# The settings that most models know, and what can be said for them where that is a choice. Any other can be typed.
SETTINGS: dict[str, tuple[str, ...]] = {
    "temperature": (),
    "top-p": (),
    "max-tokens": (),
    "stop": (),
    "seed": (),
    "effort": ("none", "minimal", "low", "medium", "high", "max"),
    "cache": ("true", "false"),
    "verbosity": ("low", "medium", "high"),
}


def files(_: Asked) -> list[Word]:
    """The shell's own names of files: it is asked for them where this stands, and nobody calls it."""
    return []


def threads(asked: Asked) -> list[Word]:
    """The saved threads, newest first."""
    from agentcli.cli.complete.thread import threads as saved

    return saved(asked)


def models(asked: Asked) -> Iterator[Word]:
    """Aliases, what the providers last listed, and what the table names."""
    from agentcli.config import places
    from agentcli.errors import UserError
    from agentcli.providers.catalogue import names

    aliases = _config(asked).aliases
    cache = Path()
    with suppress(UserError):  # no home
        cache = places().cache
    for name in names(cache, aliases):
        yield Word(name, aliases.get(name, ""))


def agents(asked: Asked) -> Iterator[Word]:
    """The named agents."""
    from agentcli.config.agent import find, names
    from agentcli.errors import UserError

    for name in names():
        about = ""
        with suppress(UserError):  # its file is wrong
            about = found.config.description if (found := find(name)) else ""
        yield Word(name, about)


def agents_or_none(asked: Asked) -> Iterator[Word]:
    """The named agents, and what says that none is wanted."""
    from agentcli.config.agent import NONE

    yield from agents(asked)
    yield Word(NONE, "What is configured, without an agent")


def tools(asked: Asked) -> Iterator[Word]:
    """The tools that come with the program, and those that the configuration names."""
    from agentcli.tools import TOOLS

    return map(Word, dict.fromkeys([*TOOLS, *_config(asked).tools]))


def settings(asked: Asked) -> Iterator[Word]:
    """`effort=`, and once that is typed, `effort=low`."""
    key, equals, _ = asked.typed.partition("=")
    if equals:
        return (Word(f"{key}={choice}") for choice in SETTINGS.get(key, ()))
    return (Word(f"{name}=") for name in dict.fromkeys([*SETTINGS, *_config(asked).settings]))


def providers(asked: Asked) -> Iterator[Word]:
    """What can stand before the slash."""
    from agentcli.providers import PROVIDERS

    return map(Word, dict.fromkeys([*_config(asked).providers, *PROVIDERS]))


def with_key(asked: Asked) -> Iterator[Word]:
    """The providers that take a key."""
    from agentcli.providers import PROVIDERS

    own = _config(asked).providers
    for name in dict.fromkeys([*own, *PROVIDERS]):
        kind = (name in own and own[name].kind) or (PROVIDERS[name].kind if name in PROVIDERS else "")
        if kind not in ("local", "scripted"):
            yield Word(name)


def in_keyring(_: Asked) -> Iterator[Word]:
    """The providers whose key was put into the keyring. The keyring itself is not asked."""
    from agentcli.config.keyring import names

    return map(Word, names())


def embedded(_: Asked) -> Iterator[Word]:
    """The models that can be installed."""
    from agentcli.providers.local.wheel import KNOWN

    return map(Word, KNOWN)


def keys(asked: Asked) -> Iterator[Word]:
    """The keys of the configuration, those inside its tables only once the table was typed."""
    from agentcli.config.reference import keys as known

    config = _config(asked)
    inside: dict[str, Iterable[str]] = {
        "aliases": config.aliases,
        "keys": config.keys,
        "providers": config.providers,
        "settings": dict.fromkeys([*SETTINGS, *config.settings]),
    }
    table, dot, _ = asked.typed.partition(".")
    if not dot:
        for key in known():
            if not key.name.startswith("providers."):
                yield Word(f"{key.name}." if key.name in inside else key.name, key.text)
        yield Word("providers.", "Servers of your own, by name.")
    elif table == "providers":
        for name in inside[table]:
            yield from (Word(key.name.replace("NAME", name), key.text) for key in known() if key.name.startswith("providers."))
    else:
        yield from (Word(f"{table}.{name}") for name in inside.get(table, ()))


def values(asked: Asked) -> Iterable[Word]:
    """What a key of the configuration can be set to, where that is a choice."""
    key = asked.arguments[0]
    table, dot, name = key.partition(".")
    if table == "aliases" or key in ("model", "fallback"):
        return models(asked)
    if key == "tools":
        return tools(asked)
    if table == "settings":
        return map(Word, SETTINGS.get(name, ()))
    if table == "providers":
        from agentcli.providers import KINDS

        return map(Word, KINDS) if name.endswith(".kind") else ()
    return map(Word, () if dot else _choices(key))


def _choices(key: str) -> tuple[str, ...]:
    from msgspec.structs import fields

    from agentcli.config import Config

    said = next((field.type for field in fields(Config) if field.encode_name == key), None)
    for kind in (said, *get_args(said)):
        if kind is bool:
            return "true", "false"
        if get_origin(kind) is Literal:
            return get_args(kind)
    return ()


def _config(asked: Asked) -> Config:
    """The configuration, also that of `--config FILE`; the built-in one if that cannot be read."""
    from agentcli.config import Config, load
    from agentcli.errors import UserError

    with suppress(UserError):
        file = asked.options.get("--config")
        return load(Path(file[-1]) if file else None).config
    return Config()
