"""What the providers listed: asked for once a day, many at once, and kept for whoever wants to know between.

The file is `models.msgpack` in the cache folder: a list for each provider, address and key, under a number that is made of these three
and a salt, so that neither the key nor an address that carries one is in it. It is read in a millisecond, one provider at a time, by
what must be quick: the completion of a name, the size of a context, the cost of an answer. They take any list that is there, however
old. A list of today spares asking; a server on this machine is asked each time, because its models come and go.

The cache is never more than that: missing, damaged or impossible to write, it costs a question.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import time

import msgspec
from msgspec import Raw, Struct, field

from agentcli.core.provider import ProviderError
from agentcli.providers import PROVIDERS, Endpoint
from agentcli.providers.cache import keep, kept
from agentcli.providers.listed import Listed

__all__ = ["DAY", "Catalogue", "gather", "listed", "names"]

DAY = 86_400.0
_FORGET = 30 * DAY
_VERSION = 1
_MOST = 32 << 20  # bytes of the file
_FILE = "models.msgpack"
_LOCAL = ("http://127.", "http://localhost", "http://[::1]")


class _List(Struct, array_like=True, frozen=True):
    provider: str
    mark: bytes
    at: float
    models: Raw


class _File(Struct, array_like=True):
    version: int = _VERSION
    salt: bytes = field(default_factory=lambda: os.urandom(16))
    lists: list[_List] = []


class _Name(Struct):
    """Of a model no more than that."""

    id: str
    chats: bool = True


class Catalogue:
    """The lists that are kept. `folder` is the cache folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._file = _File()
        with suppress(ValueError, RecursionError):
            if data := kept(self._path, _MOST):
                found = msgspec.msgpack.decode(data, type=_File)
                self._file = found if found.version == _VERSION else self._file
        self._file.lists.sort(key=lambda each: each.at, reverse=True)

    def today(self, name: str, place: Endpoint) -> list[Listed] | None:
        """What was listed there within a day, to this key."""
        if not place.base_url or place.base_url.startswith(_LOCAL):
            return None
        mark = self._mark(name, place)
        return next((_models(each) for each in self._of(name) if each.mark == mark and -60 < time() - each.at < DAY), None)

    def find(self, name: str, model: str) -> Listed | None:
        """What the provider last said of a model."""
        for each in self._of(name):
            for found in _models(each) or ():
                if found.id == model:
                    return found
        return None

    def names(self) -> Iterator[str]:
        """Every model that was listed and can be asked, as `provider/model`."""
        seen = set()
        for each in self._file.lists:
            with suppress(ValueError, RecursionError):
                for model in _NAMES.decode(each.models):
                    name = f"{each.provider}/{model.id}"
                    if model.chats and name not in seen:
                        seen.add(name)
                        yield name

    def add(self, name: str, place: Endpoint, models: list[Listed]) -> None:
        """Take in what was listed now. It is written by `write`."""
        mark = self._mark(name, place)
        now = time()
        old = [each for each in self._file.lists if each.mark != mark and now - each.at < _FORGET]
        self._file.lists = [_List(name, mark, now, Raw(msgspec.msgpack.encode(models))), *old]

    def write(self) -> None:
        keep(self._path, msgspec.msgpack.encode(self._file))

    def _of(self, name: str) -> Iterator[_List]:
        return (each for each in self._file.lists if each.provider == name)

    def _mark(self, name: str, place: Endpoint) -> bytes:
        from hashlib import blake2b

        said = repr((name, place.kind, place.base_url, place.key, sorted(place.headers.items())))
        return blake2b(said.encode(errors="backslashreplace"), digest_size=16, key=self._file.salt[:64]).digest()


async def gather(
    places: Mapping[str, Endpoint], folder: Path, *, refresh: bool = False, patience: float | None = None
) -> dict[str, list[Listed] | ProviderError]:
    """What each provider lists, or why it does not say: of today, or asked for now, all at once. `refresh`: all are asked."""
    import asyncio

    catalogue = Catalogue(folder)
    found: dict[str, list[Listed] | ProviderError | None] = {
        name: None if refresh else catalogue.today(name, place) for name, place in places.items()
    }
    missing = [name for name, models in found.items() if models is None]
    if missing:
        answers = await asyncio.gather(*(_asked(name, places[name], patience) for name in missing))
        found.update(zip(missing, answers, strict=True))
        for name, answer in zip(missing, answers, strict=True):
            if isinstance(answer, list):
                catalogue.add(name, places[name], answer)
        if any(isinstance(answer, list) for answer in answers):
            catalogue.write()
    return {name: answer for name, answer in found.items() if answer is not None}


async def listed(name: str, place: Endpoint, folder: Path, *, patience: float | None = None) -> list[Listed]:
    """The models of one provider that can be asked: of today, or asked for now and kept. Raises a ProviderError."""
    answer = (await gather({name: place}, folder, patience=patience))[name]
    if isinstance(answer, ProviderError):
        raise answer
    return [model for model in answer if model.chats]


def names(folder: Path, aliases: Iterable[str] = ()) -> list[str]:
    """What can be typed for a model: aliases, then the table's models and all that were listed. It reads one file and never fails."""
    table = (f"{name}/{entry.model}" for name, entry in PROVIDERS.items() if entry.model)
    return [*sorted(aliases), *sorted({*table, *Catalogue(folder).names()})]


async def _asked(name: str, place: Endpoint, patience: float | None) -> list[Listed] | ProviderError:
    from agentcli.providers.listing import PATIENCE, models

    try:
        return await models(name, place, patience=PATIENCE if patience is None else patience, every=True)
    except ProviderError as error:
        return error


_LISTS = msgspec.msgpack.Decoder(list[Listed])
_NAMES = msgspec.msgpack.Decoder(list[_Name])


def _models(each: _List) -> list[Listed] | None:
    with suppress(ValueError, RecursionError):
        return _LISTS.decode(each.models)
    return None
