"""Commands about threads: another one, a copy of this one, its title, its file."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from msgspec.structs import replace

from agentcli.core.apart import in_thread
from agentcli.core.message import speakable
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.ui.amount import size
from agentcli.ui.chat import Chat
from agentcli.ui.sanitise import one_line
from agentcli.ui.slash.number import number
from agentcli.ui.slash.outcome import Outcome
from agentcli.ui.slash.unfinished import offer_unfinished
from agentcli.ui.talk import say

__all__ = ["fork", "new", "rename", "resume", "save", "threads"]


async def new(chat: Chat, words: str) -> None:
    """/new: leave this thread and start a new one"""
    await chat.switch(None)


async def threads(chat: Chat, words: str) -> Outcome:
    """/threads [WORDS]: pick a saved thread to go on in

    The newest come first. The words are searched in titles and texts.
    """
    from agentcli.ui.pick import pick_thread

    wanted = await pick_thread(chat.screen, chat.store, words)
    return await _go_on_in(chat, wanted) if wanted else None


async def resume(chat: Chat, words: str) -> Outcome:
    """/resume [ID]: go on in another thread; without an id, pick one

    Any beginning of an id that no other thread has will do.
    """
    return await _go_on_in(chat, chat.store.resolve(words)) if words else await threads(chat, "")


async def _go_on_in(chat: Chat, wanted: str) -> Outcome:
    if wanted == chat.session.thread.id:
        raise UserError(f"this is thread {wanted}")
    await chat.switch(wanted)
    return await offer_unfinished(chat)


async def fork(chat: Chat, words: str) -> None:
    """/fork [N]: go on in a copy of this thread, up to message N

    This thread stays as it is. Without a number, pick the message that is to be the last one of the copy. `/fork all` copies
    everything. `/show all` shows the numbers.
    """
    thread = chat.session.thread
    count = len(thread.messages)
    if not count:
        raise UserError("there is nothing to copy yet")
    at = count if words == "all" else number(words, count) if words else await _picked(chat, thread)
    if at is None:
        return
    copy = thread.fork(at)
    part = "all of it" if at == count else f"its first {at} message{'' if at == 1 else 's'}"
    chat.go_to(copy, f"{copy.id}  a copy of {thread.id}: {part}")
    if chat.session.saved:
        chat.session.save()
    if copy.messages[-1].role == "user":
        say("It ends with a question: /retry asks it, /undo puts it on the input line.", dim=True)


def rename(chat: Chat, words: str) -> None:
    """/rename TITLE: give this thread another title"""
    thread = chat.session.thread
    thread.title = speakable(words)
    if thread.messages:
        chat.session.save()
    say(f"This thread is called: {one_line(thread.title, 200)}")


async def save(chat: Chat, words: str) -> None:
    """/save [PATH]: write this thread to a file (.md .html .json .txt)

    Without a path the file is called after the title and lies in the folder where you are. Nothing is overwritten without asking.
    """
    thread = chat.session.thread
    if not thread.messages:
        raise UserError("there is nothing to save yet")
    path = _path(words, thread)
    snapshot = replace(thread, messages=list(thread.messages))
    snapshot.unknown.update(thread.unknown)
    data = await in_thread(_written, chat, snapshot, path.suffix.lower().removeprefix("."))
    try:
        if not await _put(chat, path, data):
            say("Nothing was written.")
            return
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
    say(f"Written to {path}: {size(len(data))}.")


async def _picked(chat: Chat, thread: Thread) -> int | None:
    from agentcli.ui.pick import pick_message

    return await pick_message(chat.screen, thread)


def _path(words: str, thread: Thread) -> Path:
    """Where to write: a file that was named, or one of the thread's name in a folder."""
    path = Path(os.path.expanduser(_unquoted(words))) if words else Path()
    return path if words and not os.path.isdir(path) else path / f"{_name(thread)}.md"


def _unquoted(words: str) -> str:
    """A path, as it was typed or as a shell would have it."""
    return words[1:-1] if len(words) > 1 and words[0] == words[-1] and words[0] in "'\"" else words


def _name(thread: Thread) -> str:
    """The title as the name of a file that is safe everywhere."""
    words = "-".join(re.findall(r"[^\W_]+", thread.title[:200]))
    return words[:60].rstrip("-") or thread.id


def _written(chat: Chat, thread: Thread, kind: str) -> bytes:
    from agentcli.store.export import FORMATS, with_attachments

    if kind == "txt":
        from agentcli.ui.transcript import as_text

        return as_text(thread).encode(errors="replace")
    whole, missing = with_attachments(thread, chat.store.bytes_of)
    for error in missing:
        say(f"warning: {error.message}")
    return FORMATS[kind if kind in FORMATS else "md"](whole).encode("utf-8", "backslashreplace")


async def _put(chat: Chat, path: Path, data: bytes) -> bool:
    """Write the file; False if there is one that is to stay."""
    if _created(path, data):
        return True
    if chat.screen.meanwhile:
        raise UserError(f"{path} is there already", hint="While an answer comes nothing is replaced. Take another name, or wait.")
    question = f"{one_line(str(path))} is there already. Replace it? [y/N] "
    if (await chat.screen.ask(question)).strip().lower() not in ("y", "yes"):
        return False
    _replace(path, data)
    return True


def _created(path: Path, data: bytes) -> bool:
    """Write a new file; False if there is something already."""
    try:
        with open(path, "xb") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:  # half a file is worse than none
                os.unlink(path)
                raise
    except FileExistsError:
        if not os.path.isfile(path):
            raise UserError(f"cannot write {path}: it is not a file") from None
        return False
    return True


def _replace(path: Path, data: bytes) -> None:
    """The whole old file or the whole new one, with the old one's mode."""
    from agentcli.store import disk

    path = Path(os.path.realpath(path))
    mode = stat.S_IMODE(os.stat(path).st_mode)
    disk.replace(path, data)
    os.chmod(path, mode)
