"""P2, P6 and P7: what a turn leaves behind, wherever it is cut off."""

from __future__ import annotations

import asyncio
import json
import os
import random
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from msgspec.structs import replace

from agentcli.core.agent import Agent
from agentcli.core.event import Event, MessageAdded, TextDelta, ToolStarted
from agentcli.core.message import Message, Text, user
from agentcli.core.provider import ProviderError, ReasoningChunk, TextChunk
from agentcli.core.thread import MAY_HAVE_RUN, Thread, sendable
from agentcli.core.tool import Tool, tool
from agentcli.store import replay
from agentcli.store.threads import Store
from tests.core.fake import ScriptedProvider, calls, says
from tests.promises import Outcome, apart, promise
from tests.promises.children import Say, run
from tests.promises.subject import AGENT, NAME, base, examined, new_store, open_store, plant, say_and_record, turn_with_tools


@promise(
    "P2",
    "Bounded loss",
    "modelled power cuts: everything told as safe is there",
    quick=1,
    full=3,
    planted=lambda: apart("tests.promises.saving:power_cuts", 1, "no fsync of the journal"),
)
def p2_power_cuts(count: int) -> Outcome:
    return apart("tests.promises.saving:power_cuts", count)


def long_answer(home: str, bug: str, say: Say) -> None:
    """A turn with tools, and another whose answer does not end; how far it is, and when, is told."""
    store = open_store(home)
    with plant(store.take(NAME), store, bug) as writer:
        turn_with_tools(writer, say)
        writer.begin()
        say_and_record(writer, say, user("and now a long answer"))
        for count in range(1, 1_000_000):
            writer.record(TextDelta(AGENT, NAME, "x"))
            if count % 10 == 0:
                say(f"text {count} {monotonic()}")
                sleep(0.001)


def turn_kills(count: int, seed: int, bug: str = "") -> Outcome:
    """A child is killed in a turn; everything it had told comes back, but the last twentieth of a second of a running answer."""
    chance = random.Random(seed)
    failures: list[str] = []
    for _ in range(count):
        with new_store() as (home, store):
            store.save(base(4))
            said = run(partial(long_answer, home, bug), kill_after=chance.choice((chance.uniform(0, 0.02), chance.uniform(0.02, 0.2))))
            if wrong := examined(store, said) or missing_words(store, said):
                failures.append(wrong)
    return Outcome(count, failures)


def missing_words(store: Store, said: list[str]) -> str:
    told = [(int(count), float(time)) for _, count, time in (line.split() for line in said if line.startswith("text "))]
    safe = [count for count, time in told if time < told[-1][1] - 0.06]
    kept = len(store.open(NAME).messages[-1].text)
    return f"of an answer {safe[-1]} pieces should be there, and {kept} are" if safe and safe[-1] > kept else ""


@promise(
    "P2",
    "Bounded loss",
    "kill -9 in a turn: every message, call and result told as safe is there, and the answer but for its last moment",
    quick=20,
    full=2_000,
    planted=lambda: apart("tests.promises.turns:turn_kills", 10, "nothing written before the end"),
)
def p2_turn_kills(count: int) -> Outcome:
    return apart("tests.promises.turns:turn_kills", count)


def script(chance: random.Random) -> list[list[Any]]:
    """Answers of a model that is neither always right nor always well-formed."""
    answers: list[list[Any]] = []
    for _ in range(chance.randrange(4)):
        wanted = [
            (
                chance.choice(("note", "fail", "unknown")),
                chance.choice(('{"words": "x"}', "{}", "", "not JSON", "[1]", '{"words": 3}')),
            )
            for _ in range(chance.randrange(1, 4))
        ]
        lines = [TextChunk(chance.choice(("", "Let me see. "))), *calls(*wanted)]
        if chance.random() < 0.3:
            lines.insert(0, ReasoningChunk("hm", {"fake": {"signature": "s"}}))
        answers.append(lines)
    last: list[Any] = says(*chance.choices(("four", " ", "\n", "2+2", ""), k=chance.randrange(5)))
    if chance.random() < 0.3:
        last[-1] = ProviderError("server", "it broke")
    return [*answers, last]


@tool
def note(words: str) -> str:
    """Note some words."""
    return words


@tool
def fail() -> str:
    """Fail."""
    raise ValueError("as it should")


async def played(answers: list[list[Any]], thread: Thread, upto: int) -> list[Event]:
    """The first events of a turn, which is then left, as by Ctrl-C."""
    events: list[Event] = []
    agent = Agent(ScriptedProvider(*answers), "m", tools=[note, fail])
    with suppress(ProviderError):
        async with aclosing(agent.stream("go", thread)) as stream:
            async for event in stream:
                events.append(event)
                if len(events) >= upto:
                    break
    return events


