"""Commands about who answers, and how: the model, the agent, its instructions and tools, time, tokens."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

from agentcli.core.message import speakable
from agentcli.core.tool import Tool
from agentcli.errors import UserError
from agentcli.ui.chat import Chat
from agentcli.ui.sanitise import one_line
from agentcli.ui.slash.outcome import Compact, Outcome
from agentcli.ui.talk import say

__all__ = ["agent", "compact", "model", "system", "timeout", "tools", "usage"]

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


async def model(chat: Chat, words: str) -> None:
    """/model [NAME]: which model answers, or another one from now on"""
    if words:
        await chat.use(words)
    say(f"The model is {one_line(chat.session.agent.full_model)}.")


async def agent(chat: Chat, words: str) -> None:
    """/agent [NAME|none]: which agent answers, or another one from now on

    An agent is a file with instructions, tools, settings and a model of its own: `agentcli agents new NAME` begins one.
    """
    if words:
        await chat.use_agent(None if words == "none" else words)
    who = f"The agent is {chat.agent}" if chat.agent else "No agent is named"
    say(f"{who}; the model is {one_line(chat.session.agent.full_model)}.")
    if not words:
        _list_agents(chat)


def _list_agents(chat: Chat) -> None:
    rows = chat.agents.rows()
    if not rows:
        say("There are none yet: `agentcli agents new NAME` begins one.", dim=True)
        return
    width = max(len(name) for name, _ in rows)
    for name, about in rows:
        say(f"  {name:{width}}  {one_line(about, 60)}".rstrip())


def system(chat: Chat, words: str) -> None:
    """/system [TEXT|clear]: the model's instructions, or other ones

    They hold for this chat, and may have several lines.
    """
    if words == "clear":
        chat.instruct("")
    elif words:
        chat.instruct(speakable(words))
    text = chat.session.agent.instructions
    say(f"The instructions are:\n{text}" if text else "There are no instructions.")


def tools(chat: Chat, words: str) -> None:
    """/tools [on|off NAME...]: what tools there are; switch them on or off

    A tool that asks runs only after a yes. What is switched off is so for this chat. `all` stands for all of them.
    """
    if not words:
        _list_tools(chat)
        return
    verb, *names = words.split()
    if verb not in ("on", "off") or not names:
        raise UserError(f"/tools takes `on NAME`, `off NAME` or nothing, not {one_line(words, 40)!r}")
    known = [tool.name for tool in chat.tools]
    for name in names:
        if name not in known and name != "all":
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"The tools are: {', '.join(known) or 'none'}."
            raise UserError(f"there is no tool {one_line(name, 40)}", hint=hint)
    meant = set(known) if "all" in names else set(names)
    chat.turn_off(chat.off - meant if verb == "on" else chat.off | meant)
    _list_tools(chat)


def _list_tools(chat: Chat) -> None:
    if not chat.tools:
        say("There are no tools.")
        return
    allowed: Collection[str] | None = getattr(chat.approve, "allowed", None)  # None: nobody asks (`--yes`)
    width = max(len(one_line(tool.name, 40)) for tool in chat.tools)
    for tool in chat.tools:
        say(f"  {one_line(tool.name, 40):{width}}  {_state(tool, chat.off, allowed)}{one_line(tool.spec.description, 60)}")


def _state(tool: Tool, off: Collection[str], allowed: Collection[str] | None) -> str:
    if tool.name in off:
        return "(off) "
    if not tool.asks:
        return ""
    if allowed is None:
        return "(does not ask: --yes) "
    return "(allowed in this thread) " if tool.name in allowed else "(asks) "


def compact(chat: Chat, words: str) -> Outcome:
    """/compact [WORDS]: send a summary of what is older from now on

    The words say what it should keep. Nothing is lost from the thread.
    """
    return Compact(words)


def usage(chat: Chat, words: str) -> None:
    """/usage: tokens and money so far, and how full the model is"""
    from agentcli.ui.usage import of_thread

    say(of_thread(chat.session.thread, chat.session.agent.window, chat.pricing()))


def timeout(chat: Chat, words: str) -> None:
    """/timeout [SECONDS]: how long a turn may take (90, 5m); 0: no limit

    It holds for the turns that begin from now on.
    """
    if words:
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)", words.lower(), re.ASCII)
        if not found or found[2] not in _UNITS:
            raise UserError(f"{one_line(words, 40)!r} is not a number of seconds", hint="For example: /timeout 90, or /timeout 5m")
        seconds = float(found[1]) * _UNITS[found[2]]
        if seconds >= 1e9:
            raise UserError("a time limit is 0 (none) or more seconds, and less than a lifetime", hint="For example: /timeout 90")
        chat.session.timeout = seconds
    limit = chat.session.timeout
    say(f"A turn may take {limit:.12g} s." if limit else "A turn may take as long as it likes.")
