"""The script of a `scripted` provider: its format, how it is read, and which answer is next.

The structs are the format, and msgspec checks a file against them; what a file may say is told in docs/guides/scripted.md. What is
wrong in a file is named in the words of the file, with its place counted from one: "turn 2, answer 1, calls 1: there is no key …".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from agentcli.core.message import Message
from agentcli.errors import Exit, UserError

__all__ = ["Answer", "Call", "Fault", "Script", "Tokens", "Turn", "load", "unusable"]

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=31_536_000)]
Rate: TypeAlias = Annotated[float, Meta(ge=0)]  # characters a second; 0: as fast as it goes
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Kind: TypeAlias = Literal[
    "unreachable", "tls", "auth", "not_found", "bad_request", "context_length", "too_large", "redirect", "server", "protocol",
    "rate_limit", "overloaded", "stalled", "cut",
]  # fmt: skip


class Call(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call. Arguments as text are sent as they are, for a model that writes bad JSON."""

    tool: str
    arguments: dict[str, Any] | str = {}


class Fault(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What goes wrong, after the first `after` characters of the answer."""

    kind: Kind
    message: str = ""
    hint: str = ""
    status: int | None = None
    retry_after: Seconds | None = None
    after: Count = 0


class Tokens(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the answer is said to have cost."""

    input: Count = 0
    output: Count = 0
    cached: Count = 0
    reasoning: Count = 0


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of the model: what it says, how fast, and how it ends."""

    text: str | None = None
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    pause: Seconds = 0
    rate: Rate | None = None
    stop: Literal["done", "tools", "length", "refused"] | None = None
    usage: Tokens | None = None
    fault: Fault | None = None


class Turn(Answer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model does when the user has said something: one answer, or a list of them.

    `when` is a pattern in what the user said. `needs` are tools without which the turn is passed over.
    """

    when: str | None = None
    needs: tuple[str, ...] = ()
    answer: tuple[Answer, ...] = ()

    def __post_init__(self) -> None:
        if self.when is not None:
            try:
                re.compile(self.when)
            except re.error as error:
                raise ValueError(f"`when` is not a regular expression: {error}") from None
        if self.answer and any(getattr(self, name) != default for name, default in _DEFAULTS.items()):
            raise ValueError("it has both `[[turn.answer]]` and an answer of its own: keep one")
        for answer in self.answer or (self,):
            if answer.text is None and not (answer.reasoning or answer.calls or answer.fault):
                raise ValueError('an answer needs `text`, `reasoning`, `calls` or `fault` (`text = ""` says nothing)')

    @property
    def answers(self) -> tuple[Answer, ...]:
        return self.answer or (self,)

    def fits(self, said: str) -> bool:
        return self.when is not None and re.search(self.when, said, re.IGNORECASE) is not None


_DEFAULTS = dict(zip(Answer.__struct_fields__, Answer.__struct_defaults__, strict=True))


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All turns. `loop`: after the last turn the first comes again; without it, the last one does."""

    turn: Annotated[tuple[Turn, ...], Meta(min_length=1)]
    rate: Rate = 0
    loop: bool = False

    def next(self, messages: list[Message], tools: Collection[str] = ()) -> Answer:
        """The answer that a conversation is waiting for, from a model that has these tools."""
        said = [message.text for message in messages if message.role == "user"] or [""]
        turn = self._turn(said, [turn for turn in self.turn if all(tool in tools for tool in turn.needs)])
        given = 0
        for message in reversed(messages):
            if message.role == "user":
                break
            given += message.role == "assistant"
        return turn.answers[min(given, len(turn.answers) - 1)]

    def _turn(self, said: list[str], turns: list[Turn]) -> Turn:
        """The first turn that fits the last thing said; otherwise the turn without a pattern whose place in the order it is."""
        for turn in turns:
            if turn.fits(said[-1]):
                return turn
        plain = [turn for turn in turns if turn.when is None]
        if not plain:
            return Turn(text="The script has no turn for this.")
        place = sum(not any(turn.fits(text) for turn in turns) for text in said[:-1])
        return plain[place % len(plain) if self.loop else min(place, len(plain) - 1)]


def load(path: Path) -> Script:
    """The script in a file, or a UserError that says where it is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from None
    try:
        if path.suffix == ".json":
            document = msgspec.json.decode(data)
        else:
            import tomllib

            document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # both decoders' errors are ValueErrors, and so is UnicodeDecodeError
        raise unusable(path, f"not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    try:
        return msgspec.convert(document, Script)
    except msgspec.ValidationError as error:
        raise unusable(path, *_explained(str(error))) from None


def unusable(path: Path, what: str, hint: str = "docs/guides/scripted.md has all that a script may say.") -> UserError:
    return UserError(f"the script {path} cannot be used: {what}", hint=hint, exit_code=Exit.CONFIG)


_KEYS = sorted({key for kind in (Script, Turn, Call, Fault, Tokens) for key in kind.__struct_encode_fields__})


def _explained(error: str) -> tuple[str, str]:
    """What is wrong and where, in the words of the file and counted from one; and what may have been meant."""
    what, _, path = error.partition(" - at `$")
    places = [
        f"{name} {int(number) + 1}" if number else name for name, number in re.findall(r"\.([\w-]+)(?:\[(\d+)\])?", path.rstrip("`"))
    ]
    where = ", ".join(places)
    if unknown := re.search(r"unknown field `(.*)`", what):
        what = f"there is no key `{unknown[1]}`"
        near = get_close_matches(unknown[1], _KEYS, 1)
        hint = f"Did you mean `{near[0]}`?" if near else f"The keys are: {', '.join(_KEYS)}."
    else:
        hint = "docs/guides/scripted.md has all that a script may say."
    return f"{where}: {what}" if where else what, hint
