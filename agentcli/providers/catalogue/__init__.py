"""What the providers listed: asked for many at once, and kept for whoever wants to know between.

The file is `models.msgpack` in the cache folder: a list for each provider, address and key, under a number that is made of these three
and a salt, so that neither the key nor an address that carries one is in it. Another number is made without the key: what a server
says of a model holds for whoever asks there, and for nobody who asks elsewhere.

It is read in a millisecond, one provider at a time, by what must be quick: the completion of a name, the size of a context, the cost
of an answer. They take lists however old they are. At a vendor's own address a list of today spares asking; any other server is asked
each time, because its models come and go.

The cache is never more than that: missing, damaged or impossible to write, it costs a question.

Beside this: `listing` asks a server and `page` reads what it says, into the values of `model`; `nearby` finds servers on this machine;
`price` says what is known of a model, and `tariff` what others know of its price.
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
from agentcli.providers.address import at_vendor
from agentcli.providers.catalogue.cache import keep, kept
from agentcli.providers.catalogue.model import Listed

__all__ = ["DAY", "Catalogue", "gather", "listed", "names"]

DAY = 86_400.0
_FORGET = 30 * DAY
_VERSION = 2
_MOST = 32 << 20  # bytes of the file
_FILE = "models.msgpack"


class _List(Struct, array_like=True, frozen=True):
    provider: str
    mark: bytes  # of the provider, the address and the key
    at: float
    models: Raw
    place: bytes  # of the provider and the address


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
        self._known: dict[tuple[str, ...], dict[str, Listed]] = {}

    def today(self, name: str, place: Endpoint) -> list[Listed] | None:
        """What was listed there within a day, to this key. Only a vendor's list holds for so long."""
        if not _is_vendors(place.base_url):
            return None
        mark = self._mark(*_with_key(name, place))
        return next((_models(each) for each in self._of(name) if each.mark == mark and -60 < time() - each.at < DAY), None)

    def find(self, name: str, model: str, place: Endpoint | None = None) -> Listed | None:
        """What was last said of a model there; where no place is given, at its vendor's own."""
        entry = PROVIDERS.get(name)
        kind, url = (place.kind, place.base_url) if place else (entry.kind, entry.base_url) if entry else ("", "")
        where = name, kind, url.rstrip("/")
        if where not in self._known:
            self._known[where] = self._found(where)
        return self._known[where].get(model)

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
        whole = _with_key(name, place)
        mark, now = self._mark(*whole), time()
        old = [each for each in self._file.lists if each.mark != mark and now - each.at < _FORGET]
        self._file.lists = [_List(name, mark, now, Raw(msgspec.msgpack.encode(models)), self._mark(*whole[:3])), *old]
        self._known.clear()

    def write(self) -> None:
        keep(self._path, msgspec.msgpack.encode(self._file))

    def _of(self, name: str) -> list[_List]:
        return [each for each in self._file.lists if each.provider == name]

    def _found(self, where: tuple[str, str, str]) -> dict[str, Listed]:
        """All that was said at a place, the newest of each model."""
        lists = self._of(where[0])
        mark = self._mark(*where) if lists else b""
        return {model.id: model for each in reversed(lists) if each.place == mark for model in _models(each) or ()}

    def _mark(self, *said: object) -> bytes:
        from hashlib import blake2b

        return blake2b(repr(said).encode(errors="backslashreplace"), digest_size=16, key=self._file.salt[:64]).digest()


def _with_key(name: str, place: Endpoint) -> tuple[object, ...]:
    """What makes a list another one; the first three of it say where it is from."""
    return name, place.kind, place.base_url.rstrip("/"), place.key, sorted(place.headers.items())


def _is_vendors(url: str) -> bool:
    """Is this the address of a vendor that the table knows?"""
    with suppress(ValueError):  # no address at all
        return any(entry.base_url and not entry.port and at_vendor(entry, url) for entry in PROVIDERS.values())
    return False


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
    from agentcli.providers.catalogue.listing import PATIENCE, models

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
