"""Addresses of package indexes, and the pages that come from there: where does this page say that the file is?

A page is JSON (PEP 691) or HTML (PEP 503). An index may also be a folder of this machine that is laid out as one, and `find-links` a
folder of wheels. A page from a server is not believed when it names a file of this machine.
"""

from __future__ import annotations

from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import msgspec
from msgspec import Struct

from agentcli.errors import Exit, UserError

__all__ = [
    "LONGEST",
    "Place",
    "folder_of",
    "here",
    "host_of",
    "linked",
    "login_for",
    "login_in",
    "origin_of",
    "page_of",
    "without_login",
]

LONGEST = 16 << 20  # bytes of a page


class Place(Struct, frozen=True):
    """Where the file is: an address, or a file on this machine."""

    url: str = ""
    file: Path | None = None

    @property
    def host(self) -> str:
        return host_of(self.url) if self.url else "this machine"


class _File(Struct):
    filename: str = ""
    url: str = ""


class _Project(Struct):
    files: list[_File] = []


class _Links(HTMLParser):
    """The addresses that a page links to, and what they are relative to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(address)
        elif tag == "base" and address:
            self.base = self.base or address


def linked(url: str, kind: str, body: bytes, name: str) -> Place | None:
    """Where a page of an index says that the file is."""
    try:
        if "json" in kind:
            files = msgspec.json.decode(body, type=_Project).files
            found = next((file.url for file in files if file.filename == name), "")
        else:
            page = _Links()
            page.feed(body.decode(errors="replace"))
            url = urljoin(url, page.base)
            found = next((each for each in page.found if unquote(urlsplit(each).path).rpartition("/")[2] == name), "")
        if not found:
            return None
        address = urldefrag(urljoin(url, found)).url
    except (ValueError, RecursionError):
        message = f"{host_of(url) or url} sends a page that is none of an index"
        raise UserError(message, hint="Is it the address of a package index?", exit_code=Exit.UNAVAILABLE) from None
    file = folder_of(address, strict=True)
    if file and urlsplit(url).scheme != "file":  # no server says which file of ours to read
        return None
    return Place(file=file) if file else Place(address)


def here(folder: Path, name: str) -> Place | None:
    """The file in a folder of wheels, or in the page of one that is laid out as an index."""
    if (folder / name).is_file():
        return Place(file=folder / name)
    page = folder / "index.html"
    return linked(page.as_uri(), "text/html", page.read_bytes()[:LONGEST], name) if page.is_file() else None


def page_of(index: str, project: str) -> str:
    """The page of a project, with the query that the address of the index may have."""
    parts = urlsplit(index)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{project}/"))


def folder_of(address: str, *, strict: bool = False) -> Path | None:
    """The place on this machine that an address names. Without `strict` anything is one that is not http."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if strict or parts.scheme in ("http", "https"):
        return None
    return Path(address)


def host_of(address: str) -> str:
    with suppress(ValueError):
        return urlsplit(address).netloc.rpartition("@")[2]
    return ""


def origin_of(address: str) -> tuple[str, str, int | None]:
    with suppress(ValueError):
        parts = urlsplit(address)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return "", "", None


def login_in(address: str) -> str:
    with suppress(ValueError):
        return unquote(urlsplit(address).netloc.rpartition("@")[0])
    return ""


def without_login(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def login_for(address: str) -> str:
    """The name and password for the host in ~/.netrc, which pip reads too."""
    import netrc

    with suppress(OSError, ValueError, netrc.NetrcParseError):
        found = netrc.netrc().hosts.get(urlsplit(address).hostname or "-")
        return f"{found[0]}:{found[2]}" if found else ""
    return ""
