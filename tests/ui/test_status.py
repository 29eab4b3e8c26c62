"""The status line: events in, a line out, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from unicodedata import east_asian_width

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.document import Compaction
from agentcli.core.event import Compacted, Event, MessageAdded, ReasoningDelta, Retrying, Switched, ToolProgress, TurnEnded, Waiting
from agentcli.core.message import assistant, user
from agentcli.ui.notices import Notices, Talk
from agentcli.ui.status import Status
from tests.ui.test_render import ATTACKS, THREAD, WHO, Clock, ended, everywhere, finished, said, started


class Told:
    """A status, and the clock that it goes by."""

    def __init__(self, *, facts: str = "", left: Callable[[], float | None] | None = None, key: str = "Ctrl-T") -> None:
        self.clock = Clock()
        self.status = Status("lab/big", facts=lambda: facts, left=left, key=key, clock=self.clock)

    def __call__(self, *events: Event, after: float = 1.0, width: int = 100) -> str:
        """The line so many seconds after these events."""
        for event in events:
            self.status.show(event)
        self.clock.now += after
        return self.status.line(width)


def waits(what: str, source: str = WHO) -> Waiting:
    return Waiting(source, THREAD, what)


def retries(delay: float, reason: str = "too many requests", status: int | None = 429) -> Retrying:
    return Retrying(WHO, THREAD, 2, 4, delay, reason, status)


ASKED = MessageAdded(WHO, THREAD, message=user("Hi"))

WORDS = {
    "queued": ("queued, to spare lab/big 3 s", "queued 3 s"),
    "connecting": ("connecting to lab/big 3 s", "connecting 3 s"),
    "proxy": ("asking the proxy for a way to lab/big 3 s", "asking the proxy 3 s"),
    "tls": ("TLS with lab/big 3 s", "TLS with lab/big 3 s"),
    "sending": ("sending to lab/big 3 s", "sending 3 s"),
    "sent": ("sent, waiting for lab/big 3 s", "sent, waiting 3 s"),
    "answering": ("waiting for the first token 3 s", "no token yet 3 s"),
    "calling": ("writing a tool call 3 s", "writing a tool call…"),
    "compacting": ("lab/big summarises what was said so far 3 s", "summarising 3 s"),
    "loading tiny": ("loading tiny 3 s", "loading tiny 3 s"),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_is_waited_for(what: str) -> None:
    long, short = WORDS[what]
    told = Told()
    assert told(ASKED, waits(what), after=3) == long
    assert told.status.line(20) == short


def test_nothing_is_said_for_a_moment_and_then_the_newest_wait() -> None:
    told = Told()
    assert told(ASKED, waits("connecting"), after=0.1) == ""
    assert told(waits("sent"), after=0.1) == ""
    assert told(waits("answering"), after=0.15) == "waiting for the first token"
    assert told(after=1) == "waiting for the first token 1 s"


def test_a_quick_answer_is_not_talked_about() -> None:
    told = Told()
    lines = {told(ASKED, waits("connecting"), after=0.1), told(waits("answering"), after=0.1), told(said("Hi"), after=0.05)}
    assert lines | {told(ended(), after=5)} == {""}


def test_between_turns_there_is_only_what_lasts() -> None:
    told = Told(facts="lab/big · 12k tokens", left=lambda: 99.0)
    assert told() == "lab/big · 12k tokens"
    assert told.status.running is False
    assert told(ASKED, waits("sent"), after=0.1) == "lab/big · 12k tokens"
    assert bool(told.status.running)
    assert told() == "sent, waiting for lab/big 1 s · 1:39 left · lab/big · 12k tokens"
    assert told(ended()) == "lab/big · 12k tokens"
    assert told(ended()) == "lab/big · 12k tokens"
    assert not told.status.running


def test_how_fast_an_answer_comes() -> None:
    told = Told()
    told(ASKED, waits("sent"), after=1)
    assert told(said("x" * 7), after=0.1) == "answering"
    for _ in range(50):
        line = told(said("x" * 7), after=0.1)  # two tokens, ten times a second
    assert line in ("19 tokens/s", "20 tokens/s", "21 tokens/s")
    for _ in range(100):
        line = told(said("é" * 7), after=0.05)  # four tokens, twenty times a second
    assert line in ("78 tokens/s", "79 tokens/s", "80 tokens/s", "81 tokens/s")


def test_an_estimate_stays_for_a_while() -> None:
    told = Told()
    lines = [told(said("x" * (number % 40)), after=0.05) for number in range(200)]
    changes = sum(one != other for one, other in pairwise(lines))
    assert changes <= 200 * 0.05 / 0.5 + 2


def test_silence_in_mid_answer_is_said() -> None:
    told = Told()
    for _ in range(30):
        told(said("x" * 7), after=0.1)
    assert told(after=2.5).endswith(" tokens/s")
    assert told(after=5.5) == "silent for 8 s"
    assert told(said("more " * 9), after=0).endswith(" tokens/s")


def test_thinking() -> None:
    told = Told()
    told(ASKED, waits("answering"), after=2)
    for _ in range(12):
        line = told(ReasoningDelta(WHO, THREAD, "hm"), after=1)
    assert line == "thinking 12 s"
    assert told(after=8) == "thinking 20 s, silent for 9 s"
    assert told.status.line(20) == "thinking 20 s"
    assert told(said("So."), after=0.1).endswith(" tokens/s")


def test_a_retry_counts_down() -> None:
    told = Told()
    assert told(ASKED, waits("sent"), retries(7.0), after=0.5) == "retry 2 of 4 in 7 s: 429 too many requests"
    assert told() == "retry 2 of 4 in 6 s: 429 too many requests"
    assert told.status.line(42) == "retry 2 of 4 in 6 s: 429 too many requests"
    assert told.status.line(41) == "retry 2 of 4 in 6 s: 429 too many reques…"
    assert told.status.line(40) == "retry 2 of 4 in 6 s: 429 too man…"
    assert told.status.line(20) == "retry 2 of 4 in 6 s"
    assert told.status.line(15) == "retry in 6 s"
    assert told(after=6) == "retry 2 of 4: 429 too many requests"
    assert told(waits("connecting"), after=0) == "connecting to lab/big"


def test_tools() -> None:
    told = Told()
    told(ASKED, waits("sent"), after=1)
    told(said("Let me see."), MessageAdded(WHO, THREAD, message=assistant("Let me see.")))
    assert told(started("1", "read_file"), after=0.25) == ""
    assert told(after=3) == "running read_file 3 s"
    assert told(started("2", "read_file"), started("3", "shell"), after=2) == "running 3 tools 5 s"
    assert told(ToolProgress(WHO, THREAD, "1", "half"), finished("1"), finished("3")) == "running read_file 3 s"
    assert told(after=60) == "running read_file 1:03"
    assert told(finished("2")) == ""


def test_while_a_person_is_asked_nothing_else_counts() -> None:
    told = Told(left=lambda: 20.0)
    told(ASKED, started("1", "shell"), after=5)
    told.status.asking(True)
    assert told(after=60) == "asking you · 0:20 left"
    told.status.asking(False)
    assert told(after=2) == "running shell 2 s · 0:20 left · Ctrl-T adds a minute"
    told.status.asking(True)
    assert told(ended()) == ""


def test_the_time_that_is_left() -> None:
    for left, text in [
        (None, ""),
        (3852.0, " · 1:04:12 left"),
        (251.5, " · 4:12 left"),
        (30.0, " · 0:30 left"),
        (29.4, " · 0:30 left · F2 adds a minute"),
        (-1.0, " · 0:00 left · F2 adds a minute"),
    ]:
        told = Told(left=lambda left=left: left, key="F2")  # type: ignore[misc]
        assert told(ASKED, waits("sent"), after=0.5) == f"sent, waiting for lab/big{text}"


def test_without_a_key_none_is_named() -> None:
    assert Told(left=lambda: 9.0, key="")(ASKED, waits("sent"), after=0.5) == "sent, waiting for lab/big · 0:09 left"


def test_what_is_least_important_goes_first() -> None:
    told = Told(facts="lab/big · 12k tokens · $0.02", left=lambda: 12.0)
    told(ASKED, waits("sent"), after=3)
    lines = [told.status.line(width) for width in range(100)]
    assert lines[99] == "sent, waiting for lab/big 3 s · 0:12 left · Ctrl-T adds a minute · lab/big · 12k tokens · $0.02"
    assert lines[80] == "sent, waiting for lab/big 3 s · 0:12 left · Ctrl-T adds a minute · lab/big"
    assert lines[41] == "sent, waiting for lab/big 3 s · 0:12 left"
    assert lines[40] == "sent, waiting 3 s · 0:12 left"  # the time runs out: that is more than a name
    assert lines[20] == "sent, waiting 3 s"
    assert lines[10] == "sent, wai…"


def test_who_is_asked() -> None:
    told = Told()
    assert told(waits("connecting"), after=0.5) == "connecting to lab/big"
    told(Switched(f"{WHO}/inner", THREAD, "c/x", "d/y", "busy"), Switched(WHO, THREAD, "b/{n}", "lab/big", "busy"))
    assert told(waits("connecting"), after=0.5) == "connecting to b/{n}"
    assert told(waits("connecting", f"{WHO}/critic"), after=0) == "critic: connecting"
    assert told(waits("answering", f"{WHO}/critic"), after=0) == "critic: waiting for the first token"
    told(ended())
    told.status.model = ""
    assert told(waits("connecting"), after=0.5) == "connecting to the model"


def test_an_agent_under_the_first_may_end_and_the_turn_goes_on() -> None:
    told = Told()
    told(ASKED, started("1", "critic"), said("Hm.", f"{WHO}/critic"))
    told(ended(source=f"{WHO}/critic"), after=0)
    assert told.status.running
    assert told() == "running critic 2 s"


def test_a_summary_ends_its_waiting() -> None:
    told = Told()
    assert told(waits("compacting"), after=2) == "lab/big summarises what was said so far 2 s"
    assert told(Compacted(WHO, THREAD, compaction=Compaction(through="a", count=1)), after=0) == ""


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_in_it_acts_on_a_terminal(name: str) -> None:
    attack = ATTACKS[name]
    told = Told(facts=attack)
    told.status.model = attack
    for event in [*everywhere(attack), waits("connecting"), waits(attack, f"{WHO}/{attack}"), retries(3, attack)]:
        for width in (1, 20, 80):
            line = told(event, width=width)
            assert not [character for character in line if not character.isprintable() and character not in "\u200c\u200d"]


EVENTS: list[Event] = [
    *(waits(what) for what in WORDS),
    waits("日本語 " * 9, f"{WHO}/日本"),
    retries(3.0, "日本語 " * 30),
    said("x"),
    ReasoningDelta(WHO, THREAD, "é"),
    started("1", "日本語"),
    started("2"),
    finished("1"),
    finished("2"),
    ASKED,
    ended(),
]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from([0.0, 0.2, 1.0, 10.0])), max_size=20),
    st.integers(1, 120),
    st.booleans(),
)
def test_it_is_never_wider_than_it_may_be(events: list[tuple[Event, float]], width: int, asking: bool) -> None:
    told = Told(facts="日本語 · lab/big", left=lambda: 12.0)
    told.status.asking(asking)
    for event, after in events:
        line = told(event, after=after, width=width)
        assert sum(2 if east_asian_width(character) in "WF" else 1 for character in line) <= width


WHOLE = TurnEnded(WHO, THREAD, text="Hi", usage={"input": 9, "output": 412}, seconds=6.1, first_token_seconds=0.44)


TALKS: tuple[Talk, ...] = ("quiet", "normal")


def told_in_words(talk: Talk, capsys: pytest.CaptureFixture[str], *events: Event) -> list[str]:
    notices = Notices(talk)
    for event in events:
        notices.show(event)
    notices.close()
    return capsys.readouterr().err.splitlines()


def test_who_wants_it_all_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = [ASKED, *(waits(what) for what in WORDS), WHOLE]
    assert told_in_words("verbose", capsys, *events) == [
        "queued …",
        "connecting …",
        "asking the proxy …",
        "TLS …",
        "sending …",
        "sent, waiting …",
        "waiting for the first token …",
        "writing a tool call …",
        "summarising …",
        "loading tiny …",
        "first token after 0.4 s",
        "412 tokens in 6.1 s, 68 tokens/s",
    ]
    for talk in TALKS:
        assert told_in_words(talk, capsys, *events) == []


def test_the_first_token_is_told_of_when_it_comes_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    pieces: list[Event] = [said("H"), ReasoningDelta(WHO, THREAD, "")]
    for first in pieces:
        lines = told_in_words("verbose", capsys, waits("sent"), first, said("i"), said("!"), WHOLE)
        assert lines[:2] == ["sent, waiting …", "first token after 0.0 s"]
        assert lines[-1] == "412 tokens in 6.1 s, 68 tokens/s"
        assert len([line for line in lines if line.strip()]) == 3


def test_no_more_is_told_than_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert told_in_words("verbose", capsys, TurnEnded(WHO, THREAD, stop="failed", seconds=1.0)) == []
    nested = TurnEnded(f"{WHO}/critic", THREAD, usage={"output": 5}, seconds=1.0, first_token_seconds=0.5)
    assert told_in_words("verbose", capsys, nested) == []
    assert told_in_words("verbose", capsys, TurnEnded(WHO, THREAD, usage={"output": 1})) == ["1 token in 0.0 s"]
