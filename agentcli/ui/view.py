"""What a turn looks like, apart from where it is drawn.

A `View` takes the events of a turn and has two things to show: what is finished (`take()`: text to print once, above) and what is
still moving (`tail_lines()`: the unfinished end of the answer, the thinking, the tools that run). It writes nothing and moves no
cursor: `render.Renderer` draws it on a plain terminal, and a live prompt carries the tail as its own. What is being waited for is
`status.Status`'s.

What comes from agents under the first one ("chief/editor") is indented a level for each slash, under their name. All text that is
not ours passes `visible` or `one_line`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Literal

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
    ToolProgress,
    ToolStarted,
    TurnEnded,
)
from agentcli.ui import theme
from agentcli.ui.aside import Aside, arguments_line, aside_line, mark_of, result_line, retry_line
from agentcli.ui.markdown import Stream, wrapped
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.theme import Role

__all__ = ["View"]

THOUGHTS = 4  # lines of thinking that are shown while it goes on
LONG = 2000  # characters of thinking without a line end


class View:
    """The events of one turn, as lines. `thinking="full"` keeps what the model showed of its thinking, `"short"` how long it took."""

    def __init__(
        self,
        width: int,
        *,
        color: bool = True,
        thinking: Literal["short", "full"] = "short",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.width = width
        self._color = color
        self._full = thinking == "full"
        self._clock = clock
        self._done: list[str] = []
        self._last = ("", "")  # the kind and source of what was finished last
        self._streams: dict[str, Stream] = {}
        self._speaker = ""  # whose unfinished words the tail shows
        self._thoughts: dict[str, _Thought] = {}
        self._running: dict[str, _Running] = {}
        self._silent = False  # the last answer had nothing in it
        self._spoke = False

    def show(self, event: Event) -> None:
        """Take note of an event."""
        if type(event) is TextDelta:
            self._text(event.source, event.text)
            return
        if type(event) is ReasoningDelta:
            self._think(event.source, event.text)
            return
        match event:
            case ToolProgress(call_id=call_id, text=text):
                if call_id in self._running:
                    self._running[call_id].progress = text
            case ToolStarted():
                self._finish(event.source)
                self._running[event.call_id] = _Running(event)
            case ToolFinished():
                self._finished_call(event)
            case MessageAdded(message=message):
                self._finish(event.source)
                if "/" not in event.source:
                    self._silent = message.silent
            case Retrying() | Switched() | Compacted() | NotCompacted():
                self._aside(event)
            case TurnEnded():
                self._end(event)

    def close(self) -> None:
        """Nothing more comes: what was unfinished is finished as it is."""
        for source in dict.fromkeys((*self._streams, *self._thoughts)):
            self._finish(source)
        for one in self._running.values():
            self._put("aside", one.source, self._call(one, one.line(self.width - 20), "  " + self._paint("warn", "→ not finished")))
        self._running.clear()

    def take(self) -> str:
        """What has been finished since the last time: whole lines."""
        text = "".join(self._done)
        self._done.clear()
        return text

    def tail_lines(self, width: int, height: int) -> list[str]:
        """What is unfinished, as it looks now: at most `height` lines, to be drawn without wrapping."""
        lines: list[str] = []
        kind = ""
        for source, thought in self._thoughts.items():
            kind = kind or "aside"
            lines += _indented(source, [self._paint("dim", line) for line in thought.lines(width - 2 - _depth(source), self._full)])
        if stream := self._streams.get(self._speaker):
            text = stream.tail_lines(width - _depth(self._speaker), height)
            kind = kind or (text and "text") or ""
            lines += _indented(self._speaker, text)
        for one in self._running.values():
            kind = kind or "aside"
            lines += _indented(one.source, [self._call(one, one.line(width - _depth(one.source) - 2), "")])
            if one.progress:
                lines += _indented(one.source, [self._paint("dim", f"  {one_line(one.progress, width - 4 - _depth(one.source))}")])
        if kind and self._last[0] not in ("", kind) and lines and lines[0]:
            lines.insert(0, "")
        return lines[-height:] if height > 0 else []

    def _text(self, source: str, text: str) -> None:
        stream = self._streams.get(source)
        if stream is None:
            self._finish(source)
            stream = self._streams[source] = Stream(self.width - _depth(source), color=self._color)
        self._spoke = True
        self._speaker = source
        stream.width = self.width - _depth(source)
        if finished := stream.feed(text):
            self._put("text", source, finished)

    def _think(self, source: str, text: str) -> None:
        thought = self._thoughts.get(source)
        if thought is None:
            self._finish(source)
            thought = self._thoughts[source] = _Thought(self._clock())
        thought.text = thought.text + visible(text)
        if not self._full:
            thought.text = thought.text[-1000:]
        elif "\n" in text or len(thought.text) > LONG:
            self._put_thought(source, thought)

    def _finish(self, source: str) -> None:
        """What this agent was saying or thinking is finished."""
        if stream := self._streams.pop(source, None):
            stream.width = self.width - _depth(source)
            self._put("text", source, stream.finish())
        if thought := self._thoughts.pop(source, None):
            if self._full:
                thought.text += "\n"
                self._put_thought(source, thought)
            else:
                seconds = self._clock() - thought.began
                took = f"{seconds:.0f} s" if seconds >= 1 else "a moment"
                self._put("aside", source, self._paint("dim", f"thought for {took}"))

    def _put_thought(self, source: str, thought: _Thought) -> None:
        lines = thought.whole(self.width - 2 - _depth(source))
        self._put("aside", source, "\n".join(self._paint("dim", line) for line in lines))

    def _aside(self, event: Retrying | Aside) -> None:
        room = self.width - 4
        line = retry_line(event, room) if isinstance(event, Retrying) else aside_line(event, room)
        self._put("aside", event.source, self._paint("dim", line))

    def _finished_call(self, event: ToolFinished) -> None:
        self._finish(event.source)
        one = self._running.pop(event.call_id, None) or _Running(ToolStarted(event.source, event.thread, event.call_id, event.name))
        color: Role = "warn" if event.denied else "failed" if event.is_error else "ok"
        took = f" ({event.seconds:.1f} s)" if event.seconds >= 1 else ""
        room = self.width - _depth(one.source) - len(took) - 6
        call = one.line(max(room - len(result_line(event, room)), room * 6 // 10))
        result = result_line(event, max(room - len(call), 8))
        words = self._paint(color, f"→ {result}") if event.is_error else f"→ {result}"
        self._put("aside", one.source, self._call(one, call, f"  {words}{self._paint('dim', took)}", color))

    def _call(self, one: _Running, call: str, result: str, color: Role = "dim") -> str:
        """`● name(arguments)  → result`"""
        return f"{self._paint(color, '●')} {self._paint('bold', one.name)}{self._paint('dim', call.removeprefix(one.name))}{result}"

    def _end(self, event: TurnEnded) -> None:
        if "/" in event.source:
            self._finish(event.source)
        else:
            self.close()
        if mark := mark_of(event, spoke=self._spoke, silent=self._silent):
            self._put("mark", event.source, "\n".join(self._paint("warn", line) for line in wrapped(mark, self.width)))

    def _put(self, kind: str, source: str, text: str) -> None:
        """Lines that are finished. A blank line parts them from what is of another kind; an agent's name stands above its words."""
        if not text:
            return
        if self._last != (kind, source):
            if self._last[0]:
                self._done.append("\n")
            if "/" in source and source != self._last[1]:
                self._done.append(f"{' ' * (_depth(source) - 2)}{self._paint('dim', one_line(source.rpartition('/')[2], 40))}\n")
            self._last = (kind, source)
        text = text.removesuffix("\n")
        self._done.append("\n".join(_indented(source, text.split("\n"))) + "\n" if "/" in source else text + "\n")

    def _paint(self, role: Role, text: str) -> str:
        return (theme.current() if self._color else theme.NONE).paint(role, text)