def broken(messages: list[Message]) -> str:
    """Why some provider would refuse these messages; "" if none would."""
    sent = sendable(messages)
    for at, message in enumerate(sent):
        if not message.parts or any(isinstance(part, Text) and not part.text for part in message.parts):
            return "an empty part"
        if at and sent[at - 1].role == message.role:
            return f"{message.role} twice"
        following = [result.call_id for result in sent[at + 1].results] if at + 1 < len(sent) else []
        if message.calls and following != [call.id for call in message.calls]:
            return f"calls {[call.id for call in message.calls]} have results {following}"
        if message.results and not (at and sent[at - 1].calls):
            return "results without calls"
        for call in message.calls:
            if not isinstance(json.loads(call.arguments), dict):
                return "arguments that are no object"
    return ""


def interruptions(count: int, bug: bool = False) -> Outcome:
    chance = random.Random(6)
    failures: list[str] = []
    tried = 0
    while tried < count:
        answers = script(chance)
        total = len(asyncio.run(played(answers, Thread(), 1_000_000)))
        for upto in range(1, total + 1):
            live = Thread()
            events = asyncio.run(played(answers, live, upto))
            header = replay.Header(id=live.id, revision=0, messages=0, source=AGENT, created=live.created)
            nested = [replace(event, source=f"{AGENT}/other") for event in events[-3:]]
            back = replay.apply(replay.Journal(header, [*events, *nested], whole=True, at=live.created), None)
            if bug:
                back.messages = [event.message for event in events if isinstance(event, MessageAdded)]
            tried += 1
            for name, thread in (("left", live), ("recovered", back)):
                if wrong := broken(thread.messages):
                    failures.append(f"{name}: {wrong}")
            if [message.text for message in live.messages] != [message.text for message in back.messages]:
                failures.append("what was recovered is not what the live turn kept")
    return Outcome(tried, failures)


@promise(
    "P6",
    "Always resumable",
    "random turns, left or killed after every event: each provider would take the thread",
    quick=150,
    full=20_000,
    planted=lambda: interruptions(40, bug=True),
)
def p6_interruptions(count: int) -> Outcome:
    return interruptions(count)


def act_on(trace: Path, pauses: list[float]) -> Tool:
    """A tool that leaves a trace of having run."""

    @tool
    async def act(number: int) -> str:
        """Do something that can be seen."""
        descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, b"%d\n" % number)
        os.close(descriptor)
        await asyncio.sleep(pauses[number])
        return f"did {number}"

    return act


async def recorded_turn(store: Store, act: Tool, bug: str, *answers: Any) -> None:
    with store.take(NAME) as writer:
        writer.begin(AGENT)
        async with aclosing(Agent(ScriptedProvider(*answers), "m", tools=[act]).stream("go", writer.thread)) as events:
            async for event in events:
                if bug != "starts not recorded" or not isinstance(event, ToolStarted):
                    writer.record(event)
        writer.commit()


def tool_turn(home: str, act: Tool, bug: str, say: Say) -> None:
    numbered = [("act", f'{{"number": {number}}}', f"c{number}") for number in range(6)]
    asyncio.run(recorded_turn(open_store(home), act, bug, calls(*numbered[:3]), calls(*numbered[3:]), says("done")))


def tool_kills(count: int, seed: int, bug: str = "") -> Outcome:
    """A child runs tools that leave a trace; it is killed; the thread goes on in another process."""
    chance = random.Random(seed)
    failures: list[str] = []
    for _ in range(count):
        with new_store() as (home, store):
            trace = Path(home) / "trace"
            trace.touch()
            store.save(base(4))
            act = act_on(trace, [chance.uniform(0, 0.003) for _ in range(6)])
            said = run(partial(tool_turn, home, act, bug), kill_after=chance.uniform(0.002, 0.03))
            failures += said  # it says nothing, unless it crashed
            ran = trace.read_text().split()
            thread = store.open(NAME)
            asyncio.run(recorded_turn(store, act, "", says("and on")))
            if trace.read_text().split() != ran or len(set(ran)) != len(ran):
                failures.append(f"a call ran twice: {ran}, then {trace.read_text().split()}")
            results = {result.call_id: result.content for message in thread.messages for result in message.results}
            wrong = [number for number in ran if results.get(f"c{number}") not in (f"did {number}", MAY_HAVE_RUN)]
            failures += [f"call {number} ran, and reads {results.get(f'c{number}')!r}" for number in wrong]
    return Outcome(count, failures)


@promise(
    "P7",
    "At most once",
    "kill -9 while tools run, then another turn: no call runs again, and one that ran says so or “may or may not have run”",
    quick=20,
    full=2_000,
    planted=lambda: apart("tests.promises.turns:tool_kills", 30, "starts not recorded"),
)
def p7_tool_kills(count: int) -> Outcome:
    return apart("tests.promises.turns:tool_kills", count)
