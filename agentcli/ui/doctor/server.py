"""Do the servers answer, and do they take the key?

Each one that is configured is asked twice, all at once: without a key, which tells what is wrong on the way (the name, the
connection, a proxy, a certificate), and for its models with the key, which tells what it thinks of that. So a proxy that is at fault
is never taken for a bad key, nor the other way round.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentcli.core.provider import ProviderError
from agentcli.providers import PROVIDERS, Endpoint
from agentcli.ui.doctor.check import Check, Status

if TYPE_CHECKING:
    from agentcli.providers.catalogue.model import Listed
    from agentcli.providers.probe import Outcome

__all__ = ["near", "network", "servers", "shown"]


async def servers(places: Mapping[str, Endpoint], used: str | None, patience: float | None = None) -> list[Check]:
    """Whether the servers answer and accept the keys, all asked at once. Only the one that is used can be a fault."""
    from agentcli.providers.probe import PATIENCE

    patience = PATIENCE if patience is None else patience
    asked = {name: place for name, place in places.items() if place.base_url}
    checks = await asyncio.gather(*(_server(name, place, name == used, patience) for name, place in asked.items()))
    return list(checks)


async def _server(name: str, place: Endpoint, is_used: bool, patience: float) -> Check:
    from agentcli.providers.probe import probe

    probing = probe(place.base_url, kind=place.kind, patience=patience)
    outcome, listed = await asyncio.gather(probing, _listed(name, place, patience))
    status, text, hint = await _verdict(name, place, outcome, listed, patience)
    where = f"{name}, {shown(place.base_url)}"
    return Check("fault" if status == "fault" and is_used else "note" if status != "ok" else "ok", "server", f"{where}: {text}", hint)


async def _verdict(
    name: str, place: Endpoint, outcome: Outcome, listed: Sequence[Listed] | ProviderError | None, patience: float
) -> tuple[Status, str, str]:
    """What the two answers mean together."""
    if outcome.kind == "tls":
        return "fault", *await _untrusted(place, outcome, patience)
    if outcome.kind in _ON_THE_WAY:
        return "fault", outcome.text, outcome.hint
    if isinstance(listed, ProviderError) and (listed.kind == "auth" or outcome.kind == "answers"):
        said = listed.message.removeprefix(f"{name} ")
        return "fault" if listed.kind == "auth" else "note", said, _of_key(listed, place)
    if isinstance(listed, ProviderError | None) and outcome.kind != "answers":
        return "note" if outcome.kind == "path" else "fault", outcome.text, outcome.hint
    if listed is None:
        return "ok", outcome.text, ""
    if outcome.text == "answers":
        return "ok", "answers, and lists to anybody: whether the key is right, a question will show", ""
    return "ok", "answers, and accepts the key", ""


_SOON = 1.0  # seconds for a second look at a certificate
_ON_THE_WAY = {"address", "dns", "network", "proxy", "redirect", "refused", "timeout"}


async def _listed(name: str, place: Endpoint, patience: float) -> Sequence[Listed] | ProviderError | None:
    """What the server lists to whoever has the key; None without one."""
    if not place.key:
        return None
    from agentcli.providers.catalogue.listing import models

    try:
        return await models(name, place, patience=patience)
    except ProviderError as error:
        return error


def _of_key(error: ProviderError, place: Endpoint) -> str:
    hint = error.hint
    if error.status == 401 and place.key_name:
        hint = f"The key in {place.key_name} is not one that it knows: mistyped, expired, or of another provider?"
    from agentcli.providers.http.proxy import proxy_for

    url = urlsplit(place.base_url)
    if url.scheme == "http" and proxy_for("http", url.hostname or "", url.port):
        hint += " Or is it the proxy that says so?"
    return hint


async def _untrusted(place: Endpoint, outcome: Outcome, patience: float) -> tuple[str, str]:
    """Whose certificate it is that cannot be trusted, and what can be done."""
    from agentcli.providers.http.certificate import signer

    if "certificate" not in outcome.text or not (name := await signer(place.base_url, patience=min(patience, _SOON))):
        return outcome.text, outcome.hint
    hint = "If that is your company's proxy, which opens TLS, or an authority of your own: name its certificate in SSL_CERT_FILE."
    if (bundle := _of_the_system()) and not os.environ.get("SSL_CERT_FILE"):
        hint += f"\nIf the system knows it: export SSL_CERT_FILE={bundle}"
    return f"{outcome.text}; it is signed by {name}", hint


def _of_the_system() -> str:
    """The file of all the authorities that the system trusts."""
    import ssl

    return ssl.get_default_verify_paths().cafile or ""


async def near(names: Iterable[str], ports: Mapping[str, int] | None = None) -> list[Check]:
    """Servers on this machine that are not among these."""
    from agentcli.providers.catalogue.nearby import nearby

    ports = {name: entry.port for name, entry in PROVIDERS.items() if entry.port} if ports is None else ports
    found = await nearby(ports={name: port for name, port in ports.items() if name not in names})
    return [
        Check("ok", "server", f"{name}, found at port {ports[name]} of this machine: it has {len(listed)}") for name, listed in found
    ]


def network() -> Iterator[Check]:
    """Variables and settings that change how servers are reached."""
    found = False
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        for variable in (name.lower(), name):
            if value := os.environ.get(variable):
                found = True
                yield Check("ok", "network", f"{variable} is {shown(value)}")
                break
    if not found:
        yield Check("ok", "network", _system_proxies() or "no proxy is set")
    for variable, is_there in (("SSL_CERT_FILE", os.path.isfile), ("SSL_CERT_DIR", os.path.isdir)):
        if value := os.environ.get(variable):
            if is_there(value):
                yield Check("ok", "network", f"{variable} is {value}")
            else:
                yield Check("fault", "network", f"{variable} is {value}, which is not there", f"Correct it, or: unset {variable}")
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(variable) and not os.environ.get("SSL_CERT_FILE"):
            hint = f'If servers are to be checked by it: export SSL_CERT_FILE="${variable}"'
            yield Check("note", "network", f"{variable} is set, and means nothing to agentcli", hint)


def _system_proxies() -> str:
    """Proxies that no variable names: macOS and Windows have settings for them."""
    from urllib.request import getproxies

    return ", ".join(f"the system's proxy for {scheme} is {shown(url)}" for scheme, url in getproxies().items())


def shown(url: str) -> str:
    """A URL without what may be secret in it: the user and the query."""
    return re.sub(r"[?#].*", "", re.sub(r"\A([A-Za-z]+://)?.*@", r"\1…@", url, flags=re.DOTALL), flags=re.DOTALL)
