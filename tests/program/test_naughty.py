"""Strings that break programs, through all that a chat takes in: stored as they are, shown harmless.

What is stored is compared with what went in, character by character; only halves of surrogate pairs, which no file can hold, become
U+FFFD (`speakable`), a paste has its line ends as \\n, and blank arguments of a tool are {}. Of what was shown, every byte must be one
that the program itself writes (`naughty.foreign`); in the end the terminal is as it was found.

In the suite many of them go together. AGENTCLI_TRIALS=1 tries each alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from agentcli import assemble
from agentcli.core.message import assistant, speakable, user
from agentcli.core.thread import Thread
from tests.model_server import Asked, ModelServer, Reply
from tests.program import PROGRAM, environment
from tests.program.test_chat import asked, chat, ready, threads
from tests.terminal import Terminal, new_screen
from tests.ui.naughty import KINDS, STRINGS, foreign

TRIALS = bool(os.environ.get("AGENTCLI_TRIALS"))  # read now: tests run in an environment of their own
TOGETHER = 1 if TRIALS else 24

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal"),
    pytest.mark.timeout(1200 if TRIALS else 60),
]

BATCHES = [STRINGS[at : at + TOGETHER] for at in range(0, len(STRINGS), TOGETHER)]
SIZE = (120, 40)

TOOL = '''
import json
from pathlib import Path

STRINGS = json.loads(Path("strings.json").read_text())

def fetch(number: int) -> str:
    """Fetch a string."""
    return STRINGS[number]
'''


@contextmanager
def watched(server: ModelServer, *arguments: str, **more: Any) -> Iterator[Terminal]:
    """A chat in which nothing may reach the terminal but what the program itself writes, and which leaves it as it found it."""
    with chat(server, *arguments, size=SIZE, **more) as terminal:
        modes = terminal.modes()
        terminal.until(ready)
        yield terminal
        terminal.send("\x04")
        assert terminal.wait() == 0
        assert_sound(terminal)
        assert terminal.modes() == modes


def assert_sound(terminal: Terminal) -> None:
    assert foreign(terminal.raw.decode()) == []
    screen, fresh = terminal.display, new_screen()
    assert not screen.cursor.hidden
    assert screen.mode == fresh.mode
    assert screen.margins is None
    assert screen.title == ""
    assert screen.icon_name in ("", ";?")  # what pyte reads of the question for the background
    assert "Traceback" not in terminal.text()


def event(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"id": "1", "choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def whole(*said: bytes, finish: str = "stop") -> Reply:
    end = {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return Reply([event(role="assistant", content=""), *said, b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n"])


def joined(strings: Sequence[str]) -> str:
    return "\n\n".join(f"<{text}>" for text in strings)


def cut(text: str) -> list[str]:
    """In pieces that end anywhere."""
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def parts(thread: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part for message in thread["messages"] for part in message["parts"] if part["type"] == kind]


def test_said_by_a_model(server: ModelServer, tmp_path: Path) -> None:
    """Its words, its thinking, the tools it wants, what it gives them and what they say."""

    def choose(asked: Asked) -> Reply:
        last = asked.body["messages"][-1]
        if last["role"] != "user":
            return whole(event(content="so much for that"))
        number = int(last["content"].split()[-1])
        text = joined(BATCHES[number])
        calls: list[tuple[str, str]] = []
        for at, one in enumerate(BATCHES[number]):
            calls += [("fetch", json.dumps({"number": number * TOGETHER + at})), (one, one)]
        return whole(
            *(event(reasoning_content=piece) for piece in cut(text)),
            *(event(content=piece) for piece in cut(text)),
            *(
                event(tool_calls=[{"index": at, "id": f"call_{number}_{at}", "function": {"name": name, "arguments": arguments}}])
                for at, (name, arguments) in enumerate(calls)
            ),
            finish="tool_calls",
        )

    server.decides(choose)
    (tmp_path / "tools.py").write_text(TOOL)
    (tmp_path / "strings.json").write_text(json.dumps(STRINGS))
    with watched(server, "--tool", "tools.py:fetch", "--verbose", cwd=tmp_path) as terminal:
        for number in range(len(BATCHES)):
            terminal.send(f"go {number}\r")
            server.wait_until(lambda number=number: len(server.requests) == 2 * number + 2, timeout=20)  # type: ignore[misc]
        terminal.until(lambda _: len(threads()[0]["messages"]) == 4 * len(BATCHES))
    thread = threads()[0]
    assert [part["text"] for part in parts(thread, "reasoning")] == [speakable(joined(batch)) for batch in BATCHES]
    said = [part["text"] for part in parts(thread, "text") if not part["text"].startswith(("go ", "so much"))]
    assert said == [speakable(joined(batch)) for batch in BATCHES]
    calls = parts(thread, "tool_call")
    assert [call["name"] for call in calls[1::2]] == [speakable(text) for text in STRINGS]
    assert [call["arguments"] for call in calls[1::2]] == [speakable(text) if text.strip() else "{}" for text in STRINGS]
    assert [result["content"] for result in parts(thread, "tool_result")[::2]] == [speakable(text) for text in STRINGS]


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def as_pasted(text: str) -> str:
    """What becomes of a paste: halves of pairs come as three bytes that are no UTF-8."""
    text = as_bytes(text).decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    return speakable(text)


def until_answered(terminal: Terminal, count: int) -> None:
    """Until there are so many answers, and the next message can be typed: during a turn Ctrl-C is a signal, even within a paste."""
    terminal.until(lambda _: sum(len(thread["messages"]) for thread in threads()) == 2 * count, timeout=20)
    terminal.until(ready)


def test_pasted_sent_and_taken_from_the_history(server: ModelServer) -> None:
    sent: list[str] = []
    with watched(server.echo()) as terminal:
        for number, batch in enumerate(BATCHES):
            terminal.send("<")
            for text in batch:
                terminal.send(b"\x1b[200~" + as_bytes(text) + b"\x1b[201~><")
            sent.append(f"<{'><'.join(map(as_pasted, batch))}><")
            ends = (f"{number}.", "characters]", "lines]")  # what is long is folded when it comes back
            for keys in (ends[0], "\x1b[A"):
                terminal.send(keys)
                terminal.until(lambda terminal, ends=ends: at_the_cursor(terminal).endswith(ends))  # type: ignore[misc]
                terminal.send("\r")
                until_answered(terminal, 2 * number + (1 if keys != "\x1b[A" else 2))
    kept = [part["text"] for part in parts(threads()[0], "text")]
    assert kept == [f"{text}{number}." for number, text in enumerate(sent) for _ in range(4)]


def at_the_cursor(terminal: Terminal) -> str:
    return terminal.screen()[int(terminal.display.cursor.y)]


def test_typed(server: ModelServer) -> None:
    typed = [
        text
        for text in STRINGS
        if len(text) < 2000 and not any((character < " " and character != "\n") or character == "\x7f" for character in text)
    ]
    batches = [typed[at : at + TOGETHER] for at in range(0, len(typed), TOGETHER)]
    with watched(server.echo()) as terminal:
        for number, batch in enumerate(batches):
            terminal.send(b"<" + b"><".join(map(as_bytes, batch)) + b">\r")
            until_answered(terminal, number + 1)
    assert len(typed) > len(STRINGS) / 2
    kept = [part["text"] for part in parts(threads()[0], "text")]
    assert kept == [f"<{'><'.join(map(as_pasted, batch))}>" for batch in batches for _ in range(2)]


ASKING = '''
from agentcli import tool

@tool(asks=True)
def risky(what: str) -> str:
    """Do something risky."""
    return what
'''

ACTING = [text for text in (*KINDS["terminals"], *KINDS["bidi"], *KINDS["nothing to see"]) if "\x03" not in text]  # that is Ctrl-C


def test_waiting_taken_back_searched_and_asked_about(server: ModelServer, tmp_path: Path) -> None:
    """In every other place where it is shown: the row of what waits, the search, the question whether a tool may run."""
    text = "".join(ACTING).replace("\r", "\n")
    pasted = b"\x1b[200~" + as_bytes(text) + b"\x1b[201~"
    (tmp_path / "tools.py").write_text(ASKING)
    server.stalls("mid-stream", text="Hello there").then.calls("risky", {"what": text}).then.says("Fine.")
    with watched(server, "--tool", "tools.py:risky", cwd=tmp_path) as terminal:
        terminal.send("hi\r")
        terminal.until("Hello")
        terminal.send(pasted + b"\r")
        terminal.until("next: ␛")
        terminal.send("\x1b[A")
        terminal.until(lambda terminal: "next: " not in "\n".join(terminal.screen()))
        terminal.send("\x03")
        terminal.until("interrupted")
        terminal.until(lambda terminal: any(row.startswith("> ␛") for row in terminal.screen()))
        terminal.send("\r")
        terminal.until("say why not")
        terminal.until(asked)
        terminal.send(pasted + b"\r")
        until_answered(terminal, 3)
        terminal.send("\x12")
        terminal.until("I-search")
        terminal.send(pasted[:40] + b"\x1b[201~")
        terminal.until(lambda terminal: any("I-search" in row and "␛" in row for row in terminal.screen()))
        terminal.send("\x07\x03")
        terminal.until(ready)
    assert parts(threads()[0], "text")[-2]["text"] == text
    assert parts(threads()[0], "tool_call")[-1]["arguments"] == json.dumps({"what": text})


def test_typed_as_a_command(server: ModelServer) -> None:
    """A slash before it: the program says that there is no such command, or takes it for something to say."""
    with watched(server.echo()) as terminal:
        terminal.send("hi\r")
        until_answered(terminal, 1)
        for text in STRINGS[:: 1 if TOGETHER == 1 else 7]:
            if len(text) < 2000:
                if "\x03" in text:  # in mid-turn it is a signal, and stops it
                    terminal.until(ready, timeout=30)
                terminal.send(b"\x1b[200~/x" + as_bytes(text) + b"\x1b[201~\r")
        terminal.send("/rename the end\r")
        terminal.until(lambda _: threads()[0]["title"] == "the end", timeout=600 if TRIALS else 30)
        terminal.until(ready)


LINES = [text for text in STRINGS if not set(text) & set("\n\r\0") and len(text) < 2000]


def test_titles(server: ModelServer) -> None:
    groups = [LINES[at : at + TOGETHER] for at in range(0, len(LINES), TOGETHER)]
    with watched(server.echo()) as terminal:
        terminal.send("hi\r")
        until_answered(terminal, 1)
        for group in groups:
            title = f"<{'><'.join(group)}>"
            terminal.send(b"\x1b[200~/rename " + as_bytes(title) + b"\x1b[201~\r")
            terminal.until(lambda _, title=title: threads()[0]["title"] == as_pasted(title))  # type: ignore[misc]
            terminal.until(ready)
    for begin in range(0, len(LINES), 200):
        title = os.fsdecode(as_bytes(f"<{'><'.join(LINES[begin : begin + 200])}>"))
        with Terminal([*PROGRAM, "threads", "rename", threads()[0]["id"], title], env=environment(), size=SIZE) as terminal:
            assert terminal.wait() == 0
            assert_sound(terminal)
        assert threads()[0]["title"] == " ".join(speakable(title).split())


@pytest.fixture
def shelf() -> list[str]:
    """A saved thread for each string, which is its title and all that was said in it."""
    found = []
    for text in STRINGS:
        thread = Thread.of(user(text), assistant(text), title=text)
        assemble.store().save(thread)
        found.append(thread.id)
    return found


def test_threads_on_the_screen(server: ModelServer, shelf: list[str]) -> None:
    titles = {document["id"]: document["title"] for document in threads()}
    assert [titles[one] for one in shelf] == [speakable(text) for text in STRINGS]
    long = [one for one, text in zip(shelf, STRINGS, strict=True) if "\x1b" in text or "\u202e" in text]
    for arguments in (["list", "-n", "0"], ["search", "a"], ["search", "\x1b["], ["show", long[0]], ["show", long[-1]]):
        with Terminal([*PROGRAM, "threads", *arguments], env=environment(NO_COLOR=None), size=SIZE) as terminal:
            assert terminal.wait(20) == 0
            assert_sound(terminal)
    with watched(server.echo()) as terminal:
        terminal.send("/threads\r")
        terminal.until("Enter opens")
        for _ in range(40):
            terminal.send("\x1b[6~")  # a page down, with a preview
        terminal.until(lambda terminal: "Enter opens" in terminal.text())
        terminal.send(b"\x1b[200~" + as_bytes("\u202ea\x1b]0;t\x07\x9b2J") + b"\x1b[201~")
        terminal.until(f"0 of {len(STRINGS)}")
        terminal.send("\x1b")
        terminal.until(ready)
        for one in long[:: max(len(long) // 8, 1)]:
            terminal.send(f"/resume {one}\r/show all\r")
            terminal.until(lambda terminal, one=one: one in terminal.text())  # type: ignore[misc]
            terminal.until(ready)


NAMES = [text for text in STRINGS if text.strip(".") and not set(text) & set("/\0") and len(as_bytes(text)) < 250]


def test_names_of_files(server: ModelServer, tmp_path: Path) -> None:
    """Attached by name, by mention, and offered by Tab; what a file is called is told in the message."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(as_bytes(name))).write_text("text in it")
    with watched(server.echo(), cwd=folder) as terminal:
        lines = [name for name in NAMES if name.strip() == name and name.isprintable() and name not in ("-", "~", "~root")]
        for name in lines:
            terminal.send(b"\x1b[200~/file " + as_bytes(name) + b"\x1b[201~\r")
        terminal.until(lambda terminal: terminal.raw.count(b"This goes with") == len(lines), timeout=30)
        terminal.until(ready)
        for key in ("@", "@\t", "\t" * 30, "\x1b[B" * 20):
            terminal.send(key)
        terminal.send("\x07\x03")
        terminal.until(ready)
        terminal.send("all of them\r")
        until_answered(terminal, 1)
    blocks = [part["text"] for part in parts(threads()[0], "text")]
    attached = [unescape(text) for text in blocks]
    assert [name for name in lines if not any(f'name="{name}"' in text for text in attached)] == []
    with Terminal(
        [*PROGRAM, "ask", "hi", *(f"-f{name}" for name in os.listdir(folder)[:200])], env=environment(server), cwd=folder, size=SIZE
    ) as terminal:
        assert terminal.wait(20) == 0
        assert_sound(terminal)
