"""The pictures of the documentation show the program as it is."""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree as ET

import pytest

if os.name != "posix":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

from tests.docs import pages
from tests.pictures import FOLDER, SCENES, lasting, make
from tests.pictures.draw import DARK, LIGHT, svg
from tests.terminal import Screen, replay

_SVG = "{http://www.w3.org/2000/svg}"


def test_there_is_a_picture_for_every_scene_and_no_other() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{name}.svg" for name in SCENES)


def test_every_picture_is_on_a_page_and_every_page_shows_pictures_that_are_there() -> None:
    shown = {(page.parent / path).resolve() for page in pages() for path in _pictures(page.read_text(encoding="utf-8"))}
    assert shown == {FOLDER / f"{name}.svg" for name in SCENES}


@pytest.mark.parametrize("name", SCENES)
def test_every_picture_shows_what_the_program_shows(name: str) -> None:
    """If it does not any more: `python -m tests.pictures`, and look at what is new."""
    old, new = (FOLDER / f"{name}.svg").read_text(encoding="utf-8"), make(name)
    assert lasting(new) == lasting(old)


def test_only_figures_of_the_moment_may_differ() -> None:
    assert lasting("<text>12 tokens/s · 4:59 left · lab</text>") == lasting("<text>7 tokens/s · 0:12 left · lab</text>")
    assert lasting("<text>12 tokens/s · lab</text>") != lasting("<text>12 tokens/s · other</text>")


def test_a_picture_holds_what_the_screen_shows() -> None:
    screen = replay("plain <&> \x1b[1;32mgreen\x1b[0m \x1b[2mdim\x1b[0m 日本 \x1b[7mreverse\x1b[0m\n\nlast", size=(40, 10))
    picture = ET.fromstring(svg(screen, "A <title>"))
    words = [node.text for node in picture.iter(f"{_SVG}text")]
    assert words == ["A <title>", "plain <&>", "green", "dim", "日本", "reverse", "last"]
    assert picture.get("height") == str(3 * 19 + 38 + 16)
    whole = ET.fromstring(svg(screen, whole=True))
    assert whole.get("height") == str(10 * 19 + 38 + 16)


def test_colours_are_drawn_as_the_terminal_was_told() -> None:
    colours = _colours(replay("\x1b[38;2;2;3;2mtrue\x1b[0m \x1b[38;5;214mmany\x1b[0m \x1b[91mbright\x1b[0m \x1b[2mdim\x1b[22m not"))
    assert colours == {"true": "#020302", "many": "#ffaf00", "bright": DARK.colours["red"], "dim": DARK.dim, "not": DARK.ink}
    papers = [node.get("fill") for node in _drawn(replay("\x1b[48;5;2;7mreverse\x1b[0m"), "rect")]
    assert papers == [DARK.back, DARK.ink]


def test_the_same_screen_on_a_light_paper() -> None:
    picture = ET.fromstring(svg(replay("\x1b[36mcyan\x1b[0m"), paper=LIGHT))
    assert picture.find(f"{_SVG}rect[@rx]").get("fill") == LIGHT.back  # type: ignore[union-attr]
    assert [node.get("fill") for node in picture.iter(f"{_SVG}text")][1:] == [LIGHT.colours["cyan"]]


def _pictures(text: str) -> list[str]:
    """The files that a page shows as pictures."""
    return re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text)


def _colours(screen: Screen) -> dict[str | None, str | None]:
    return {node.text: node.get("fill") for node in _drawn(screen, "text") if node.text}


def _drawn(screen: Screen, what: str) -> list[ET.Element]:
    return list(ET.fromstring(svg(screen)).iter(f"{_SVG}{what}"))
