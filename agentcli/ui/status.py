"""What is being done now, in one line: the status line of a turn.

`Status` takes the events of turns and says what is waited for, for how long, how fast the answer comes, and how much time is left;
behind that, what lasts (`facts`). The line is plain text: whoever draws it may colour it, and `segments()` gives it in parts.

    sent, waiting for openai/gpt-5.4 3 s · 4:12 left · openai/gpt-5.4 · 12k tokens · 34% full

- For the first 0.3 s of a wait nothing is said, so that a quick answer does not flicker.
- Tokens a second are estimated from the bytes that came in the last few seconds: servers count them only at the end.
- In a narrow window what is least important goes: from the right, and before that long words for short ones.
- It is cheap. An event costs less than a microsecond, a line some ten, and nothing happens between them.

A person who is asked takes their time: while `asking(True)` stands nothing else is said, and tools count from the answer on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from unicodedata import east_asian_width

from msgspec.structs import replace

from agentcli.core.event import (
    Compacted,
    Event,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Retrying,
    Switched,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.core.weight import BYTES_A_TOKEN
from agentcli.ui.aside import retry_line, waiting_words
from agentcli.ui.sanitise import one_line

__all__ = ["Status"]

PATIENCE = 0.3  # seconds before it is said that something is being waited for
SILENCE = 3.0  # seconds without content before that is said
HURRY = 30.0  # seconds: with less than this it is said how to get more
SEPARATOR = " · "

_WINDOW = 4.0  # seconds over which the speed is measured
_SAMPLE = 0.25  # seconds between two samples of it
_SOONEST = 1.0  # seconds of an answer before it has a speed
_CALM = 0.5  # seconds for which a speed is shown


class Status:
    """See the top of the file. `model` is who is asked; it may be set anew between turns.

    `left` gives the seconds that a turn has left, None if that is not limited; `key` is the one that adds a minute, if there is one.
    """

    def __init__(
        self,
        model: str = "",
        *,
        facts: Callable[[], str] | None = None,
        left: Callable[[], float | None] | None = None,
        key: str = "Ctrl-T",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.model = model
        self._facts = facts
        self._left = left
        self._key = key
        self._clock = clock
        self._began: float | None = None  # when the turn did; None between turns
        self._doing = ""  # a key of _SAYING, or nothing
        self._since = 0.0  # when there began to be something to say
        self._at = 0.0  # when what is being done began
        self._event: Waiting | Retrying = Waiting()
        self._running: dict[str, tuple[str, float]] = {}  # tools: their names, and since when
        self._asking = False
        self._bytes = 0
        self._heard = 0.0  # when the last piece came
        self._next = 0.0  # when the next sample is due
        self._samples: deque[tuple[float, int]] = deque()
        self._rate: tuple[float, str] = (0.0, "")  # as it is shown, and since when
        self._said: tuple[str, list[str]] = ("", [])  # the facts, and their parts

    @property
    def running(self) -> bool:
        """Is there a turn?"""
        return self._began is not None

    def show(self, event: Event) -> None:
        """Take note of an event."""
        if type(event) is TextDelta:
            self._hear("speaking", event.text)
            return
        if type(event) is ReasoningDelta:
            self._hear("thinking", event.text)
            return
        now = self._clock()
        match event:
            case TurnEnded(source=source) if "/" not in source:
                self._began, self._doing, self._asking = None, "", False
                self._running.clear()
                return
            case Waiting() | Retrying():
                self._event = event
                self._do("waiting" if isinstance(event, Waiting) else "retrying", now)
            case ToolStarted(call_id=call_id, name=name):
                self._running[call_id] = one_line(name, 40), now
                self._do("using", now)
            case ToolFinished(call_id=call_id):
                self._running.pop(call_id, None)
                self._go_back(now)
            case Switched(model=model, source=source):
                self._go_back(now)
                if "/" not in source:
                    self.model = model
            case MessageAdded() | Compacted() | NotCompacted() | TurnEnded():
                self._go_back(now)
        if self._began is None:
            self._began = now

    def asking(self, whether: bool) -> None:
        """A person is being asked, or has answered."""
        if self._asking and not whether:
            now = self._clock()
            self._running = {call_id: (name, now) for call_id, (name, _) in self._running.items()}
            self._go_back(now)
        self._asking = whether

    def line(self, width: int) -> str:
        """The line, in at most `width` columns."""
        return SEPARATOR.join(self.segments(width))

    def segments(self, width: int) -> list[str]:
        """The parts of the line, the most important first, as many as there is room for."""
        segments: list[str] = []
        room = width
        for segment in (*self._moving(width), *self._lasting()):
            need = _columns(segment) + (len(SEPARATOR) if segments else 0)
            if need > room:
                return segments or [one_line(segment, max(width, 1))]
            room -= need
            segments.append(segment)
        return segments

    def _moving(self, width: int) -> list[str]:
        """What changes by itself."""
        now = self._clock()
        if self._began is None or (now - self._began < PATIENCE and not self._asking):
            return []
        time: list[str] = []
        room = width
        if self._left and (left := self._left()) is not None:
            time = [f"{_clock(ceil(max(left, 0.0)))} left"]
            if left < HURRY and not self._asking:
                room -= len(time[0]) + len(SEPARATOR)
                time += [f"{self._key} adds a minute"] if self._key else []
        forms = self._forms(now)
        doing = next((form for form in forms if _columns(form) <= room), forms[-1])
        return [doing, *time] if doing else time

    def _lasting(self) -> list[str]:
        said = self._facts() if self._facts else ""
        if said != self._said[0]:
            self._said = said, one_line(said, 1000).split(SEPARATOR)
        return self._said[1]

    def _forms(self, now: float) -> tuple[str, ...]:
        """What is being done, the longest form first."""
        if self._asking:
            return ("asking you",)
        if not self._doing or now - self._since < PATIENCE:
            return ("",)
        return _SAYING[self._doing](self, now)

    def _waiting(self, now: float) -> tuple[str, ...]:
        assert isinstance(self._event, Waiting)
        agent = self._event.source.rpartition("/")[2] if "/" in self._event.source else ""
        forms = waiting_words(self._event.what, "" if agent else one_line(self.model, 60) or "the model")
        taken = _taken(now - self._at)
        return tuple(f"{one_line(agent, 20)}: {form}{taken}" if agent else form + taken for form in forms)

    def _retrying(self, now: float) -> tuple[str, ...]:
        assert isinstance(self._event, Retrying)
        left = float(ceil(self._at + self._event.delay - now))
        wait, _, reason = retry_line(replace(self._event, delay=left)).partition(": ")
        wait, _, time = wait.partition(" in ")
        again = f" in {time}" if left > 0 else ""
        return (*(f"{wait}{again}: {one_line(reason, width)}" for width in (80, 50, 35, 20, 12)), wait + again, f"retry{again}")

    def _using(self, now: float) -> tuple[str, ...]:
        names = {name for name, _ in self._running.values()}
        taken = _taken(now - min(since for _, since in self._running.values()))
        if len(self._running) > 1:
            return (f"running {len(self._running)} tools{taken}",)
        return (f"running {names.pop()}{taken}",)

    def _thinking(self, now: float) -> tuple[str, ...]:
        thinking = f"thinking {_span(now - self._at)}"
        silent = now - self._heard
        return (f"{thinking}, silent for {_span(silent)}", thinking) if silent > SILENCE else (thinking,)

    def _speaking(self, now: float) -> tuple[str, ...]:
        silent = now - self._heard
        return (f"silent for {_span(silent)}" if silent > SILENCE else self._speed(now) or "answering",)

    # How it is known

    def _hear(self, doing: str, text: str) -> None:
        """A piece of content came."""
        now = self._clock()
        self._bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        self._heard = now
        if self._doing != doing:
            if self._began is None:
                self._began = now
            if self._doing not in ("thinking", "speaking"):
                self._samples.clear()
                self._next = now
                self._rate = now, ""
            self._do(doing, now)
        if now >= self._next:
            self._samples.append((now, self._bytes))
            self._next = now + _SAMPLE

    def _do(self, doing: str, now: float) -> None:
        if not self._doing:
            self._since = now
        self._doing, self._at = doing, now

    def _go_back(self, now: float) -> None:
        """To the tools that run, if any do; otherwise nothing is known to be done."""
        if self._running:
            self._do("using", now)
        else:
            self._doing = ""

    def _speed(self, now: float) -> str:
        """`34 tokens/s`; nothing as long as that is not known."""
        since, shown = self._rate
        if now - since < (_CALM if shown else _SOONEST):
            return shown
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - _WINDOW:
            samples.popleft()
        begun, before = samples[0]
        rate = round((self._bytes - before) / BYTES_A_TOKEN / max(now - begun, _SOONEST))
        shown = f"{rate} token{'' if rate == 1 else 's'}/s"
        self._rate = now, shown
        return shown


_SAYING: dict[str, Callable[[Status, float], tuple[str, ...]]] = {
    "waiting": Status._waiting,
    "retrying": Status._retrying,
    "using": Status._using,
    "thinking": Status._thinking,
    "speaking": Status._speaking,
}


def _taken(seconds: float) -> str:
    return f" {_span(seconds)}" if seconds >= 1 else ""


def _span(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 60 else _clock(int(seconds))


def _clock(seconds: int) -> str:
    """`0:07`, `4:12`, `1:04:12`"""
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"


def _columns(text: str) -> int:
    """As `one_line` counts them."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
