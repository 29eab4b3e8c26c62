"""Where a provider is, as its vendor's own variable says it.

Vendors leave out different things: Ollama's `OLLAMA_HOST` may be no more than a port, Azure's endpoint has no path. A base URL that
stands in our own configuration is taken as it is.
"""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from agentcli.providers import Entry

__all__ = ["at_vendor", "base_url"]


def base_url(entry: Entry, said: str) -> str:
    """The base URL that the value of the provider's variable means."""
    said = said.strip()
    with suppress(ValueError):  # no address at all: said when it is asked
        whole = _with_port(said, entry.port) if entry.port else said
        return whole.rstrip("/") + entry.path if entry.path and not urlsplit(whole).path.strip("/") else whole
    return said


def at_vendor(entry: Entry, url: str) -> bool:
    """Is this the vendor's own server, and not one that imitates it?"""
    with suppress(ValueError):
        vendor, host = (urlsplit(each).hostname or "" for each in (entry.base_url, url))
        return host == vendor or host.endswith(f".{vendor}")
    return False


def _with_port(said: str, port: int) -> str:
    """`host`, `host:port`, `:port` or a URL, as a URL that can be asked."""
    address = urlsplit(said if "://" in said else f"http://{said}")
    host = address.hostname or "127.0.0.1"
    host = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104  (where a server listens)
    implied = {"https": 443, "http": 80}.get(address.scheme, port) if "://" in said else port
    number = address.port or implied
    return f"{address.scheme}://{host}:{number}{address.path.rstrip('/')}"
