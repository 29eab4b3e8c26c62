"""The documentation as something that can be run, and the parts of it that are written by a program.

A ```console block is a session in a shell: `$ ` begins a command, `> ` goes on with it, and what stands below is what comes, with `…`
for whatever may differ (alone on a line: for any lines). The blocks of one page are one session, in a home of its own that is a git
repository with a commit, at a terminal that can do nothing special; `MODEL` below answers at OPENAI_BASE_URL. A file is there once the
page has shown it: by `$ cat FILE`, or as a block that begins with its name (`# weather.py`). A chat has nobody who types, so it is
followed only until it wants a terminal. What else is to be known is in comments before a block that nobody sees:

    <!-- not run: it installs -->     the block is not run, and why
    <!-- file: notes.txt -->          the block is written to that file
    <!-- first: mkdir photos -->      shell commands, also over several lines

Addresses like http://127.0.0.1:8000/v1 stand for the server, /home/ada for the home.

`python -m tests.docs` writes the generated parts anew (help texts, slash commands, keys, exit codes, events: what stands between
`<!-- generated: … -->` and `<!-- end -->`) and lists the blocks that are not run. In such a table the last column is a person's and is
kept.
`python -m tests.docs PAGE` shows what the commands of a page really say.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from agentcli.core.event import Event, TurnEnded
from agentcli.errors import Exit
from agentcli.providers import PROVIDERS
from tests.model_server import Asked, ModelServer, Reply, sse

__all__ = ["ROOT", "Done", "Step", "command_tree", "fits", "generated", "help_text", "model", "pages", "run", "session", "wrong"]

ROOT = Path(__file__).parent.parent

# What the model says to whom: the first that is found in the question.
MODEL: tuple[tuple[str, str], ...] = (
    (r"the Louvre", '{"city": "Paris", "country": "France"}'),
    (r"the first program", '{"name": "Ada Lovelace", "born": 1815}'),
    (r"commit message, one line", "Say hello to whoever asks"),
    (r"commit message", "Say what changed."),
    (r"Translate .*good morning", "bonjour"),
    (r"Translate .*good night", "bonne nuit"),
    (r"capital of France", "Paris."),
    (r"[Oo]f Italy", "Rome."),
    (r"capital of Peru", "Lima."),
    (r"photosynthesis", "Plants turn light, water and carbon dioxide into sugar and oxygen."),
    (r"And at night\?", "Then they breathe like we do: sugar and oxygen become water and carbon dioxide."),
    (r"what went wrong", "The disk of db1 is full: the database cannot write its log."),
    (r"Your answer was cut off", "ime. The end."),
    (r"2\+2", "4"),
    (r"one word", "Hello."),
)

_SERVER = re.compile(r"127\.0\.0\.1:80[08]0")


@dataclass(frozen=True)
class Step:
    """A command of a page; `shown` is what the page says that comes, None for a command that nobody sees."""

    line: int
    command: str
    shown: tuple[str, ...] | None


@dataclass(frozen=True)
class Done:
    """A step, and what came."""

    step: Step
    output: str
    status: int


def pages() -> list[Path]:
    """Everything that a reader reads."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def model(asked: Asked) -> Reply:
    """What the model of the documentation answers."""
    if asked.body.get("model") == "gpt-9":
        message = {"error": {"message": "The model `gpt-9` does not exist", "code": "model_not_found"}}
        return ModelServer().fails(404, body=message)._script[0]
    said = {message["role"]: message["content"] for message in asked.body["messages"] if isinstance(message["content"], str)}
    question = " ".join(said[role] for role in ("system", "user") if role in said)
    if "a very long story" in question:
        return ModelServer().stalls(text="Once upon a time. The end.")._script[0]
    answer = next((answer for pattern, answer in MODEL if re.search(pattern, question)), f"You said: {question}")
    pieces = [sse({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in re.findall(r"\s*\S+", answer)]
    end = sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 12, "completion_tokens": len(pieces)}
    return Reply([*pieces, end, sse("[DONE]")], usage=[sse({"choices": [], "usage": usage})], whole={})


def session(text: str) -> tuple[list[Step], list[tuple[int, str]]]:
    """The commands of a page in order, and the blocks that are not run: their lines and the reasons."""
    steps: list[Step] = []
    unrun: list[tuple[int, str]] = []
    lines = text.splitlines()
    said: tuple[str, str] = ("", "")
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if line.startswith("<!--"):
            while "-->" not in line:
                line += "\n" + lines[at]
                at += 1
            word, _, rest = line.removeprefix("<!--").partition("-->")[0].strip().partition(":")
            said = (word, rest.strip())
            if word == "first":
                steps.append(Step(number, said[1], None))
        elif fence := re.match(r"( *)(`{3,})(\w*)", line):
            end = next(row for row in range(at, len(lines)) if lines[row].strip() == fence[2])
            body = [row.removeprefix(fence[1]) for row in lines[at:end]]
            at = end + 1
            named = re.fullmatch(r"# ([\w-]+\.\w+)", body[0]) if body else None
            if said[0] == "not run":
                unrun.append((number, said[1]))
            elif fence[3] == "console":
                steps += _commands(body, number + 1)
            elif said[0] == "file" or named:
                steps.append(_file(number, named[1] if named else said[1], body))
            said = ("", "")
        elif line.strip():
            said = ("", "")
    return steps, unrun


def _file(number: int, name: str, lines: Iterable[str]) -> Step:
    return Step(number, "\n".join([f"cat > {name} <<'=end='", *lines, "=end="]), None)


def _commands(body: list[str], number: int) -> Iterator[Step]:
    for step in _typed(body, number):
        shows = re.fullmatch(r"cat ([\w.-]+)", step.command)
        yield _file(step.line, shows[1], step.shown) if shows and step.shown else step


def _typed(body: list[str], number: int) -> Iterator[Step]:
    command: list[str] = []
    shown: list[str] = []
    began = number
    assert body[0].startswith("$ "), f"line {number}: a console block begins with a command"
    for row, line in enumerate(body):
        if line.startswith("$ "):
            if command:
                yield Step(began, "\n".join(command), tuple(shown))
            command, shown, began = [line[2:]], [], number + row
        elif line.startswith("> ") and not shown:
            command.append(line[2:])
        else:
            shown.append(line)
    yield Step(began, "\n".join(command), tuple(shown))


def run(steps: list[Step], folder: Path, port: int, *, patience: float = 50) -> list[Done]:
    """Run the commands of a page in one shell, with the model at that port; `patience`: seconds for all of them."""
    home, scripts, programs = (folder / name for name in ("ada", "steps", "bin"))
    for made in (home, scripts, programs):
        made.mkdir(parents=True)
    environment = _environment(home, programs, port)
    for name, what in {"agentcli": "-m agentcli", "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        (programs / name).chmod(0o755)
    (home / "hello.py").write_text('print("Hello")\n')
    subprocess.run(
        "git init --quiet && git add . && git commit --quiet --message Begin", shell=True, check=True, cwd=home, env=environment
    )
    whole = ["status=0"]
    for number, step in enumerate(steps):
        here = _SERVER.sub(f"127.0.0.1:{port}", step.command).replace("/home/ada", str(home))
        (scripts / str(number)).write_text(here + "\n")
        whole += ["printf '\\036\\n'", f"(exit $status); . {scripts}/{number}", "status=$?; printf '\\036%s\\n' $status"]
    came = _at_a_terminal(["bash", "--norc", "-c", "\n".join(whole)], home, environment, patience)
    came = came.replace(str(home), "/home/ada")
    said = _SERVER.search(" ".join(step.command for step in steps))
    came = came.replace(f"127.0.0.1:{port}", said[0] if said else "127.0.0.1:8000")
    came = re.sub(r"\x1b\[[\d;]*m", "", came)  # jq colours a terminal that cannot
    found = re.findall(r"\x1e\n(.*?)\x1e(\d+)\n", came, re.DOTALL)
    assert len(found) == len(steps), f"the shell ended early:\n{came}"
    return [Done(step, output, int(status)) for step, (output, status) in zip(steps, found, strict=True)]


def _environment(home: Path, programs: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCLI_", "XDG_", "GIT_"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{programs}:{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "TERM": "dumb",
        "COLUMNS": "100",
        "LINES": "40",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "EDITOR": "true",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@lab.example",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@lab.example",
    }


def _at_a_terminal(command: list[str], folder: Path, environment: dict[str, str], patience: float) -> str:
    """What a command writes on a terminal. It has nobody to ask: its stdin is empty."""
    ours, theirs = pty.openpty()
    try:
        attributes = termios.tcgetattr(theirs)
        attributes[1] &= ~termios.OPOST  # line ends stay as they are
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
        termios.tcsetwinsize(theirs, (40, 100))
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
        )
    finally:
        os.close(theirs)
    came = bytearray()
    until = time.monotonic() + patience
    try:
        while (left := until - time.monotonic()) > 0:
            if not select.select([ours], [], [], left)[0]:
                continue
            try:
                data = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody is at the other end
                break
            if not data:
                break
            came += data
        else:
            os.killpg(child.pid, signal.SIGKILL)
    finally:
        os.close(ours)
        child.wait(10)
    return came.decode("utf-8", "replace")


def wrong(done: Done, after: Step | None) -> str:
    """What is wrong with what came; empty if it is what the page says. A command may fail if the page says so, or asks `$?`."""
    shown = done.step.shown
    if done.output.startswith("error: a chat needs a terminal"):
        return "" if shown is not None else "a chat, where nobody sees it"
    if shown and not fits(shown, done.output):
        return "it is not what the page shows"
    may_fail = any(line.startswith("error:") for line in shown or ()) or (after and "$?" in after.command)
    return "" if done.status == 0 or may_fail else f"it ends with {done.status}"


def fits(shown: tuple[str, ...], output: str) -> bool:
    """Is this what the page shows? Only what is shown is compared: a command may be without its output."""
    came = "\n".join(line.rstrip() for line in output.rstrip().splitlines()) + "\n"
    expected = "\n".join(line.rstrip() for line in shown).rstrip().splitlines()
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*?") + r"\n" for line in expected)
    return re.fullmatch(pattern or r"\n", came) is not None


# The parts that are written by a program.


def command_tree() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, the root first."""
    import typer

    from agentcli.cli import app

    yield from _below((), typer.main.get_command(app))


def _below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _below((*words, name), command.get_command(None, name))


def help_text(root: Any, words: tuple[str, ...]) -> str:
    """What `--help` prints."""
    printed = StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with redirect_stdout(printed):
            root.main([*words, "--help"], prog_name="agentcli", standalone_mode=False)
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).strip()


def _commands_part(old: str) -> str:
    tree = list(command_tree())
    parts = []
    for words, _ in tree:
        name = " ".join(("agentcli", *words))
        parts.append(f"{'#' * max(2, len(words) + 1)} {name}\n\n```text\n{help_text(tree[0][1], words)}\n```\n")
    return "\n".join(parts)


def _slash_part(old: str) -> str:
    from agentcli.ui.slash import COMMANDS, form_of, help_of

    rows = [(f"`{form_of(name)}`".replace("|", "\\|"), help_of(name).replace("|", "\\|")) for name in COMMANDS]
    return _table(("command", "what it does"), rows)


def _keys_part(old: str) -> str:
    from agentcli.ui.binding import table

    return f"{table()}\n"


def _exit_part(old: str) -> str:
    kept = _kept(old)
    rows = [(str(code.value), f"`{code.name}`", kept.get(str(code.value), "?")) for code in sorted(Exit)]
    return _table(("code", "name", "when"), rows)


def _events_part(old: str) -> str:
    """A section for each event; `source` and `thread`, which all have, are told once by the page."""
    parts = []
    for event in get_args(Event):
        name = event.__struct_config__.tag
        kept = _kept(old.partition(f"### {name}\n")[2].partition("\n### ")[0])
        rows = [(f"`{field}`", _type(of), kept.get(f"`{field}`", "?")) for field, of in _fields(event)]
        parts.append(f"### {name}\n\n{event.__doc__}\n\n{_table(('field', 'type', 'what it is'), rows)}")
    return "\n".join(parts)


def _document_part(old: str) -> str:
    kept = _kept(old)
    fields = [("thread", str), *_fields(TurnEnded)]
    return _table(("key", "type", "what it is"), [(f"`{name}`", _type(of), kept.get(f"`{name}`", "?")) for name, of in fields])


def _providers_part(old: str) -> str:
    notes = _kept(old)
    rows = []
    for name, entry in PROVIDERS.items():
        url = entry.base_url_variable and f"`{entry.base_url_variable}`"
        key = entry.key_variable and f"`{entry.key_variable}`"
        model = f"`{entry.model}`" if entry.model else "its first" if entry.base_url or entry.base_url_variable else ""
        rows.append((f"`{name}`", f"`{entry.kind}`", key or "none", url or "", model, notes.get(f"`{name}`", "")))
    return _table(("name", "speaks", "key", "base URL", "without a name", "what it is"), rows)


def _fields(event: Any) -> list[tuple[str, Any]]:
    import msgspec

    return [(field.name, field.type) for field in msgspec.structs.fields(event) if field.name not in ("source", "thread")]


def _type(of: Any) -> str:
    words = re.sub(r"<class '([\w.]+)'>|typing\.", r"\1", str(of)).rpartition(".")[2] if isinstance(of, type) else str(of)
    if words.startswith("typing.Literal"):
        return "text"
    for start, said in _TYPES.items():
        if words.startswith(start):
            return said + (" or null" if "None" in words else "")
    raise AssertionError(f"how is {words} called?")


_TYPES = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "Message": "object",
    "Compaction": "object",
    "agentcli.core.event.Failure": "object",
    "dict": "object",
    "tuple": "list",
}


def _kept(old: str) -> dict[str, str]:
    """The last column of a table by its first."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in old.splitlines() if line.startswith("|")]
    return {row[0]: row[-1] for row in rows}


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" if line != lines[1] else "|" + "|".join(line) + "|\n" for line in lines)


PARTS: dict[str, Callable[[str], str]] = {
    "help texts": _commands_part,
    "slash commands": _slash_part,
    "keys": _keys_part,
    "exit codes": _exit_part,
    "events": _events_part,
    "the document": _document_part,
    "providers": _providers_part,
}

_PART = re.compile(r"(<!-- generated: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def generated(text: str) -> str:
    """A page with its generated parts as they should be."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]](found[3])}\n{found[4]}", text)


def main() -> None:
    if wanted := sys.argv[1:]:
        for name in wanted:
            _show(Path(name).resolve())
        return
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := generated(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"written anew: {page.relative_to(ROOT)}")
    for page in pages():
        for line, reason in session(page.read_text(encoding="utf-8"))[1]:
            print(f"not run: {page.relative_to(ROOT)}:{line}: {reason}")


def _show(page: Path) -> None:
    steps, _ = session(page.read_text(encoding="utf-8"))
    with ModelServer().decides(model) as server, tempfile.TemporaryDirectory() as folder:
        for done, after in zip(run(steps, Path(folder), server.port), [*steps[1:], None], strict=True):
            print(f"{page.name}:{done.step.line}: exit {done.status}\n$ {done.step.command}\n{done.output}")
            if why := wrong(done, after):
                print(f"^^^ {why}\n")


if __name__ == "__main__":
    main()
