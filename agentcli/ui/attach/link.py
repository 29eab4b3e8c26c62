"""What is at an address, as a part of a message: a page as its text, anything else as a file would be."""

from __future__ import annotations

import os
import re
from html import escape
from urllib.parse import unquote, urlsplit

from agentcli.core.apart import in_thread
from agentcli.core.message import Blob, Part, Text, speakable
from agentcli.core.provider import ProviderError
from agentcli.errors import Exit, UserError
from agentcli.providers.http.fetch import Fetched, fetch
from agentcli.ui.attach.kind import MOST, decoded, media_type
from agentcli.ui.attach.page import is_page, text_of

__all__ = ["read"]

_SENT_AS_SAID = re.compile(r"(image|audio|video)/[\w.+-]{1,60}|application/(pdf|rtf|msword|vnd\.[\w.+-]{1,80})")


async def read(address: str, patience: float) -> Part:
    """What is at the address."""
    try:
        found = await fetch(address, patience=patience, most=MOST)
    except ProviderError as error:
        raise _refused(address, error.message, error.hint) from None
    where = "" if found.host == urlsplit(address).netloc else f"{found.host} sends "
    try:
        return await in_thread(_part, found)
    except ValueError as error:
        kind = f" ({found.media_type})" if found.media_type else ""
        raise _refused(address, f"{where}{error}{kind}") from None


def _part(found: Fetched) -> Part:
    if not found.body:
        raise ValueError("there is nothing")
    if kind := media_type(found.body) or (found.media_type if _SENT_AS_SAID.fullmatch(found.media_type) else ""):
        path = urlsplit(found.url).path.rstrip("/")
        return Blob(kind, found.body, name=speakable(unquote(os.path.basename(path), errors="replace")) or found.host)
    page = is_page(found.body, found.media_type)
    text = text_of(found.body, found.charset) if page else decoded(found.body, found.charset)
    if page and not text:
        raise ValueError("the page has no text: it is made by a program, in a browser")
    return Text(f'<page url="{escape(found.url)}">\n{text.rstrip()}\n</page>')


def _refused(address: str, why: str, hint: str = "") -> UserError:
    shown = re.sub(r"(?<=://)[^/?#]*@|\?.*", "", address)  # what may be a password, or a key
    return UserError(f"cannot attach {shown}: {why}", hint=hint, exit_code=Exit.USAGE)
