"""`agentcli threads`: find, show, change, copy and carry saved threads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from agentcli import assemble
from agentcli.core.message import speakable
from agentcli.errors import Exit, UserError
from agentcli.ui import stdout
from agentcli.ui import threads as ui
from agentcli.ui.talk import say

__all__ = ["app"]

LIMIT = 20  # threads in a list
HITS = 50  # places of a search
LARGEST = 256 << 20  # bytes of a file to import

app = typer.Typer(
    help="List, show, search, rename, fork, delete, export, import and check threads.",
    epilog="Any beginning of an id that no other thread has stands for the id.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A thread.", show_default=False)]
Limit = Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=0, help="How many; 0 is all.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("list")
def list_(
    limit: Limit = None,
    sort: Annotated[
        str, typer.Option("--sort", metavar="updated|tokens|cost", help="What comes first: the newest, or what took most.")
    ] = "updated",
    json: Json = False,
) -> None:
    """List threads, newest first."""
    if sort not in ui.ORDERS:
        raise UserError(f"there is no order {sort!a}", hint=f"Orders: {', '.join(ui.ORDERS)}.", exit_code=Exit.USAGE)
    rows = assemble.store().rows()
    whole = [row for row in rows if not row.damaged]
    price = None
    if json or sort == "cost":
        price = assemble.pricing()
    lines = ui.first_lines(whole, sort, limit or 0 if json else _most(limit, LIMIT), price, counted=json)
    if json:
        ui.print_lines_as_json(lines)
    else:
        ui.print_lines(lines, len(whole) - len(lines), sort)
    ui.say_damaged(rows)
    if price and price.hint and not json:
        say(price.hint, dim=True)
    if not rows:
        say("There are no threads yet; `agentcli chat` starts one.", dim=True)


@app.command()
def show(thread: Id, json: Json = False) -> None:
    """Show a thread, its messages numbered."""
    found = assemble.store().open(thread)
    if json:
        stdout.put_json(found.dump().decode())
    else:
        from agentcli.ui.transcript import print_thread

        print_thread(found)


@app.command()
def search(
    text: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Words that follow one another; upper and lower case are alike.")
    ],
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Find words in the messages of all threads."""
    words = speakable(" ".join(text))
    if not words.strip():
        raise UserError("there is nothing to search for", hint="agentcli threads search some words", exit_code=Exit.USAGE)
    store = assemble.store()
    hits = store.search(words)
    if json:
        ui.print_hits_as_json(hits, limit or 0)
    else:
        ui.print_hits(hits, words, _most(limit, HITS))
    ui.say_damaged(store.rows())


@app.command()
def rename(thread: Id, title: Annotated[list[str], typer.Argument(metavar="TITLE...", help="Its new title.")]) -> None:
    """Give a thread another title."""
    words = " ".join(speakable(" ".join(title)).split())
    if not words:
        raise UserError("the title is empty", hint='agentcli threads rename ID "A new title"', exit_code=Exit.USAGE)
    assemble.store().rename(thread, words)


@app.command()
def fork(
    thread: Id,
    at: Annotated[int | None, typer.Option("--at", metavar="N", help="Only its first N messages, as `show` numbers them.")] = None,
) -> None:
    """Make a new thread of one, and print its id."""
    store = assemble.store()
    parent = store.open(thread)
    count = len(parent.messages)
    if at is not None and not 1 <= at <= count:
        raise UserError(
            f"--at {at} is not the number of a message: thread {parent.id} has {count}",
            hint=f"`agentcli threads show {parent.id}` numbers them.",
            exit_code=Exit.USAGE,
        )
    stdout.put(f"{store.add(parent.fork(at))}\n")


@app.command()
def delete(
    threads: Annotated[list[str], typer.Argument(metavar="ID...", help="Threads.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete threads for good."""
    store = assemble.store()
    ids = list(dict.fromkeys(store.resolve(thread) for thread in threads))
    if not yes:
        if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
            raise UserError("deleting wants a yes, and nobody can be asked here", hint="Add --yes.", exit_code=Exit.USAGE)
        if not ui.confirm_deletion([row for row in store.rows() if row.id in ids]):
            say("Nothing was deleted.")
            raise typer.Exit(Exit.FAILED)
    for found in ids:
        store.delete(found)


@app.command()
def export(
    thread: Id,
    kind: Annotated[
        str, typer.Option("--format", metavar="md|json|html", help="Markdown, the document itself, or one HTML page.")
    ] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to, if not stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> None:
    """Write a thread for other eyes or programs. Without --format, what FILE's name ends with decides, or else md."""
    from agentcli.store.export import FORMATS, with_attachments

    if not kind:
        ending = output.suffix.lower().removeprefix(".") if output else ""
        kind = ending if ending in FORMATS else "md"
    if kind not in FORMATS:
        raise UserError(f"there is no format {kind!a}", hint=f"Formats: {', '.join(FORMATS)}.", exit_code=Exit.USAGE)
    store = assemble.store()
    whole, missing = with_attachments(store.open(thread), store.bytes_of)
    for error in missing:
        say(f"warning: {error.message}")
    text = FORMATS[kind](whole)
    if output is None or str(output) == "-":
        (stdout.put_json if kind == "json" else stdout.put_text)(text)
    else:
        _write(output, text, replace=force)


@app.command("import")
def import_(file: Annotated[str, typer.Argument(metavar="FILE|-", help="A thread document, or a JSON list of messages.")]) -> None:
    """Take a thread in from a file or from stdin, and print its id."""
    from agentcli.store.import_ import read

    stdout.put(f"{assemble.store().add(read(_read(file)))}\n")


@app.command()
def check(
    thread: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this thread.", show_default=False)] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended; set aside what cannot.")] = False,
    json: Json = False,
) -> None:
    """Look for damage. The exit code is 65 if there is any that was not repaired."""
    store = assemble.store()
    findings = store.check(repair, None if thread is None else store.resolve(thread))
    if json:
        stdout.print_json(findings)
    else:
        ui.print_findings(findings)
    if any(finding.done is None for finding in findings):
        raise typer.Exit(Exit.DATA)


@app.command()
def path(thread: Annotated[str | None, typer.Argument(metavar="[ID]", help="A thread.", show_default=False)] = None) -> None:
    """Print where a thread is on disk, or the folder of all of them."""
    store = assemble.store()
    stdout.put_text(f"{store.threads if thread is None else store.path(store.resolve(thread))}\n")


def _read(file: str) -> bytes:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(LARGEST + 1) if sys.stdin else b""
        else:
            with open(file, "rb") as stream:
                data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise UserError(f"there is no file {file}", exit_code=Exit.USAGE) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}", exit_code=Exit.DATA) from None
    if len(data) > LARGEST:
        raise UserError(f"{file} is larger than {LARGEST >> 20} MiB: not a thread", exit_code=Exit.DATA)
    return data


def _write(file: Path, text: str, *, replace: bool) -> None:
    try:
        with open(file, "wb" if replace else "xb") as stream:
            stream.write(text.encode("utf-8", "backslashreplace"))
    except FileExistsError:
        raise UserError(f"{file} is there already", hint="--force replaces it.", exit_code=Exit.USAGE) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {file}: {getattr(error, 'strerror', None) or error}") from None


def _most(limit: int | None, usual: int) -> int:
    """How many to print: a terminal has room for so much, a pipe gets all."""
    if limit is not None:
        return limit
    return usual if stdout.on_terminal() else 0
