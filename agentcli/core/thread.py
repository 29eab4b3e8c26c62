"""A conversation that can always be sent again.

`Thread` is the one mutable thing in the core: a list of messages with a name. Whatever happens to a turn (an error, Ctrl-C, a crash),
`settle()` puts the thread back into a state that every provider accepts: each tool call has exactly one result. `sendable()` is the
view of the messages that goes to a model: no empty parts, no empty messages, the same speaker never twice in a row.

A thread keeps everything that was said. What is too long to be sent is stood for by `compactions` (compact.py); each holds as long as
the messages that it is of are still what the thread begins with, so that taking some of them back brings the earlier state back too.

`dump()` and `load()` are its document (document.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from agentcli.core import document
from agentcli.core.document import FORMAT, Compaction, Origin, Unknown
from agentcli.core.message import Blob, Message, Part, Reasoning, Stop, Text, ToolCall, ToolResult, new_id, now
from agentcli.errors import UserError

__all__ = ["Thread", "alike", "sendable", "title_of"]

TITLE_LENGTH = 60

NOT_RUN = "This call was not run: the turn ended first."
MAY_HAVE_RUN = "This call was cut off by the end of the turn. It may or may not have run."


class Thread(Struct, kw_only=True, eq=False, dict=True):
    """Messages with a name. The order of the fields is the order of the keys in the document."""

    format: int = FORMAT
    id: str = field(default_factory=new_id)
    title: str = ""
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    revision: int = 0
    agent: str | None = None
    model: str | None = None
    parent: Origin | None = None
    compactions: list[Compaction] | UnsetType = UNSET
    messages: list[Message] = []

    @classmethod
    def of(cls, *messages: Message, title: str = "") -> Thread:
        """A thread that starts with a history: `Thread.of(user("My name is Ada."), assistant("Hello, Ada."))`."""
        thread = cls(title=title)
        for message in messages:
            thread.append(message)
        return thread

    def append(self, message: Message) -> None:
        self.messages.append(message)
        self.updated = now()
        if not self.title and message.role == "user":
            self.title = title_of(next((part.text for part in message.parts if isinstance(part, Text)), ""))

    def put(self, message: Message) -> None:
        """Append a message; one that goes on with the answer at the end, and has its id, takes the place of that."""
        if self.messages and self.messages[-1].id == message.id:
            self.messages.pop()
        self.append(message)

    def settle(self, done: Mapping[str, ToolResult] = {}, begun: Collection[str] = ()) -> list[Message]:
        """Give every tool call that has no result one, and say which messages that added.

        `done` are results that are known but not in the thread yet; `begun` are the calls that had started to run. What is missing
        comes right after the results that are there, in the order of the calls.
        """
        added: list[Message] = []
        settled: list[Message] = []
        waiting: dict[str, ToolCall] = {}

        def answer() -> None:
            if waiting:
                results = tuple(done.get(call.id) or _unfinished(call, begun) for call in waiting.values())
                added.append(Message(role="tool", parts=results))
                settled.append(added[-1])
                waiting.clear()

        for message in self.messages:
            if message.role == "tool":
                for result in message.results:
                    waiting.pop(result.call_id, None)
            else:
                answer()
                waiting.update((call.id, call) for call in message.calls)
            settled.append(message)
        answer()
        if added:
            self.messages[:] = settled
            self.updated = now()
        return added

    def mark(self, stop: Stop, since: int = 0) -> None:
        """Say why the answer among the messages from `since` on was cut off: the agent knows that it was stopped, its caller why."""
        for index in range(since, len(self.messages)):
            if self.messages[index].stop == "interrupted":
                self.messages[index] = msgspec.structs.replace(self.messages[index], stop=stop)

    def fork(self, at: int | None = None) -> Thread:
        """A new thread that shares the first `at` messages (all, if None) and goes its own way from there."""
        shared = self.messages[:at]
        branch = Thread(
            title=self.title,
            agent=self.agent,
            model=self.model,
            parent=Origin(self.id, shared[-1].id if shared else None),
            messages=list(shared),
            compactions=self.compactions,
        )
        branch.compactions = branch.standing or UNSET
        branch.unknown.update({place: keys for place, keys in self.unknown.items() if place not in ((), ("parent",))})
        branch.settle()
        return branch

    def undo(self) -> Message | None:
        """Take back the last turn: drop everything from the last thing the user said on, and return that."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].role == "user":
                taken = self.messages[index]
                del self.messages[index:]
                self.compactions = self.standing or UNSET
                self.updated = now()
                return taken
        return None

    @property
    def standing(self) -> list[Compaction]:
        """The compactions that hold for the messages as they are, oldest first."""
        if self.compactions is UNSET:
            return []
        messages = self.messages
        return [one for one in self.compactions if 0 < one.count <= len(messages) and messages[one.count - 1].id == one.through]

    def compact(self, compaction: Compaction) -> None:
        """From now on, send less. The messages stay.

        A shortening takes the place of the earlier ones of its turn: nothing but a fork from between them could bring those back, so
        a turn of a hundred rounds leaves one. Summaries all stay: what they took is counted.
        """
        standing = self.standing
        if not compaction.summary:
            asked = (at for at, message in enumerate(self.messages[: compaction.count], 1) if message.role == "user")
            begin = max(asked, default=0)
            signed = {place[1] for place in self.unknown if place[:1] == ("compactions",)}  # they hold keys of another version
            standing = [one for one in standing if one.summary or not begin <= one.count <= compaction.count or one.through in signed]
        self.compactions = [*standing, compaction]

    @contextmanager
    def held(self) -> Iterator[None]:
        """For the length of a turn: a thread carries one turn at a time."""
        if self.__dict__.get("answering"):
            raise UserError(
                "this thread is already answering",
                hint="Wait for its answer, or fork() it to ask at the same time.",
            )
        self.__dict__["answering"] = True
        try:
            yield
        finally:
            self.__dict__["answering"] = False

    @property
    def partial(self) -> Message | None:
        """The answer that the thread ends with, if it was cut off: a turn without a message goes on with it."""
        last = self.messages[-1] if self.messages else None
        return last if last and last.role == "assistant" and not last.whole and not last.calls else None

    @property
    def unfinished(self) -> bool:
        """Does it end with something that waits for an answer, or with an answer that was cut off?"""
        last = self.messages[-1] if self.messages else None
        return last is not None and not (last.role == "assistant" and last.whole and not last.calls)

    @property
    def last(self) -> Message | None:
        """The last answer."""
        return next((message for message in reversed(self.messages) if message.role == "assistant"), None)

    @property
    def unknown(self) -> Unknown:
        """Keys of the document that this version does not know."""
        kept: Unknown = self.__dict__.setdefault("unknown", {})
        return kept

    def dump(self) -> bytes:
        """The document, as document.py says."""
        thread = self
        if self.compactions is not UNSET and len(standing := self.standing) != len(self.compactions):
            thread = msgspec.structs.replace(self, compactions=standing or UNSET)
        return document.dump(thread, self.unknown)

    @classmethod
    def load(cls, data: bytes) -> Thread:
        """The thread in a document, or a ValueError that says what is wrong with it."""
        thread, unknown = document.load(data, cls)
        thread.unknown.update(unknown)
        return thread


