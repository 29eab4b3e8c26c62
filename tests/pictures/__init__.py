"""The pictures of the documentation, made from the real program on a real pseudo-terminal.

    python -m tests.pictures                 all of them, into docs/pictures
    python -m tests.pictures threads paste   some of them
    python -m tests.pictures --png FOLDER    the same as PNG, where rsvg-convert is installed

Each picture is a scene (`scenes.py`) that is played in a home of its own (`home.py`) and then drawn (`draw.py`). A few figures in it
are those of the moment: how fast an answer came, how much time is left. A picture that differs from the old one in nothing else is
left as it is, so that only those change that show something new.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.pictures.draw import DARK, svg
from tests.pictures.home import environment, furnish
from tests.pictures.scenes import SCENES, Scene
from tests.terminal import Terminal

__all__ = ["FOLDER", "SCENES", "lasting", "make"]

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"

_OF_THE_MOMENT = re.compile(r'\d+ tokens?/s|\d+:\d\d left|\(\d+\.\d s\)|thought for [^<]*|textLength="[\d.]+"')


def make(name: str) -> str:
    """Play the scene, and draw what is on the screen."""
    scene = SCENES[name]
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        theme = "dark" if scene.paper is DARK else "light"
        with Terminal(
            [sys.executable, "-m", "agentcli", *scene.arguments],
            size=scene.size,
            env=environment(Path(folder), theme),
            cwd=Path(folder) / "work",
        ) as terminal:
            scene.play(terminal)
            return _drawn(terminal, scene)


def lasting(picture: str) -> list[str]:
    """What is in a picture, line by line, without the figures of the moment: two that have the same show the same."""
    return _OF_THE_MOMENT.sub("…", picture).splitlines()


def _drawn(terminal: Terminal, scene: Scene) -> str:
    picture = ""

    def is_drawn(terminal: Terminal) -> bool:
        """As soon as nothing is half drawn: the screen does not change meanwhile."""
        nonlocal picture
        written = terminal.raw
        if written.rfind(b"\x1b[?2026h") <= written.rfind(b"\x1b[?2026l"):
            picture = svg(terminal.display, "agentcli", paper=scene.paper, cursor=True, whole=scene.whole)
        return bool(picture)

    terminal.until(is_drawn)
    return picture
