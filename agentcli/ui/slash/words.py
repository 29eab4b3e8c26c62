"""What may stand behind a command, for whoever completes it: by the beginning of the line, what gives the words and a few words about
each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from agentcli.store.wording import numbered, speaker
from agentcli.ui.chat import Chat
from agentcli.ui.sanitise import one_line

if TYPE_CHECKING:
    from agentcli.ui.complete import Offers, Words

__all__ = ["offered"]


def offered(chat: Chat, commands: Callable[[], Offers]) -> Words:
    """The words of this chat. `commands` are the names of all commands."""

    def models(typed: str) -> Offers:
        return [(name, "") for name in chat.models()]

    def agents(typed: str) -> Offers:
        return [*chat.agents.rows(), ("none", "what is configured, without an agent")]

    def threads(typed: str) -> Offers:
        return [(row.id, row.title) for row in chat.store.rows() if row.damaged is None and row.id != chat.session.thread.id]

    def messages(typed: str, *, also: Offers = ()) -> Offers:
        known = [(str(at), f"{speaker(each)}: {one_line(each.text, 60)}") for at, each, _ in numbered(chat.session.thread.messages)]
        return [*also, *reversed(known)]

    def tools(typed: str, *, off: bool) -> Offers:
        return [(tool.name, tool.spec.description) for tool in chat.tools if (tool.name in chat.off) == off]

    return {
        "/help": lambda typed: [*commands(), ("keys", "which key does what")],
        "/model": models,
        "/agent": agents,
        "/retry -m": models,
        "/resume": threads,
        "/fork": partial(messages, also=[("all", "all of it")]),
        "/show": partial(messages, also=[("all", "from the beginning")]),
        "/copy": partial(messages, also=[("code", "the last block of code")]),
        "/edit": lambda typed: [("thread", "all messages as one text")],
        "/system": lambda typed: [("clear", "no instructions")],
        "/tools on": partial(tools, off=True),
        "/tools off": partial(tools, off=False),
        "/file": partial(_files, also=[("clear", "drop what is attached")]),
        "/save": _files,
    }


def _files(typed: str, *, also: Offers = ()) -> Offers:
    from agentcli.ui.complete import files

    return [*also, *files(typed)]
