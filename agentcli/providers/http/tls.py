"""How servers are checked: by SSL_CERT_FILE or SSL_CERT_DIR if set, or by a file or folder of authorities, or by certifi.

A context takes 15 ms to make, so there is one for each way, for the life of the process.
"""

from __future__ import annotations

import os
import ssl

from agentcli.providers.fault import FinalError
from agentcli.providers.http.httpx import httpx

__all__ = ["tls_context"]

_contexts: dict[tuple[str, str, str], ssl.SSLContext] = {}


def tls_context(certificates: str = "") -> ssl.SSLContext:
    """The context for servers. `certificates` is the file or folder of authorities if no variable names one."""
    variables = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    said = *variables, "" if any(variables) else certificates
    if said not in _contexts:
        try:
            context = _context(said[2])
        except OSError as error:
            names = " and ".join(name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
            which = f"that {names} names" if names else f"in {certificates}"
            raise FinalError("tls", f"the certificates {which} cannot be read: {error}") from None
        context.set_alpn_protocols(["http/1.1"])
        _contexts[said] = context
    return _contexts[said]


def _context(certificates: str) -> ssl.SSLContext:
    if not certificates:
        return httpx.create_ssl_context()
    if os.path.isdir(certificates):
        return ssl.create_default_context(capath=certificates)
    return ssl.create_default_context(cafile=certificates)
