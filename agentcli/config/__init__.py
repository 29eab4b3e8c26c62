"""Settings: four layers, one struct.

    built in  <  config.toml  <  AGENTCLI_… variables  <  flags

The layers are merged as plain dicts and decoded once, into `Config`; for every value it is remembered where it came from. The struct
is the only list of what can be set: the reference, the commented template of `config edit`, the nearest right key in an error
message and the words for what was expected are all read from it.

A file is taken from the user's own configuration folder or from `--config`, never from the folder the program was started in: what
lies in a folder is not trusted. For the same reason a relative path inside the file (a script, a tool) is relative to the file.
A key is never in the file: `key-env` names a variable, `key-command` a command that prints it.

Every fault is a `UserError` that names file, line and key, or the variable, or the flag. This module is loaded by every command, so
what it needs only sometimes (tomllib, platformdirs, the scan for a line) is imported only then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from agentcli.config.document import changed, line_of, parse, read
from agentcli.config.schema import FLAGS, VARIABLES, Config, ProviderConfig
from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.config.agent import NamedAgent

__all__ = ["Config", "Loaded", "Places", "ProviderConfig", "anchored", "edited", "fault", "load", "places", "scalar", "where"]


class Places(Struct, frozen=True):
    """Where things lie."""

    config: Path
    threads: Path
    blobs: Path
    agents: Path
    history: Path
    cache: Path
    models: Path


class Loaded(Struct, frozen=True):
    """A configuration, and for each key where its value came from: "default", the file, a variable, or a flag."""

    config: Config
    origins: dict[str, str]
    file: Path
    text: str | None  # None: there is no file
    agent: NamedAgent | None = None  # the one that was laid over it
    own: Loaded | None = None  # what it is without that

    def __repr__(self) -> str:
        return f"Loaded({self.config!r}, file={str(self.file)!r})"


_DEFAULTS = Config()
_YES_NO = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def places() -> Places:
    """Where things lie: all under `AGENTCLI_HOME` if it is set, else in the platform's own folders."""
    if home := os.environ.get("AGENTCLI_HOME"):
        root = Path(os.path.abspath(os.path.expanduser(home)))
        return Places(
            root / "config.toml", root / "threads", root / "blobs", root / "agents", root / "history", root / "cache", root / "models"
        )
    from platformdirs import PlatformDirs

    folders = PlatformDirs("agentcli", appauthor=False)
    try:
        found = [folders.user_config_dir, folders.user_data_dir, folders.user_state_dir, folders.user_cache_dir]
    except RuntimeError:
        found = ["~"]
    if not all(map(os.path.isabs, found)):  # neither HOME nor the system says one
        raise UserError(
            "there is no home folder: HOME is not set, and the system knows none for this user",
            hint="Set HOME, or AGENTCLI_HOME to a folder for configuration and threads.",
            exit_code=Exit.CONFIG,
        )
    config, data, state, cache = map(Path, found)
    return Places(
        config / "config.toml", data / "threads", data / "blobs", config / "agents", state / "history", cache, data / "models"
    )


def load(file: Path | None = None, overrides: Mapping[str, Any] = {}) -> Loaded:
    """All layers. `file` is `--config FILE`, which must exist; `overrides` are flags by key, None where a flag was not given."""
    path = Path(os.path.abspath(file)) if file is not None else places().config
    text = read(path, required=file is not None)
    layers = (
        (anchored(parse(path, text), path.parent) if text and text.strip() else {}, lambda _: str(path)),
        (_environment(), lambda key: VARIABLES[key]),
        (_given(overrides), _flag),
    )
    merged: dict[str, Any] = {}
    origins = dict.fromkeys(Config.__struct_encode_fields__, "default")
    try:
        for layer, origin in layers:
            msgspec.convert(layer, Config)  # wrong is wrong, also where a later layer says something else
            _merge(merged, layer, origins, origin)
        return Loaded(msgspec.convert(merged, Config), origins, path, text)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        from agentcli.config.faults import faults

        for layer, origin in layers:
            for found in faults(layer):
                raise found.error(_place(path, text, found.path, origin)) from None
        raise UserError(f"{path}: {error}", exit_code=Exit.CONFIG) from None


