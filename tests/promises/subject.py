"""The program under trial, the same with a bug, and what is true of a thread after a death."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentcli.core.event import MessageAdded, TextDelta, ToolFinished, ToolStarted
from agentcli.core.message import Message, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import MAY_HAVE_RUN, Thread
from agentcli.errors import UserError
from agentcli.store import disk
from agentcli.store.journal import Writer
from agentcli.store.threads import Store
from tests.promises.children import Say

__all__ = ["AGENT", "NAME", "base", "examined", "in_place", "new_store", "open_store", "plant", "say_and_record", "turn_with_tools"]

NAME = "k7m29xqd"
AGENT = "agentcli"


def open_store(home: str) -> Store:
    place = Path(home)
    return Store(place / "threads", place / "blobs", place / "cache")


@contextmanager
def new_store() -> Iterator[tuple[str, Store]]:
    home = tempfile.mkdtemp(prefix="promises-")
    try:
        yield home, open_store(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def in_place(path: Path, data: bytes) -> None:
    """How a file should not be saved."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    half = len(data) // 2
    os.write(descriptor, data[:half])
    os.write(descriptor, data[half:])
    os.close(descriptor)


def plant(writer: Writer, store: Store, bug: str) -> Writer:
    """The writer with a bug of that name; "" is none."""
    path = store.path(writer.thread.id)
    write = writer._write
    match bug:
        case "naive save":
            writer._save = lambda thread: in_place(path, thread.dump())
        case "no fsync of the document":
            writer._save = lambda thread: disk.replace(path, thread.dump(), durable=False)
        case "no fsync of the journal":
            setattr(writer, "_write", lambda *, sync: write(sync=False))  # noqa: B010
        case "nothing written before the end":
            setattr(writer, "_write", lambda *, sync: None)  # noqa: B010
        case "errors swallowed":
            save = writer._save

            def quiet(thread: Thread) -> None:
                with suppress(UserError):
                    save(thread)

            writer._save = quiet
    return writer


def base(size: int = 40) -> Thread:
    thread = Thread(id=NAME, title="Base")
    for number in range(size // 2):
        thread.append(user(f"question {number} " * 20))
        thread.append(assistant(f"answer {number} " * 40))
    return thread


def added(message: Message) -> MessageAdded:
    return MessageAdded(source=AGENT, thread=NAME, message=message)


def say_and_record(writer: Writer, say: Say, message: Message) -> None:
    """A message as the agent and the session handle it, and told once it is safe."""
    writer.thread.append(message)
    writer.record(added(message))
    say(f"message {message.id}")


def turn_with_tools(writer: Writer, say: Say) -> None:
    """A turn of every kind of event, each told once `record` has returned."""
    writer.begin()
    say_and_record(writer, say, user("go"))
    call = ToolCall(f"c{len(writer.thread.messages)}", "add", '{"a": 1}')
    say_and_record(writer, say, Message(role="assistant", stop="tools", parts=(call,)))
    writer.record(ToolStarted(AGENT, NAME, call.id, call.name, call.arguments))
    say(f"started {call.id}")
    writer.record(ToolFinished(AGENT, NAME, call.id, call.name, "the result"))
    say(f"finished {call.id}")
    say_and_record(writer, say, Message(role="tool", parts=(ToolResult(call.id, "the result"),)))
    for piece in ("It ", "is ", "so."):
        writer.record(TextDelta(AGENT, NAME, piece))
    say_and_record(writer, say, assistant("It is so."))
    writer.commit()
    say(f"saved {writer.thread.revision}")


def kept(thread: Thread, said: list[str]) -> str:
    """What was told as safe and is not in the thread; "" if all is there."""
    ids = {message.id for message in thread.messages}
    results = {result.call_id: result.content for message in thread.messages for result in message.results}
    for line in said:
        kind, _, what = line.partition(" ")
        match kind:
            case "message" if what not in ids:
                return f"a message was lost: {line}"
            case "started" if results.get(what) not in (MAY_HAVE_RUN, "the result"):
                return f"a call that was announced reads {results.get(what)!r}"
            case "finished" if results.get(what) != "the result":
                return f"a result was lost: {results.get(what)!r}"
            case "saved" if thread.revision < int(what):
                return f"revision {what} was told as saved, and there is {thread.revision}"
            case "crashed:":
                return line
    return ""


def examined(store: Store, said: list[str], *, existed: bool = True) -> str:
    """What is wrong with the thread on the disk after a death; "" if nothing is."""
    path = store.path(NAME)
    if path.exists():
        try:
            Thread.load(path.read_bytes())
        except ValueError as error:
            return f"the document is corrupt: {error}"
    elif existed:
        return "the document is gone"
    if not existed and not any(line.startswith(("message", "saved")) for line in said):
        return next((line for line in said if line.startswith("crashed:")), "")
    try:
        thread = store.open(NAME)
    except UserError as error:
        return f"cannot open: {error.message}"
    return kept(thread, said)
