"""Fetches one file of a package: finds it on an index, and downloads it, going on where an earlier try broke off.

An index is asked as PEP 691 (JSON) or PEP 503 (HTML) has it. A file may lie on another host than the index, and redirects are
followed; a name and password go only to the host that they are for, and never from https:// on to http://. What comes is not trusted
for any of that: whoever asked knows how large the file must be, and its SHA-256, and checks (`wheel`).

A download that breaks off is taken up again, as long as each try brings something. What has come stays on disk, whatever happens.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from agentcli.core.provider import ProviderError
from agentcli.errors import Exit, UserError
from agentcli.providers import Clocks
from agentcli.providers.http.get import fault, get
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.proxy import Proxy
from agentcli.providers.http.retry import back_off
from agentcli.providers.http.route import Route
from agentcli.providers.local.index import Sources
from agentcli.providers.local.link import (
    LONGEST,
    Place,
    folder_of,
    here,
    host_of,
    linked,
    login_for,
    login_in,
    origin_of,
    page_of,
    without_login,
)

__all__ = ["Web"]

_REDIRECTS = 5
_PIECE = 1 << 20  # bytes that are copied at once
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Web:
    """What is fetched by one command, with the sources of packages as they are configured. Of the clocks, `idle` is the time in which
    something must come, and `retries` how many tries in a row may bring nothing."""

    def __init__(self, sources: Sources, clocks: Clocks = Clocks(idle=60.0)) -> None:  # noqa: B008  (frozen)
        self._sources = sources
        self._clocks = clocks
        self._logins: dict[tuple[str, str, int | None], str] = {}
        for address in (*sources.indexes, *sources.links):
            if login := login_in(address):
                self._logins[origin_of(address)] = login

    async def find(self, project: str, name: str) -> Place:
        """Where the file of this name is. Raises a UserError that says where it is not."""
        problems: list[UserError] = []
        sources = self._sources
        for address, is_index in [*((link, False) for link in sources.links), *((index, True) for index in sources.indexes)]:
            try:
                if found := await self._find(page_of(address, project) if is_index else address, name):
                    return found
                problems.append(UserError(f"{host_of(address) or address} does not have it"))
            except UserError as error:
                problems.append(error)
            except ValueError:
                problems.append(UserError("an address in the configuration of pip is none"))
        told = "; ".join(dict.fromkeys(each.message for each in problems))
        hint = next((each.hint for each in problems if each.hint), "Check PIP_INDEX_URL, or pip's own configuration.")
        raise UserError(f"{name} was not found: {told}", hint=hint, exit_code=Exit.UNAVAILABLE)

    async def download(self, place: Place, to: int, size: int, tell: Callable[[int], object]) -> None:
        """Bring the file at the open descriptor to its size. What is in it already is the beginning."""
        have = os.fstat(to).st_size
        if have > size:
            have = 0
            os.ftruncate(to, 0)
        os.lseek(to, have, os.SEEK_SET)
        failures = 0
        while have < size:
            tell(have)
            before = have
            try:
                async with aclosing(self._pieces(place, have)) as pieces:
                    async for begin, piece in pieces:
                        if begin != have:  # the server did not go on, but began again
                            have = begin
                            os.ftruncate(to, have)
                            os.lseek(to, have, os.SEEK_SET)
                        _write(to, piece)
                        have += len(piece)
                        if have > size:
                            raise UserError(f"{place.host} sends more than the file has", exit_code=Exit.DATA)
                        tell(have)
                if have < size:
                    raise _BrokenError(UserError(f"{place.host} ended the file too early", exit_code=Exit.UNAVAILABLE))
            except _BrokenError as error:
                failures = 1 if have > before else failures + 1
                if failures > self._clocks.retries or not error.again:
                    raise error.told from None
                await asyncio.sleep(back_off(failures))
        tell(have)

    async def _find(self, page: str, name: str) -> Place | None:
        folder = folder_of(page)
        if folder is not None:
            return here(folder, name)
        try:
            async with self._open(page, {"accept": _ACCEPT}) as answer:
                if answer.status in (404, 410):
                    return None
                _check(answer)
                body = bytearray()
                async with aclosing(answer.pieces()) as pieces:
                    async for piece in pieces:
                        body += piece
                        if len(body) > LONGEST:
                            raise UserError(f"the page of {host_of(page)} is too long")
                return linked(answer.url, answer.headers.get("content-type", ""), bytes(body), name)
        except _BrokenError as error:
            raise error.told from None

    async def _pieces(self, place: Place, have: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """The pieces of the file from there on, each with the place where it belongs."""
        if place.file:
            for at, piece in _pieces_of(place.file, have):
                yield at, piece
                await asyncio.sleep(0)
            return
        async with self._open(place.url, {"range": f"bytes={have}-"} if have else {}) as answer:
            if answer.status == 206 and re.match(rf"bytes {have}-", answer.headers.get("content-range", "")):
                at = have
            elif answer.status in (206, 416):
                raise UserError(f"{place.host} does not go on where the download broke off ({answer.status})", hint=_REMOVE)
            else:
                _check(answer)
                at = 0
            async with aclosing(answer.pieces()) as pieces:
                async for piece in pieces:
                    yield at, piece
                    at += len(piece)

    @asynccontextmanager
    async def _open(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[_Answer]:
        """The answer to a GET, wherever it leads."""
        for _ in range(_REDIRECTS + 1):
            route = self._route(url, headers)
            try:
                answer = await _ask(route, url)
                if answer.status not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                url = _led(url, answer.headers.get("location", ""))
            finally:
                await route.aclose()
        raise UserError(f"{host_of(url)} leads round in a circle", exit_code=Exit.UNAVAILABLE)

    def _route(self, url: str, headers: Mapping[str, str]) -> Route:
        bare = without_login(url)
        more = dict(headers)
        login = login_in(url) or self._logins.get(origin_of(url)) or login_for(url)
        if login:
            more["authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        more.setdefault("accept", "*/*")
        route = Route(host_of(url), bare, more, self._clocks, keep=False, certificates=self._sources.certificates)
        if self._sources.proxy and not _is_near(url):
            with suppress(ValueError):
                route.proxy = Proxy.at(self._sources.proxy)
        return route


_REMOVE = "`agentcli local remove` takes away what has come of it."


class _BrokenError(Exception):
    """The way to the file broke off. `told` is for a person; `again`: another try may help."""

    def __init__(self, told: UserError, *, again: bool = True) -> None:
        super().__init__(told.message)
        self.told = told
        self.again = again


class _Answer:
    """What a server says to a GET."""

    def __init__(self, route: Route, url: str, response: Any) -> None:
        self.url = url
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._route = route
        self._body = response.stream

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        idle = self._route.clocks.idle
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._body.until = loop.time() + idle
                try:
                    piece = await anext(self._body)
                except StopAsyncIteration:
                    return
                except httpx.ReadTimeout:
                    raise _BrokenError(_told(f"nothing has come from {self._route.name} for {idle:g} s")) from None
                except httpx.HTTPError as error:
                    raise _broken(self._route, error, heard=True) from None
                yield piece
        finally:
            await self._body.aclose()


async def _ask(route: Route, url: str) -> _Answer:
    idle = route.clocks.idle
    try:
        path = "/" if urlsplit(url).path.endswith("/") or not urlsplit(url).path else ""
        response = await get(route, path, until=asyncio.get_running_loop().time() + idle)
    except TimeoutError:
        raise _BrokenError(_told(f"no answer from {route.name} for {idle:g} s")) from None
    except httpx.HTTPError as error:
        raise _broken(route, error, heard=False) from None
    except ProviderError as error:  # an address that is none, a proxy that is none, certificates that cannot be read
        hint = _CERTIFICATES if route.certificates and route.certificates in error.message else error.hint
        raise _BrokenError(_told(error.message, hint), again=False) from None
    return _Answer(route, url, response)


def _broken(route: Route, error: httpx.HTTPError, *, heard: bool) -> _BrokenError:
    told = fault(route, error, heard=heard)
    message = f"the download from {route.name} broke off" if heard else told.message
    hint = told.hint if told.kind == "tls" or isinstance(error, httpx.ProxyError) else _ADDRESS
    return _BrokenError(_told(message, "" if heard else hint), again=told.kind != "tls" and not isinstance(error, httpx.ProxyError))


_CERTIFICATES = "pip is set to them: see PIP_CERT, and `pip config list`."
_ADDRESS = "Is this machine online? The address is that of pip's configuration; see PIP_INDEX_URL, HTTPS_PROXY."


def _told(message: str, hint: str = "") -> UserError:
    return UserError(message, hint=hint, exit_code=Exit.UNAVAILABLE)


def _check(answer: _Answer) -> None:
    """Raise what the status means, unless all is well."""
    status, host = answer.status, host_of(answer.url)
    if status == 200:
        return
    if status in (401, 403):
        hint = "They stand in the address: PIP_INDEX_URL=https://name:password@…, or in ~/.netrc."
        raise _told(f"{host} wants a name and a password ({status})", hint)
    if status == 407:
        raise _told(f"the proxy before {host} wants a name and a password (407)", "See HTTPS_PROXY, HTTP_PROXY and PIP_PROXY.")
    if status in (404, 410):
        raise _told(f"{host} does not have the file any more ({status})")
    if status == 429 or status >= 500:
        raise _BrokenError(_told(f"{host} is out of order ({status})", "Try again later."))
    raise _told(f"{host} answers with the status {status}", "Is it the address of a package index?")


def _led(url: str, location: str) -> str:
    """Where a redirect leads. The name and password of an address are not taken along."""
    try:
        there = urldefrag(urljoin(without_login(url), location)).url
        scheme = urlsplit(there).scheme
    except ValueError:
        there = scheme = ""
    if not location or scheme not in ("http", "https") or (scheme == "http" and url.startswith("https:")):
        raise _told(f"{host_of(url)} leads to an address that cannot be followed")
    return there


def _is_near(address: str) -> bool:
    return (urlsplit(address).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _pieces_of(file: Path, have: int) -> Iterator[tuple[int, bytes]]:
    try:
        with open(file, "rb") as opened:
            opened.seek(have)
            while piece := opened.read(_PIECE):
                yield have, piece
                have += len(piece)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from None


def _write(to: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(to, view) :]
    except OSError as error:
        why = "there is no space left" if error.errno in _FULL else error.strerror or str(error)
        raise UserError(
            f"the download cannot be written: {why}", hint="What has come is kept: run it again, and it goes on."
        ) from None
