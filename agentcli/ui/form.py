"""The forms in which a turn goes out.

Which one depends on where stdout goes and on the flags: rendered on a terminal; the model's exact bytes in a pipe, as they arrive,
with one newline at the end; one JSON document at the end (`--json`); or every event as a line (`--jsonl`). In all but the first, what
is not the answer goes to stderr.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from agentcli.core.agent import Approve
from agentcli.core.event import Event, Failure, MessageAdded, TextDelta, ToolStarted, TurnEnded
from agentcli.core.message import ToolCall
from agentcli.core.tool import Tool
from agentcli.errors import Exit, UserError
from agentcli.ui.ability import only_appends
from agentcli.ui.notices import Notices, Talk
from agentcli.ui.pipe import Pipe
from agentcli.ui.stdout import put_json, stream_json

__all__ = [
    "DOCUMENTS",
    "FORMS",
    "REDRAWN",
    "Form",
    "Still",
    "at_terminal",
    "form_for",
    "pausing",
    "put_failure",
    "tick",
]

DOCUMENTS = ("json", "jsonl")  # forms that a program reads
REDRAWN = ("terminal", "plain")  # forms that also change while nothing happens
_TICK = 0.1


class Form(Protocol):
    """One way an answer goes out."""

    def show(self, event: Event) -> None: ...
    def tick(self) -> None:
        """Draw what became due while nothing happened."""
        ...

    def pause(self) -> None:
        """Leave the terminal to a question."""
        ...

    def go_on(self) -> None:
        """The question is answered."""
        ...

    def close(self) -> None: ...


class Still:
    """A form that draws nothing a second time."""

    def tick(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def go_on(self) -> None:
        pass


async def tick(form: Form) -> None:
    """Let a form redraw itself, for as long as this task lives."""
    while True:
        await asyncio.sleep(_TICK)
        form.tick()


class Piped(Still):
    """The model's text to stdout, byte for byte; everything else to stderr."""

    def __init__(self, out: Pipe, talk: Talk) -> None:
        self._out = out
        self._notices = Notices(talk)
        self._end = ""  # of what was written
        self._paused = False  # by tools: what the model says next is a paragraph of its own

    def show(self, event: Event) -> None:
        if type(event) is TextDelta:
            if self._paused:
                self._write("\n" * (2 - len(self._end) + len(self._end.rstrip("\n"))))
                self._paused = False
            self._write(event.text)
            return
        if isinstance(event, ToolStarted) and self._end:
            self._paused = True
        elif isinstance(event, TurnEnded) and self._end and not self._end.endswith("\n"):
            self._write("\n")
        self._notices.show(event)

    def _write(self, text: str) -> None:
        self._out.write(text.encode(errors="replace"))
        self._end = text[-2:] if len(text) > 1 else (self._end + text)[-2:]

    def close(self) -> None:
        self._notices.close()


class Json(Still):
    """One document, at the end, whatever the end is."""

    def __init__(self, out: Pipe, talk: Talk) -> None:
        self._out = out
        self._notices = Notices(talk)

    def show(self, event: Event) -> None:
        if isinstance(event, TurnEnded):
            stream_json(self._out, document(event))
        else:
            self._notices.show(event)

    def close(self) -> None:
        self._notices.close()


def document(ended: TurnEnded) -> bytes:
    """What `--json` prints."""
    import msgspec

    fields = msgspec.to_builtins(ended)
    del fields["event"], fields["source"]
    return msgspec.json.encode(fields) + b"\n"


def put_failure(error: UserError, *, as_line: bool) -> None:
    """What `--json` and `--jsonl` print for a turn that could not even begin."""
    from msgspec.json import encode

    ended = TurnEnded(stop="failed", error=Failure(Exit(error.exit_code).name.lower(), error.message, error.hint))
    with suppress(BrokenPipeError, UserError):  # the failure itself is what matters
        put_json((encode(ended) + b"\n" if as_line else document(ended)).decode())


def at_terminal(plain: bool, model: str = "", talk: Talk = "normal") -> Form:
    """How a terminal shows a turn: as Markdown, or append-only."""
    if only_appends(plain=plain):
        from agentcli.ui.plain import Plain

        return Plain(sys.stdout)
    from agentcli.ui.render import Renderer

    return Renderer(sys.stdout, model=model, thinking="full" if talk == "verbose" else "short", quiet=talk == "quiet")


class AnswerOnly:
    """A form that gets to see nothing but the answer: `--quiet` on a terminal."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self.tick, self.pause, self.go_on, self.close = form.tick, form.pause, form.go_on, form.close

    def show(self, event: Event) -> None:
        if isinstance(event, TextDelta | MessageAdded | TurnEnded):
            self._form.show(event)


def _answer_only(form: Form, talk: Talk) -> Form:
    return AnswerOnly(form) if talk == "quiet" else form


def pausing(form: Form, approve: Approve | None) -> Approve | None:
    """An approver before whose question the form leaves the terminal."""
    if approve is None:
        return None

    async def asked(call: ToolCall, tool: Tool) -> bool | str:
        form.pause()
        try:
            return await approve(call, tool)
        finally:
            form.go_on()

    return asked


def _lines(out: Pipe) -> Form:
    from agentcli.ui.jsonl import JsonLines

    return JsonLines(out)


# How an answer may go out: a name, and what makes the Form for a model's answer.
FORMS: dict[str, Callable[[Pipe, Talk, str], Form]] = {
    "piped": lambda out, talk, model: Piped(out, talk),
    "json": lambda out, talk, model: Json(out, talk),
    "jsonl": lambda out, talk, model: _lines(out),
    "terminal": lambda out, talk, model: _answer_only(at_terminal(plain=False, model=model, talk=talk), talk),
    "plain": lambda out, talk, model: _answer_only(at_terminal(plain=True, model=model, talk=talk), talk),
}


def form_for(*, json: bool, jsonl: bool, plain: bool) -> str:
    """The form that fits the flags and where stdout goes."""
    if json or jsonl:
        return "json" if json else "jsonl"
    if sys.stdout is None or not sys.stdout.isatty():
        return "piped"
    return "plain" if plain else "terminal"
