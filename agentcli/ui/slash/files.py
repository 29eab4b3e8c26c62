"""The command about what goes along with the next message."""

from __future__ import annotations

import os
import shlex

from agentcli.errors import UserError
from agentcli.ui.attached import describe
from agentcli.ui.chat import Chat
from agentcli.ui.talk import say

__all__ = ["file"]


async def file(chat: Chat, words: str) -> None:
    """/file [PATH|URL...|clear]: what goes along with the next message

    Attaches files and pages; alone it says what is attached; `clear` drops that. Text, images, PDFs. A path
    with spaces stands in quotation marks. `@path` within a message does the same.
    """
    from agentcli.ui.attach import read

    if words == "clear":
        count = len(chat.take_attached())
        say(f"Dropped: {count}." if count else "There is nothing to drop.")
        return
    names = _names(words)
    if "-" in names:  # what is typed would be read, and be lost to the prompt
        raise UserError("in a chat nothing is piped in", hint="`!command` sends the output of a command along.")
    parts = [await read(name) for name in names]
    chat.attached += parts
    for part in parts or chat.attached:
        say(f"  {describe(part)}")
    if parts:
        say("This goes with your next message; `/file clear` drops it.", dim=True)
    elif not chat.attached:
        say("Nothing is attached.")


def _names(words: str) -> list[str]:
    """The paths, as a shell would part them; but a path that is there is one, whatever is in it."""
    if words and os.path.lexists(os.path.expanduser(words)):
        return [words]
    try:
        return shlex.split(words, posix=os.name == "posix")
    except ValueError as error:
        raise UserError(f"this is not clear: {error}", hint='A path with spaces: /file "my plan.pdf"') from None
