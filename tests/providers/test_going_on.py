"""A conversation begun with one vendor's model goes on with any other's, and with the first one's again.

The servers (`vendors`) are as strict as the vendors' own (`strict`), and the conversations are what makes it hard: images and a PDF,
thinking that has to go back to whoever thought it and to nobody else, two tools at once, ids in every vendor's own form, and turns
that were broken off anywhere. The core, the providers and the network are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentcli.core.agent import Agent
from agentcli.core.event import MessageAdded, ToolFinished, ToolStarted
from agentcli.core.message import Blob, Message, Text, user
from agentcli.core.provider import CallChunk, ProviderError, ReasoningChunk, TextChunk
from agentcli.core.thread import Thread
from tests.program import PROGRAM, agentcli, environment
from tests.providers.conversation import Servers, Stopped, agents, turn
from tests.providers.strict import Question
from tests.providers.vendors import FLAVOURS, Flavour
from tests.terminal import Terminal

FILES = (
    Blob("image/png", b"\x89PNG\r\n\x1a\n and so on", name="pixel.png"),
    Blob("image/gif", b"GIF89a and so on", name="moving.gif"),
    Blob("application/pdf", b"%PDF-1.4 and so on", name="paper.pdf"),
)
PAIRS = [pytest.param(one, other, id=f"{one} {other}") for one in FLAVOURS for other in FLAVOURS if one != other]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


@pytest.fixture(autouse=True)
def accepted(servers: Servers) -> Iterator[None]:
    servers.afresh()
    yield
    assert not servers.complaints


def question(flavour: Flavour, words: str) -> Message:
    """These words, and every file that the model can see."""
    return user(words, *(file for file in FILES if flavour.takes(file.media_type)))


def again(thread: Thread) -> Thread:
    """The thread as it comes back from the disk."""
    return Thread.load(thread.dump())


def right(servers: Servers, messages: list[Message]) -> None:
    """The answers of a whole turn are those that were given."""
    answers = [message for message in messages if message.role == "assistant"]
    assert [message.stop for message in answers] == ["tools", "tools", "done"]
    for message, said in zip(answers, list(servers.said.values())[-3:], strict=True):
        assert message.text == said.text
        assert message.reasoning.strip() == said.thought
        assert [(call.name, json.loads(call.arguments)) for call in message.calls] == [call[1:] for call in said.calls]


def nothing_is_lost(asked: Question, thread: Thread) -> None:
    """Everything that was said is in the request, but for words that are blank; of what the model cannot see, the name."""
    sent = " ".join(asked.raw.replace("\\", "").split())
    for message in thread.messages:
        words = [part.text for part in message.parts if isinstance(part, Text)]
        for text in [*words, *(result.content for result in message.results)]:
            assert " ".join(text.split()) in sent, text
        for part in message.parts:
            if isinstance(part, Blob):
                seen = asked.flavour.takes(part.media_type)
                assert (b64encode(part.data or b"").decode() if seen else f"{part.name} ({part.media_type})") in asked.raw


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_turn_on_another_and_back(servers: Servers, one: Flavour, other: Flavour) -> None:
    async def converse() -> None:
        async with agents() as made:
            thread = Thread()
            for flavour, words in ((one, "What do these say?"), (other, "And then?"), (one, "And at last?")):
                right(servers, await turn(made[flavour], thread, user(words) if "last" in words else question(flavour, words)))
                nothing_is_lost(servers.questions[-1], Thread.of(*thread.messages[:-1]))
                thread = again(thread)
            secrets = [secret for said in list(servers.said.values())[:3] for secret in said.secrets]
            assert [secret in servers.questions[-1].raw for secret in secrets] == [one.echoes] * len(secrets)

    asyncio.run(converse())


# Broken off anywhere


def one_of_the_first(kind: type[Any]) -> Callable[[random.Random], Callable[[Any], bool]]:
    """What is true once: for one of the first few of this kind."""

    def begin(dice: random.Random) -> Callable[[Any], bool]:
        left = dice.randint(1, 4)

        def now(one: Any) -> bool:
            nonlocal left
            left -= isinstance(one, kind)
            return not left and isinstance(one, kind)

        return now

    return begin


CHUNKS = {
    "in thinking": one_of_the_first(ReasoningChunk),
    "in words": one_of_the_first(TextChunk),
    "in a call": one_of_the_first(CallChunk),
}
EVENTS = {
    "before a tool": one_of_the_first(ToolStarted),
    "after a tool": one_of_the_first(ToolFinished),
    "after a message": one_of_the_first(MessageAdded),
}
WAYS = [*CHUNKS, *EVENTS, "by the server", "not at all", "not at all"]


def cannot_see(flavour: Flavour, thread: Thread) -> bool:
    """Is it asked about something that this model does not see? Then it refuses, and should."""
    *_, last = (message for message in thread.messages if message.role == "user")
    return any(isinstance(part, Blob) and not flavour.takes(part.media_type) for part in last.parts)


@contextmanager
def breaking() -> Iterator[None]:
    """Where a turn may be cancelled, or cut off by the server."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task
        task.uncancel()
    except ProviderError as error:
        if error.kind != "cut":
            raise


