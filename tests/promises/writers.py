"""P17 once more, for everything that writes to a terminal and is no picture of a turn.

A process on a real pseudo-terminal puts random attacks through each of them in turn: JSON in its three forms, answers to a schema,
values, lists, notices, errors, the question whether a tool may run. Between two of them it writes a line of its own, by which the
trial cuts apart what came out. The planted bug is a pipe that does not know that it is a terminal.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec.json import encode

from agentcli.core.event import Failure, TurnEnded
from agentcli.core.message import ToolCall
from agentcli.core.provider import ToolSpec
from agentcli.core.tool import Tool
from agentcli.errors import UserError
from agentcli.store.index import Row
from agentcli.ui import approve, stdout
from agentcli.ui.fitting import Fitting
from agentcli.ui.form import FORMS, put_failure
from agentcli.ui.notices import Notices
from agentcli.ui.pick import listed
from agentcli.ui.pipe import Pipe
from agentcli.ui.schema import Schema
from agentcli.ui.talk import say, say_error, through
from tests.promises import Outcome, promise
from tests.promises.screen import ACTS, turn, wrong
from tests.terminal import Terminal

SIZE = (80, 24)
SPEAKABLE = tuple(act for act in ACTS if act != "\ud83d")  # what an event may hold
_ASKED = b"say why not: "
_CUT = re.compile(r"^=== (.+) ===\n", re.MULTILINE)

Writer = Callable[[random.Random, bool], Any]


def evil(dice: random.Random, acts: tuple[str, ...] = SPEAKABLE) -> str:
    return "".join(dice.choice((*acts, "word ", "\n", "日本", '"\\')) for _ in range(dice.randint(1, 6)))


def out_of(bug: bool) -> Pipe:
    pipe = Pipe(1)
    pipe.is_terminal = pipe.is_terminal and not bug
    return pipe


async def form(dice: random.Random, bug: bool) -> None:
    pipe = out_of(bug)
    shown = FORMS[dice.choice(("json", "jsonl"))](pipe, dice.choice(("quiet", "normal", "verbose")), "")
    for event in turn(dice, SPEAKABLE):
        shown.show(event)
    shown.close()
    await pipe.drain()


async def fitting(dice: random.Random, bug: bool) -> None:
    pipe = out_of(bug)
    shown = Fitting(pipe, "normal", dice.choice(("piped", "json", "jsonl")), Schema.of("name, more list"))
    answer = encode({"name": evil(dice), "more": [evil(dice)]}).decode()
    between = "".join(dice.choices(("\r", "\n", "\r\n", "\t", " "), k=dice.randint(0, 3)))
    shown.show(TurnEnded("a", "t", text=dice.choice((answer, evil(dice), f"{{{between}{answer[1:-1]}{between}}}"))))
    shown.close()
    await pipe.drain()


async def notices(dice: random.Random, bug: bool) -> None:
    pipe = Pipe(2)
    with through(pipe):
        said = Notices(dice.choice(("normal", "verbose")))
        for event in turn(dice):
            said.show(event)
        said.close()
        say_error(UserError(evil(dice, ACTS), hint=evil(dice, ACTS)))
    await pipe.drain()


async def errors(dice: random.Random, bug: bool) -> None:
    say(evil(dice, ACTS), dim=dice.random() < 0.5)
    say_error(UserError(evil(dice, ACTS), hint=evil(dice, ACTS)))
    put_failure(UserError(evil(dice), hint=evil(dice)), as_line=dice.random() < 0.5)


async def values(dice: random.Random, bug: bool) -> None:
    stdout.put_text(f"{evil(dice, ACTS)}\n")
    stdout.print_json({evil(dice): [evil(dice), Failure(evil(dice), evil(dice), evil(dice))]})
    now = datetime.now(UTC)
    rows = [Row("abcd1234", evil(dice, ACTS), now, now, 1, evil(dice), None, evil(dice)) for _ in range(3)]
    stdout.put_text(f"{listed(rows)}\n")


async def question(dice: random.Random, bug: bool) -> None:
    async def run(arguments: dict[str, Any]) -> Any:
        yield ""

    call = ToolCall("1", evil(dice, ACTS), evil(dice, ACTS))
    await approve.at_the_terminal()(call, Tool(ToolSpec(call.name, "", {}), run, asks=True))
    say("")


WRITERS: tuple[Writer, ...] = (form, fitting, notices, errors, values, question)


def write_all(count: int, bug: bool) -> None:
    """What the process on the terminal does."""
    for seed in range(count):
        one = WRITERS[seed % len(WRITERS)]
        os.write(1, f"=== {one.__name__}, seed {seed} ===\n".encode())
        asyncio.run(one(random.Random(seed), bug))
        os.write(1, b"\n")


def tried(count: int, *, bug: bool) -> Outcome:
    command = [sys.executable, "-c", f"from tests.promises.writers import write_all; write_all({count}, {bug})"]
    with Terminal(command, size=SIZE, emulate=False, env={**os.environ, "NO_COLOR": ""}) as terminal:
        for asked in range(1, count // len(WRITERS) + 1):
            terminal.until(lambda now, asked=asked: now.raw.count(_ASKED) >= asked, timeout=120)  # type: ignore[misc]
            terminal.send(b"\n")
        code = terminal.wait(120)
        written = terminal.raw.decode(errors="surrogateescape").replace("\r\n", "\n")
    _, *pieces = _CUT.split(written)
    found = list(zip(pieces[::2], pieces[1::2], strict=True))
    failures = [f"{name}: {fault}" for name, text in found if (fault := wrong(text, SIZE))]
    if code or len(found) != count:
        failures.append(f"the process ended with {code} after {len(found)} of {count}: {written[-300:]!r}")
    return Outcome(count, failures)


@promise(
    "P17",
    "No untrusted code point acts on the terminal",
    "attacks in JSON, values, lists, notices, errors and questions, on a real terminal",
    quick=300,
    full=6_000,
    planted=lambda: tried(24, bug=True),
)
def hostile_words(count: int) -> Outcome:
    return tried(count, bug=False)
