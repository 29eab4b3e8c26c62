"""Commands about what was said: taking it back, changing it, seeing it again, taking it along."""

from __future__ import annotations

import asyncio
from contextlib import closing

from agentcli.core.message import Message, Text, user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.ui import manuscript
from agentcli.ui.amount import size
from agentcli.ui.attached import apart
from agentcli.ui.chat import Chat
from agentcli.ui.edit import Draft, drafted
from agentcli.ui.past import retold
from agentcli.ui.sanitise import one_line
from agentcli.ui.slash.number import number, numbers
from agentcli.ui.slash.outcome import Outcome
from agentcli.ui.talk import say

__all__ = ["copy", "edit", "show", "undo"]

_SHOWN = 10  # messages, without a word of how many


def undo(chat: Chat, words: str) -> None:
    """/undo: take back the last question and its answer

    The question goes back to the input line. It can be said again, for the one before.
    """
    thread = chat.session.thread
    if thread.messages:
        chat.session.open()  # if that cannot be, nothing is taken
    taken = thread.undo()
    if taken is None:
        raise UserError("there is nothing to take back")
    chat.session.save()
    say(f"Taken back: {one_line(taken.text, 60)}")
    chat.put_back(taken)


async def show(chat: Chat, words: str) -> None:
    """/show [N|N-M|all]: show again what was said before

    Message N, the messages from N to M, everything; or else the last ten. The numbers are those that `/fork` and `/copy` take.
    """
    thread = chat.session.thread
    shown = _shown(words, len(thread.messages))
    with closing(retold(thread, shown, chat.form)) as pieces:
        for _ in pieces:
            await asyncio.sleep(0)
    if not words and shown.start > 1:
        say(f"{shown.start - 1} earlier: /show all", dim=True)


async def copy(chat: Chat, words: str) -> None:
    """/copy [N|code]: copy the last answer, message N, or the last code"""
    from agentcli.ui import clipboard

    thread = chat.session.thread
    if words == "code":
        text, what = _last_code(thread), "the last block of code"
    elif words:
        at = number(words, len(thread.messages))
        text, what = _said(thread.messages[at - 1]), f"message {at}"
    else:
        text, what = next((message.text for message in _answers(thread) if message.text.strip()), ""), "the last answer"
    if not text:
        raise UserError("there is no block of code to copy" if words == "code" else "there is no answer to copy")
    how = await clipboard.copy(text)
    say(f"Copied {what}, {size(len(text.encode(errors='replace')))}, {how}.")


async def edit(chat: Chat, words: str) -> Outcome:
    """/edit [thread]: edit the last question, or the whole thread

    A question that was changed is asked again. The editor is `$VISUAL` or `$EDITOR`. An empty or unchanged file changes nothing.
    `/edit thread` opens all messages as one text; the thread as it was is kept as a copy.
    """
    if words not in ("", "thread"):
        raise UserError(f"/edit takes `thread` or nothing, not {one_line(words, 40)!r}")
    if words:
        await _edit_thread(chat)
        return None
    return await _edit_question(chat)


async def _edit_question(chat: Chat) -> Outcome:
    thread = chat.session.thread
    last = next((message for message in reversed(thread.messages) if message.role == "user"), None)
    if last is None:
        raise UserError("there is no question to change")
    typed, attached = apart(last)
    async with drafted(chat.screen, typed.encode(errors="replace"), "question.md") as draft:
        data = await draft.edit()
        text = _plain(data.decode("utf-8-sig", "replace")) if data else ""
    if not text.strip() or text == _plain(typed):
        say("Nothing was changed.")
        return None
    chat.session.open()
    thread.undo()
    return user(text, *attached)


async def _edit_thread(chat: Chat) -> None:
    thread = chat.session.thread
    if not thread.messages:
        raise UserError("there is nothing to change yet")
    async with drafted(chat.screen, manuscript.write(thread).encode(errors="replace"), f"{thread.id}.md") as draft:
        changes = await _changes(chat, thread, draft)
        if changes is None or not (changes.changed or changes.removed):
            say("Nothing was changed.")
            return
        draft.kept = True  # until it is certain that the thread has it
        before = ""
        if chat.session.saved:
            copy = thread.fork()
            chat.store.save(copy)
            before = f" As it was, it is thread {copy.id}."
        manuscript.apply(thread, changes)
        chat.session.save()
        draft.kept = False
    counted = [f"{count} {word}" for count, word in ((changes.changed, "changed"), (changes.removed, "removed")) if count]
    say(f"Messages: {', '.join(counted)}.{before}")


async def _changes(chat: Chat, thread: Thread, draft: Draft) -> manuscript.Changes | None:
    """What the person made of the thread, as often as they want to look at it again; None if that is nothing. A text that cannot be
    read back is kept."""
    while data := await draft.edit():
        try:
            changes = manuscript.read_back(data.decode("utf-8-sig"), thread)
            if not changes.messages:
                raise ValueError("nothing is left of it; /new begins another thread")
        except ValueError as error:  # also bytes that are no UTF-8
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            say(f"This cannot be the thread: {why}")
        else:
            draft.kept = False
            return changes
        draft.kept = True
        if (await chat.screen.ask("[e]dit it again, or Enter to leave everything as it was: ")).strip().lower() not in ("e", "edit"):
            break
    return None


def _plain(text: str) -> str:
    """Without what editors add."""
    return text.replace("\r\n", "\n").removesuffix("\n")


def _shown(words: str, count: int) -> range:
    """The messages to show again, by their numbers."""
    if words not in ("", "all"):
        return numbers(words, count)
    if not count:
        raise UserError("nothing has been said yet")
    return range(1 if words else max(count - _SHOWN, 0) + 1, count + 1)


def _answers(thread: Thread) -> list[Message]:
    """The newest first."""
    return [message for message in reversed(thread.messages) if message.role == "assistant"]


def _said(message: Message) -> str:
    if message.role == "tool":
        return "\n".join(result.content for result in message.results)
    return "\n\n".join(part.text for part in message.parts if isinstance(part, Text))


def _last_code(thread: Thread) -> str:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").disable("inline")
    for message in _answers(thread):
        blocks = [
            token.content for token in parser.parse(message.text) if token.type in ("fence", "code_block") and token.content.strip()
        ]
        if blocks:
            return blocks[-1].removesuffix("\n")
    return ""
