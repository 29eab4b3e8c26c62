"""The text of a web page: its title, and what would be read in it, line by line.

No parser of HTML is needed for that, and the one that comes with Python takes time that grows with the square of some broken pages.
This goes through the page once, from one `<` to the next. What is never shown (scripts, styles, templates) is left out; blocks begin
on a line of their own; entities become what they stand for. Where a page is broken, a browser would guess and this guesses worse: some
letters of a tag may be left in the text. Nothing of it is run, loaded, or looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from agentcli.ui.attach.kind import decoded

__all__ = ["is_page", "text_of"]

_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,40})((?:[^'\"<>]|\"[^\"]*+\"|'[^']*+')*+)>")
_LONGEST = 64 << 10  # characters of a tag
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
# elements whose content is no text: it ends where their end tag stands, whatever is between
_RAW = {
    name: re.compile(rf"</{name}[\s/>]", re.IGNORECASE) for name in ("script", "style", "textarea", "iframe", "noembed", "noframes")
}
_UNSEEN = {"template", "svg", "math", "select", "object", "video", "audio", "canvas", "datalist"}
_LINES = re.compile(  # elements that begin on a line of their own
    r"h[1-6]|address|article|aside|blockquote|body|center|d[dlt]|details|dialog|dir|div|fieldset|fig(caption|ure)|footer|form|head|header"
    r"|hr|html|legend|li|main|menu|nav|[ou]l|option|p|pre|section|summary|table|tbody|tfoot|thead|title|tr"
)
_APART = re.compile(r"h[1-6]|p|table|[ou]l|pre|blockquote|title")  # and that have an empty line behind them
_SPACE = re.compile(r"\s++")
# Within the text: a line begins here; with an empty one before it; a space that stays.
_LINE, _EMPTY, _EXACT = "\x1e", "\x1f", "\x1d"
_GAP = re.compile(f"[ \n{_LINE}{_EMPTY}]++")


def is_page(data: bytes, media_type: str) -> bool:
    """Is it HTML, by its first bytes or by what the server says?"""
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html")) or media_type in ("text/html", "application/xhtml+xml")


def text_of(data: bytes, charset: str = "") -> str:
    """What can be read on the page. A ValueError says why that is nothing."""
    found = None if charset else _DECLARED.search(data[:2048])
    try:
        html = decoded(data, charset or (found[1].decode("ascii").lower() if found else ""))
    except ValueError:  # what pages are written in that do not say it; or it is too much
        html = decoded(data.decode("cp1252", "replace").replace("\0", "").encode())
    html = html.translate(dict.fromkeys(map(ord, (_LINE, _EMPTY, _EXACT))))
    text = _GAP.sub(_gap, "".join(_pieces(html))).strip()
    return "\n".join(line.rstrip() for line in text.replace(_EXACT, " ").split("\n"))


def _gap(gap: re.Match[str]) -> str:
    """What is between two words."""
    if _EMPTY in gap[0] or gap[0].count("\n") > 1:
        return "\n\n"
    return "\n" if _LINE in gap[0] or "\n" in gap[0] else " "


def _pieces(html: str) -> Iterator[str]:
    """The texts between the tags, and what stands for those."""
    hidden: list[str] = []  # the elements that are not shown, and that we are in
    exact = 0  # those that keep their line ends
    for text, closing, name, attributes in _tags(html):
        if text and not hidden:
            text = unescape(text)
            yield text.expandtabs().replace(" ", _EXACT) if exact else _SPACE.sub(" ", text)
        if name in _UNSEEN:
            if closing and name in hidden:
                del hidden[hidden.index(name) :]
            elif not closing and not attributes.rstrip().endswith("/") and len(hidden) < 100:
                hidden.append(name)
        elif name and not hidden:
            if name == "pre":
                exact = max(exact + (-1 if closing else 1), 0)
            yield _shown(name, closing, attributes)


def _tags(html: str) -> Iterator[tuple[str, str, str, str]]:
    """Each tag with the text before it: text, a slash if it closes, name, attributes. What is no tag has no name."""
    at = 0
    while (start := html.find("<", at)) >= 0:
        text, name, closing, attributes = html[at:start], "", "", ""
        if html.startswith("<!--", start):
            at = _behind(html, "-->", start + 4)
        elif html.startswith(("<!", "<?"), start):
            at = _behind(html, ">", start)
        elif tag := _TAG.match(html, start, start + _LONGEST):
            closing, name, attributes = tag[1], tag[2].lower(), tag[3]
            at = tag.end()
            if name in _RAW and not closing:
                end = _RAW[name].search(html, at)
                at = end.start() if end else len(html)
                name = ""
        else:
            text, at = html[at : start + 1], start + 1
        yield text, closing, name, attributes
    yield html[at:], "", "", ""


def _behind(html: str, end: str, start: int) -> int:
    """Where this ends, at the latest with the page."""
    found = html.find(end, start)
    return found + len(end) if found >= 0 else len(html)


def _shown(name: str, closing: str, attributes: str) -> str:
    """What stands for a tag in the text."""
    if name == "img":
        words = _ALT.search(attributes)
        said = unescape(words[1] or words[2] or "").strip() if words else ""
        return f"[{said}]" if said else ""
    if name == "li" and not closing:
        return f"{_LINE}- "
    if name in ("td", "th"):
        return " | " if closing else ""
    if name == "br":
        return "\n"
    if _APART.fullmatch(name):
        return _LINE if name == "p" and not closing else _EMPTY
    return _LINE if _LINES.fullmatch(name) else ""
