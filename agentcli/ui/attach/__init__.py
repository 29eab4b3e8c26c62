"""Files and pages that go along with a message.

A message that has any begins with what the person typed, as they typed it; what they attached follows, a part each. What a file is,
its first bytes say (`kind`); only where those say nothing does it count what a server calls it. Images, PDFs, sound, video and office
documents become attachments, text becomes a marked block. A web page (`page`) becomes its text. Anything else is refused by name,
because no model could take it.

There are three ways to attach: `-f` and `/file` name a file or an address, and a text may mention files: `what is in @shot.png?`
(`mention`). A mention that names no file is just text.

What the kind of server cannot take is said before the question is sent (`check`). Whether the model behind it can is up to the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from agentcli.core.apart import in_thread
from agentcli.core.message import Blob, Message, Part, user
from agentcli.core.provider import ProviderError
from agentcli.errors import Exit, UserError
from agentcli.ui.attach.mention import mentioned
from agentcli.ui.sanitise import one_line

__all__ = ["check", "describe", "mentioned", "read", "with_files", "with_mentions"]

PATIENCE = 20.0  # seconds for a file, or an address, to be read whole


async def with_files(text: str, files: Sequence[str], piped: str = "", *, tell: Callable[[str], None] | None = None) -> Message:
    """What a person says, then what was piped in and the files and addresses they named. `tell` is told of each, as it is read."""
    return user(*filter(None, (text, piped)), *[await _told(name, tell, None) for name in dict.fromkeys(files)])


def with_mentions(
    text: str, parts: Iterable[Part] = (), *, typed: str | None = None, tell: Callable[[str], None] | None = None
) -> Message:
    """What a person says, what they attached to it, and the files that they mention in it. What was pasted mentions nothing: `typed`
    is the rest. `tell` is told of each file."""
    from agentcli.ui.attach import file

    found = [file.read(name) for name in mentioned(text if typed is None else typed)]
    if tell:
        for part in found:
            tell(describe(part))
    return user(text, *parts, *found)


async def read(name: str, *, patience: float | None = PATIENCE) -> Part:
    """A file, or what is at an http:// or https:// address, ready to be sent."""
    if name.lower().startswith(("http://", "https://")):
        from agentcli.ui.attach.link import read as at_address

        return await at_address(name, PATIENCE)
    from agentcli.ui.attach import file

    try:
        async with asyncio.timeout(patience):
            return await in_thread(file.read, name)
    except TimeoutError:
        raise UserError(f"cannot attach {name}: nothing came for {patience:g} s", exit_code=Exit.USAGE) from None


def check(parts: Iterable[Part], model: str, takes: Callable[[str], bool]) -> None:
    """Raise an error if something cannot be sent to the model. `takes` says it of a media type."""
    for part in parts:
        if isinstance(part, Blob) and not takes(part.media_type):
            what = f"{part.name} ({part.media_type})" if part.name else f"an attachment of the type {part.media_type}"
            raise ProviderError(
                "bad_request",
                f"{one_line(model)} cannot be sent {one_line(what)}",
                hint="Ask a model that takes it (-m provider/model, in a chat /model), or attach it as text.",
            )


def describe(part: Part) -> str:
    """What it is, in a line: name, type, size."""
    from agentcli.ui.attached import describe

    return describe(part)


async def _told(name: str, tell: Callable[[str], None] | None, patience: float | None) -> Part:
    part = await read(name, patience=patience)
    if tell:
        tell(describe(part))
    return part
