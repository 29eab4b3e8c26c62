"""What goes along with a message: files, pages, pictures, what was piped in, the output of a command.

Bytes are a `Blob`. Text is a marked block, `<file …>` or `<command …>`, in a part of its own, so that a model knows where it begins
and ends, and so that a message that is taken back can be told apart again into what was typed and what was attached.
"""

from __future__ import annotations

import re
from html import escape, unescape

from agentcli.core.message import Blob, Message, Part, Text, speakable
from agentcli.ui.amount import size
from agentcli.ui.sanitise import one_line

__all__ = ["apart", "command_block", "describe"]

_BLOCK = re.compile(r"<(file|command|page|stdin)((?: [a-z]+=\"[^\n]*\")?)>\n.*</\1>\n?", re.DOTALL)
_NAME = re.compile(r' (?:name|line|url)="([^\n]*?)"(?= |>|$)')


def apart(message: Message) -> tuple[str, list[Part]]:
    """What of a message was typed, and what was attached to it."""
    attached: list[Part] = [
        part for part in message.parts if isinstance(part, Blob) or (isinstance(part, Text) and _BLOCK.fullmatch(part.text))
    ]
    typed = [part.text for part in message.parts if isinstance(part, Text) and part not in attached]
    return "\n\n".join(typed), attached


def command_block(command: str, output: str, code: int) -> Text:
    """The output of a command that the person ran."""
    return Text(speakable(f'<command line="{escape(" ".join(command.split()))}" exit="{code}">\n{output.rstrip()}\n</command>'))


def describe(part: Part) -> str:
    """`plot.png, image/png, 12.3 kB`"""
    match part:
        case Blob():
            return f"{one_line(part.name or 'unnamed', 60)}, {one_line(part.media_type, 40)}, {size(len(part.data or b''))}"
        case Text(text=text):
            found = _BLOCK.fullmatch(text)
            named = _NAME.search(found[2]) if found else None
            kind = "output of a command" if found and found[1] == "command" else "text"
            name = one_line(unescape(named[1]), 60) if named else found[1] if found else "text"
            within = text[text.find("\n") + 1 : text.rfind("\n")] if found else text
            return f"{name}, {kind}, {size(len(within.encode(errors='replace')))}"
    return type(part).__name__
