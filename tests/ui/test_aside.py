"""Another model, and less of the conversation: said in one line, in every form."""

from __future__ import annotations

import io

import pytest

from agentcli.core.document import Compaction
from agentcli.core.event import Compacted, Event, NotCompacted, Switched, Waiting
from agentcli.ui.aside import Aside, aside_line
from agentcli.ui.notices import Notices
from agentcli.ui.plain import Plain
from tests.ui.test_render import ATTACKS, THREAD, WHO, Clock, Shown, ended, said


def compacted(summary: str = "s", before: int = 90_400, after: int = 11_800) -> Compacted:
    return Compacted(WHO, THREAD, compaction=Compaction(through="a", count=42, summary=summary, before=before, after=after))


LINES: list[tuple[Aside, str]] = [
    (compacted(), "compacted: 42 messages became a summary, about 90k → 12k tokens"),
    (compacted("", 1_234_567, 999), "compacted: long results and attachments are sent shortened, about 1.23M → 999 tokens"),
    (compacted("", 10_000_000, 1_000), "compacted: long results and attachments are sent shortened, about 10M → 1k tokens"),
    (NotCompacted(WHO, THREAD, "busy"), "not compacted: busy"),
    (Switched(WHO, THREAD, "b/n", "a/m", "busy", 529), "asking b/n instead of a/m: 529 busy"),
    (Switched(WHO, THREAD, "b/n", "a/m", "busy (529)", 529), "asking b/n instead of a/m: busy (529)"),
    (Switched(WHO, THREAD, "b/n", "a/m", "out of reach"), "asking b/n instead of a/m: out of reach"),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_the_words(event: Aside, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert aside_line(event) == line
    file = io.StringIO()
    Plain(file, clock=Clock()).show(event)
    assert file.getvalue() == f"{line}\n"
    Notices("normal").show(event)
    Notices("quiet").show(event)
    assert capsys.readouterr().err == f"{line}\n"
    assert Shown((100, 20))(event, said("Hi"), ended()).lines == [line, "", "Hi"]


def test_a_line_is_no_wider_than_the_window() -> None:
    shown = Shown((50, 20))(compacted(), said("Hi"), ended())
    assert shown.lines == ["compacted: 42 messages became a summary, abou…", "", "Hi"]


def test_what_is_waited_for_names_the_model_that_is_asked_now() -> None:
    shown = Shown((80, 20))

    def tail(*events: Event) -> str:
        shown(*events)
        shown.clock.now += 0.9
        shown.renderer.tick()
        return shown.lines[-1]

    assert tail(Waiting(WHO, THREAD, "compacting")) == "openai/gpt summarises what was said so far"
    assert tail(Waiting(WHO, THREAD, "sent")) == "sent, waiting for openai/gpt"
    assert (
        tail(Switched(f"{WHO}/inner", THREAD, "c/x", "d/y", "busy"), Waiting(WHO, THREAD, "connecting")) == "connecting to openai/gpt"
    )
    assert tail(Switched(WHO, THREAD, "b/{n}", "openai/gpt", "busy"), Waiting(WHO, THREAD, "connecting")) == "connecting to b/{n}"


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_in_it_acts_on_the_terminal(name: str) -> None:
    attack = ATTACKS[name]
    for event in (NotCompacted(WHO, THREAD, attack), Switched(WHO, THREAD, attack, attack, attack, 500)):
        assert aside_line(event).isprintable()
    shown = Shown()(Switched(WHO, THREAD, attack, attack, attack), Waiting(WHO, THREAD, "compacting"))
    shown.clock.now += 1
    shown.renderer.tick()
    assert "owned   " not in shown.raw
    assert "\x1b]" not in shown.raw
    assert "\x9b" not in shown.raw