class _Thought:
    """Thinking that goes on."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.text = ""
        self._head = ["thinking…"]

    def lines(self, width: int, full: bool) -> list[str]:
        """What to show of it while it goes on."""
        lines = [f"  {line}" for line in wrapped(self.text[-1000:].strip("\n"), width)] if self.text.strip() else []
        return (self._head if full else ["thinking…"]) + lines[-THOUGHTS:]

    def whole(self, width: int) -> list[str]:
        """The lines that are whole: they are taken away."""
        end = self.text.rfind("\n" if "\n" in self.text else " ") + 1 or len(self.text)
        whole, self.text = self.text[:end], self.text[end:]
        lines = [*self._head, *(f"  {line}" if line else "" for line in wrapped(whole.strip("\n"), width))] if whole.strip() else []
        self._head = [] if lines else self._head
        return lines


class _Running:
    """A call that has been announced and has no result."""

    def __init__(self, started: ToolStarted) -> None:
        self.source = started.source
        self.name = one_line(started.name, 40)
        self.arguments = started.arguments
        self.progress = ""

    def line(self, width: int) -> str:
        """The call in at most `width` columns."""
        return f"{self.name}({arguments_line(self.arguments, width - len(self.name) - 2)})"


def _depth(source: str) -> int:
    return 2 * source.count("/")


def _indented(source: str, lines: list[str]) -> list[str]:
    pad = " " * _depth(source)
    return [pad + line if line else "" for line in lines] if pad else lines
