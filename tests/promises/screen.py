"""P17: nothing that a model, a tool or a server says acts on the terminal.

A random turn is shown, cut into random pieces, in a window of random size, with random attacks in every text of every event; an
emulated terminal is fed with what was written. It must have no title, no hidden cursor, no other mode, the line above the turn must
stand where it stood, and no control character may be in the output but our own few. The planted bug is Rich without `visible`.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable

from agentcli.core.event import (
    Event,
    Failure,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.ui.plain import Plain
from agentcli.ui.render import Renderer
from tests.promises import Outcome, promise
from tests.terminal import replay, text_of

ABOVE = "What stood here before."
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\d+A|\x1b\[J|\x1b\[\?7[lh]|\r(?=\x1b\[)")
HIDDEN = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u3164\uffa0"  # printable, says Unicode; but there is nothing to see
ACTS: tuple[str, ...] = (
    *(
        "\x1b]0;owned\x07",
        "\x1b]2;owned\x1b\\",
        "\x1b]52;c;b3duZWQ=\x07",
        "\x1b]8;;http://evil.example\x07",
        "\x1b[2J",
        "\x1b[3J\x1b[H",
    ),
    *("\x1bc", "\x1b[?1049h", "\x1b[?1000h", "\x1b[?25l", "\x1b[99A\x1b[2Kowned", "\rowned", "\x08" * 30 + "owned", "\x05", "\x1b[6n"),
    *(
        "\x1b(0",
        "\x0e",
        "\x9b2J",
        "\x9d0;owned\x9c",
        "\x90q\x9c",
        "\x1bPq\x1b\\",
        "\x1b_a\x1b\\",
        "\x1bX\x1b\\",
        "\x1b#8",
        "\x1bM" * 20,
        "\x07",
    ),
    *(
        "\u202e",
        "\u2066",
        "\u200f",
        "\u061c",
        "\U000e0041",
        "\u2028",
        "\x85",
        "\x0b\x0c",
        "\x00",
        "\ud83d",
        "\ufeff",
        "\u200b",
        "\x7f",
        *HIDDEN,
    ),
    *("&#27;[2J", "&#x9b;2J", "&#8238;", "&#13;owned", "&#8;&#8;"),
)
FRAMES = (
    "{}",
    "**{}**",
    "`{}`",
    "# {}\n",
    "- {}\n",
    "> {}\n",
    "```{}\nx\n```\n",
    "```py\n{}\n```\n",
    "| {} | b |\n|---|---|\n| {} | c |\n\n",
    "[{}](http://a.b/{})",
    "<b {}>",
    "<!-- {} -->\n",
    "![{}]({})",
    "[x]: {}\n",
    "    {}\n\n",
    "\n\n",
    "words ",
    "<http://a.b/{}>",
    "{}\n===\n",
)


def turn(dice: random.Random, acts: tuple[str, ...] = ACTS) -> list[Event]:
    """A turn with attacks in every text that there is."""

    def evil(longest: int = 6) -> str:
        return "".join(dice.choice((*acts, "word ", "\n", "日本")) for _ in range(dice.randint(1, longest)))

    text = "".join(dice.choice(FRAMES).replace("{}", evil(3)) for _ in range(dice.randint(1, 12)))
    cuts = sorted(dice.randrange(len(text) + 1) for _ in range(dice.choice((0, 3, 30, len(text)))))
    who = dice.choice(("a", f"a/{evil(2)}"))
    said: list[Event] = [TextDelta(who, "t", text[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    events: list[Event] = [
        Waiting("a", "t", evil()),
        Retrying("a", "t", 1, 4, 1.0, evil(), 500),
        ReasoningDelta("a", "t", evil()),
        *said,
        ToolStarted("a", "t", "1", evil(), evil()),
        ToolProgress("a", "t", "1", evil()),
        ToolFinished("a", "t", "1", evil(), evil(), is_error=dice.random() < 0.5),
        ToolFinished("a", "t", "2", evil(), evil(), is_error=True, denied=True),
        TextDelta("a", "t", evil()),
    ]
    return [*events, TurnEnded("a", "t", stop="failed", text=evil(), error=Failure(evil(), evil(), evil()))]


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def ours(events: list[Event], size: tuple[int, int], dice: random.Random) -> str:
    """As this program shows it, redrawn after every event."""
    file, now = Tty(), iter(range(10**9))
    if dice.random() < 0.2:
        plain = Plain(file)
        for event in events:
            plain.show(event)
        plain.close()
        return file.getvalue()
    thinking = "full" if dice.random() < 0.5 else "short"
    renderer = Renderer(file, size=lambda: size, model="m\x1b[2J", thinking=thinking, clock=lambda: float(next(now)))  # type: ignore[arg-type]
    for event in events:
        renderer.show(event)
        renderer.tick()
    renderer.close()
    return file.getvalue()


def through_rich(events: list[Event], size: tuple[int, int], dice: random.Random) -> str:
    """The planted bug: Rich is no guard."""
    from rich.console import Console
    from rich.markdown import Markdown

    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=size[0], color_system="standard")
    console.print(Markdown("".join(event.text for event in events if isinstance(event, TextDelta))))
    return file.getvalue()


def wrong(written: str, size: tuple[int, int]) -> str:
    """What it did to the terminal that it should not have done."""
    rest = OURS.sub("", written)
    for character in rest:
        if character in HIDDEN or (not character.isprintable() and character not in "\n\t\u200c\u200d"):
            return f"U+{ord(character):04X} reached the terminal"
    size = (max(size[0], len(ABOVE)), size[1])
    screen, fresh = replay(f"{ABOVE}\n{written}", size), replay("", size)
    if text_of(screen).split("\n")[0] != ABOVE:
        return "the line above was touched"
    if (screen.title, screen.icon_name) != ("", ""):
        return f"the title was set: {screen.title!r}"
    if screen.cursor.hidden or screen.mode != fresh.mode or screen.margins:
        return "a mode was left changed"
    return ""


def tried(count: int, show: Callable[[list[Event], tuple[int, int], random.Random], str]) -> Outcome:
    failures: list[str] = []
    for seed in range(count):
        dice = random.Random(seed)
        events = turn(dice)
        size = (dice.choice((1, 10, 40, 80, 200)), dice.choice((2, 6, 24)))
        try:
            fault = wrong(show(events, size, dice), size)
        except Exception as error:
            fault = repr(error)
        if fault:
            failures.append(f"seed {seed}, {size[0]}x{size[1]}: {fault}")
    return Outcome(count, failures)


@promise(
    "P17",
    "No untrusted code point acts on the terminal",
    "attacks in every text of a turn, shown in pieces on an emulated terminal",
    quick=150,
    full=20_000,
    planted=lambda: tried(20, through_rich),
)
def hostile_turns(count: int) -> Outcome:
    return tried(count, ours)
