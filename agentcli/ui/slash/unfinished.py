"""A turn that has no whole answer: going on with it, asking again, leaving it, taking it back."""

from __future__ import annotations

from agentcli.errors import UserError
from agentcli.store.wording import cut
from agentcli.ui.chat import Chat
from agentcli.ui.sanitise import one_line
from agentcli.ui.slash.outcome import Again, GoOn, Outcome
from agentcli.ui.talk import say

__all__ = ["continue_", "drop", "offer_unfinished", "retry"]

_QUESTION = "[c]ontinue, [K]eep it as it is, [d]rop it and its question:"


def continue_(chat: Chat, words: str) -> Outcome:
    """/continue: go on from where the last answer was cut off

    The model sees what it had said, and what comes now is put behind it: one answer.
    """
    if not chat.session.unfinished:
        raise UserError("there is no unfinished answer", hint="/retry asks for another one.")
    return GoOn()


async def retry(chat: Chat, words: str) -> Outcome:
    """/retry [-m MODEL]: ask the last question again

    With `-m openai/gpt-5.4` another model is asked, which then stays. The old answer is kept unless there is a new one.
    """
    if not any(message.role == "user" for message in chat.session.thread.messages):
        raise UserError("there is nothing to ask again")
    flag, _, name = words.partition(" ")
    if words and (flag not in ("-m", "--model") or not name.strip()):
        raise UserError(f"/retry takes `-m MODEL` or nothing, not {one_line(words, 40)!r}")
    if words:
        await chat.use(name.strip())
    return Again()


def drop(chat: Chat, words: str) -> None:
    """/drop: take back an unfinished answer and its question

    The question goes back to the input line.
    """
    if not chat.session.unfinished:
        raise UserError("there is no unfinished answer", hint="/undo takes back one that is whole.")
    taken = chat.session.drop()
    say(f"Taken back: {one_line(taken.text, 60)}" if taken else "Taken back.")
    if taken:
        chat.put_back(taken)


async def offer_unfinished(chat: Chat) -> Outcome:
    """Where a thread that is gone on in has no whole answer at its end: ask what to do about it."""
    session = chat.session
    if not session.unfinished:
        return None
    partial = session.partial
    say(cut(partial) if partial and cut(partial) else "The last question has no answer.")
    question = "1 continue, 2 keep it as it is, 3 drop it and its question:" if chat.screen.plain else _QUESTION
    answer = await chat.screen.ask(f"What to do? {question} ")
    match answer.strip().lower():
        case "c" | "continue" | "1":
            return GoOn()
        case "d" | "drop" | "3":
            drop(chat, "")
        case words if words not in ("", "k", "keep", "2"):  # it was meant for the model
            chat.screen.put_back(answer)
    return None