def sendable(messages: Iterable[Message]) -> list[Message]:
    """The messages as a model may get them.

    Nothing empty; no speaker twice in a row; arguments that parse; right after an answer with calls the results, one for each and in
    the order of the calls. Providers can encode what this returns without a second look. The thread itself keeps what was really said.
    """
    kept: list[Message] = []
    heard: list[Message] = []  # what tools said since the last answer
    for message in messages:
        if message.role == "tool":
            heard.append(message)
            continue
        _add_results(kept, heard)
        heard = []
        parts = _sound_parts(message)
        if not parts:
            continue
        if kept and kept[-1].role == message.role:
            parts = alike(kept.pop(), message.model) + parts
        kept.append(message if parts == message.parts else msgspec.structs.replace(message, parts=parts))
    _add_results(kept, heard)
    return kept


def title_of(text: str) -> str:
    """A name for a thread: the beginning of what was asked, cut between words."""
    words = " ".join(text[: 50 * TITLE_LENGTH].split())
    if len(words) <= TITLE_LENGTH:
        return words
    cut = words.rfind(" ", 0, TITLE_LENGTH)
    return (words[:cut] if cut > 0 else words[: TITLE_LENGTH - 1]).rstrip(" ,;:.-") + "…"


def _add_results(kept: list[Message], heard: list[Message]) -> None:
    """Answer the calls of the last message kept: with what was heard, and for what was not with a result that says so."""
    if not kept or not (calls := kept[-1].calls):
        return
    results: dict[str, ToolResult] = {}
    for message in heard:
        for result in message.results:
            results.setdefault(result.call_id, result)
    parts = tuple(results.get(call.id) or _unfinished(call, ()) for call in calls)
    kept.append(msgspec.structs.replace(heard[0], parts=parts) if heard else Message(role="tool", parts=parts))


_SPOKEN = {"user": (Text, Blob), "assistant": (Text, Reasoning, ToolCall, Blob)}


def _sound_parts(message: Message) -> tuple[Part, ...]:
    """The parts that this role may send: none empty, no call twice, and no thinking that led to nothing."""
    parts: list[Part] = []
    calls: set[str] = set()
    for part in message.parts:
        if not isinstance(part, _SPOKEN[message.role]) or _empty(part):
            continue
        if isinstance(part, ToolCall):
            if part.id in calls:
                continue
            calls.add(part.id)
            part = _sound(part)
        parts.append(part)
    if all(isinstance(part, Reasoning) and not part.private for part in parts):
        return ()
    return tuple(parts)


def alike(message: Message, model: str | None) -> tuple[Part, ...]:
    """The parts of a message that becomes a part of one by this model.

    Thinking at its end led to nothing, and what only another model can read again is left out.
    """
    said = max((number for number, part in enumerate(message.parts, 1) if not isinstance(part, Reasoning)), default=0)
    if message.model == model:
        return message.parts[:said]
    parts = (part for part in message.parts if not isinstance(part, Reasoning))
    return tuple(
        msgspec.structs.replace(part, private={}) if isinstance(part, Text | ToolCall) and part.private else part for part in parts
    )


def _empty(part: Part) -> bool:
    if isinstance(part, Blob):
        return part.data is None and part.ref is None
    return isinstance(part, Text | Reasoning) and not part.text and not part.private


def _sound(call: ToolCall) -> ToolCall:
    """A call that a server will take back: some refuse arguments that do not parse, all refuse a call without a name."""
    arguments = call.arguments if _is_object(call.arguments) else "{}"
    if call.name and arguments is call.arguments:
        return call
    return msgspec.structs.replace(call, name=call.name or "unknown", arguments=arguments)


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (ValueError, RecursionError):
        return False


def _unfinished(call: ToolCall, begun: Collection[str]) -> ToolResult:
    return ToolResult(call.id, MAY_HAVE_RUN if call.id in begun else NOT_RUN, is_error=True)