def where(loaded: Loaded, key: str) -> str:
    """Where a value came from: "default", the file with its line, a variable, or a flag."""
    return _place(loaded.file, loaded.text, tuple(key.split(".")), lambda _: loaded.origins.get(key, "default"))


def fault(loaded: Loaded, key: str, message: str, hint: str = "") -> UserError:
    """The error for a value that only others can judge, such as the kind of a provider. It says where the value was set."""
    from agentcli.config.faults import Fault

    inside = (origin for name, origin in loaded.origins.items() if name.startswith(f"{key}."))  # of a table
    origin = loaded.origins.get(key) or next(inside, "default")
    path = tuple(key.split("."))
    return Fault(path, message, hint).error(_place(loaded.file, loaded.text, path, lambda _: origin))


def edited(file: Path, key: str, value: str | None) -> bytes:
    """The file as it is with one value set, or removed if that is None. A file that is wrong, before or after, is a UserError."""
    from agentcli.config.faults import faults, value_of

    text = read(file, required=False) or ""
    path = tuple(key.split("."))
    for found in faults(parse(file, text)):
        raise found.error(_place(file, text, found.path, lambda _: str(file)))
    result = changed(file, text, path, None if value is None else value_of(key, value))
    for found in faults(parse(file, result)):
        raise found.error(key)
    return result.encode()


def scalar(text: str) -> str | int | float | bool:
    """A value as it is typed: `0.2`, `true` and `"0.2"` are what they look like, and everything else is text."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str | int | float) else text


def anchored(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The document with its relative paths made absolute: they are relative to the folder of the file."""
    if isinstance(tools := document.get("tools"), list):
        document["tools"] = [_anchor(name, folder) if isinstance(name, str) and ".py:" in name else name for name in tools]
    providers = document.get("providers")
    for provider in providers.values() if isinstance(providers, dict) else ():
        if isinstance(provider, dict) and provider.get("script") and isinstance(script := provider["script"], str):
            provider["script"] = _anchor(script, folder)
        if isinstance(provider, dict) and isinstance(models := provider.get("models"), dict):
            provider["models"] = {name: _anchor(path, folder) if isinstance(path, str) else path for name, path in models.items()}
    return document


def _anchor(path: str, folder: Path) -> str:
    return os.path.join(folder, os.path.expanduser(path))


def _environment() -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for key, variable in VARIABLES.items():
        if text := os.environ.get(variable):
            kind = type(getattr(_DEFAULTS, key.replace("-", "_")))
            layer[key] = text if kind is str else _YES_NO.get(text.lower(), text) if kind is bool else scalar(text)
    return layer


def _given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    given = {key.replace("_", "-"): value for key, value in overrides.items() if value is not None}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


def _flag(key: str) -> str:
    name, _, rest = key.partition(".")
    return f"{FLAGS.get(name, f'--{name}')} {rest}".rstrip()


def _merge(
    into: dict[str, Any], layer: Mapping[str, Any], origins: dict[str, str], origin: Callable[[str], str], prefix: str = ""
) -> None:
    for key, value in layer.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            inner = into.get(key)
            inner = into[key] = inner if isinstance(inner, dict) else {}
            _merge(inner, value, origins, origin, f"{name}.")
        else:
            into[key] = value
            origins[name] = origin(name)


def _place(file: Path, text: str | None, path: tuple[str, ...], origin: Callable[[str], str]) -> str:
    """Where a key was set, as one writes it before a message."""
    place = origin(".".join(path))
    if text and place == str(file) and (line := line_of(text, path)):
        return f"{place}:{line}"
    return place