async def broken_off(servers: Servers, agent: Agent, thread: Thread, message: Message | None, way: str, dice: random.Random) -> bool:
    """A turn that is broken off in this way; false if it came to its end."""
    assert isinstance(agent.provider, Stopped)
    agent.provider.when = CHUNKS[way](dice) if way in CHUNKS else None
    now = EVENTS[way](dice) if way in EVENTS else None
    servers.cut = dice.randint(0, 20) if way == "by the server" else None
    whole = False
    try:
        with breaking():
            async with aclosing(agent.stream(message, thread)) as events:
                async for event in events:
                    if now and now(event):
                        return True
            whole = True
    finally:
        servers.cut = agent.provider.when = None
    return not whole


@pytest.mark.parametrize("seed", range(8))
def test_a_long_conversation_with_all_of_them_that_is_broken_off_anywhere(servers: Servers, seed: int) -> None:
    dice = random.Random(seed)

    async def converse() -> None:
        async with agents() as made:
            thread = Thread()
            broken = False
            order = [flavour for _ in range(2) for flavour in dice.sample(FLAVOURS, len(FLAVOURS))]
            for number, flavour in enumerate(order):
                goes_on = broken and dice.random() < 0.5  # without a word, or with another question
                words = f"Question {number}."
                message = None if goes_on else question(flavour, words) if number % 8 == 0 else user(words)
                way = dice.choice(WAYS)
                try:
                    broken = await broken_off(servers, made[flavour], thread, message, way, dice)
                except ProviderError:
                    if not cannot_see(flavour, thread):
                        raise
                    broken = True
                assert not servers.complaints, (number, flavour.full, way, goes_on)
                if not broken:
                    nothing_is_lost(servers.questions[-1], Thread.of(*thread.messages[:-1]))
                    text, said = thread.messages[-1].text, list(servers.said.values())[-1].text
                    assert text.endswith(said) if goes_on else text == said
                thread = again(thread)

    asyncio.run(converse())


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
@pytest.mark.parametrize("how", ["by us", "by the server"])
def test_the_same_model_goes_on_wherever_its_answer_was_broken_off(servers: Servers, flavour: Flavour, how: str) -> None:
    """At each chunk of ours, and after each piece of the server's."""

    async def broken_off_after(place: int, agent: Agent) -> bool:
        assert isinstance(agent.provider, Stopped)
        chunks = iter(range(1, place + 1))
        agent.provider.when = (lambda _: next(chunks) == place) if how == "by us" else None
        servers.afresh()
        servers.cut = place if how == "by the server" else None
        thread, whole = Thread(), False
        with breaking():
            await turn(agent, thread, "What now?")
            whole = True
        servers.cut = agent.provider.when = None
        assert await turn(agent, again(thread), None)
        assert not servers.complaints, place
        return not whole

    async def converse() -> None:
        async with agents() as made:
            place = 1
            while await broken_off_after(place, made[flavour]):
                place += 1
            assert place > 5

    asyncio.run(converse())


# The real program

TOOLS = '''
def weather(place: str) -> str:
    """The weather in a place."""
    return f"25 °C in {place}"

def clock(zone: str) -> str:
    """The time of day."""
    return f"12:00 {zone}"
'''


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_the_program_goes_on_with_all_of_them(servers: Servers, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    names = {flavour.name: flavour for flavour in FLAVOURS}
    providers = [f'[providers.{name}]\nkind = "{one.kind}"\nbase-url = "{one.base_url}"' for name, one in names.items()]
    (home / "config.toml").write_text("\n".join(['tools = ["tools.py:weather", "tools.py:clock"]', "retries = 0", *providers]))
    (home / "tools.py").write_text(TOOLS)
    attached = []
    for file in FILES:
        assert file.name
        (tmp_path / file.name).write_bytes(file.data or b"")
        attached += ["-f", str(tmp_path / file.name)]

    first, *others = [*FLAVOURS, FLAVOURS[0]]
    asked = agentcli("ask", "-m", first.full, *attached, "What do these say?")
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.endswith("That is “all”, #3.\n")
    with Terminal([*PROGRAM, "chat", "-c"], env=environment(TERM="xterm-256color", NO_COLOR=None), size=(100, 40)) as terminal:
        terminal.until(first.full)
        for number, flavour in enumerate(others, 2):
            terminal.send(f"/model {flavour.full}\r")
            terminal.until(f"The model is {flavour.full}.")
            terminal.send("And now?\r")
            terminal.until(f"That is “all”, #{3 * number}.")
        terminal.send("\x04")
        assert terminal.wait() == 0

    (document,) = [json.loads(path.read_bytes()) for path in (home / "threads").glob("*.json")]
    answers = [message for message in document["messages"] if message["role"] == "assistant"]
    assert [message["model"] for message in answers] == [one.full for one in (first, *others) for _ in range(3)]
    assert [message["stop"] for message in answers] == ["tools", "tools", "done"] * len(FLAVOURS) + ["tools", "tools", "done"]
    *earlier, _ = [said for said in servers.said.values() if said.flavour is first]
    assert len(earlier) == 5
    assert all(secret in servers.questions[-1].raw for said in earlier for secret in said.secrets)
