"""Where one Markdown block ends and the next begins, found line by line while the text is still arriving.

`Splitter.feed()` takes text in any pieces and returns the blocks that are finished: no text that comes later can change them, so
they can be printed and forgotten. It looks only at whole lines, once each; what a line means depends on the lines before it and on
nothing else. So the blocks are the same whatever the pieces were, and the work is linear in the text: in one paragraph of a megabyte
as in a list of twenty thousand items.

It is the first phase of the CommonMark specification (https://spec.commonmark.org/0.31.2/#appendix-a-parsing-strategy): the stack
of open quotes and list items, the leaf inside them, and lazy continuation; with tables as in GitHub's dialect. It does not parse
what is inside: `markdown.py` gives each block to a real parser. Were the two to disagree, a block would be drawn as two; no
text is lost.

Some blocks leave early, since nothing later changes how they look: a list goes item by item (each knows its number and whether a
blank line stood before it), a fence line by line. A table does not: its columns are as wide as its widest cell.

Link definitions (`[1]: https://…`) are blocks of their own and shown as they stand: what refers to them has already been printed.
HTML is shown as it stands too, comments included: nothing a model said is hidden. And so is what is nested deeper than anyone reads.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Block", "Kind", "Splitter"]

Kind: TypeAlias = Literal["markdown", "table", "item", "verbatim", "definition", "fence", "code", "end"]


_Leaf: TypeAlias = Literal["", "paragraph", "table", "fence", "indented", "html"]


class Block(NamedTuple):
    """A finished piece of an answer, without the line end of its last line."""

    kind: Kind  # `fence` and `end` are the lines around `code`
    text: str
    gap: bool = True  # a blank line belongs before it
    number: int = 0  # of an item in an ordered list


class _Open(NamedTuple):
    """An open quote or list item: how far its content is indented, and its mark. An item with the same mark is of the same list."""

    mark: str  # ">", "-", "+", "*", "." or ")"
    indent: int = 0
    number: int = 0


class _Found(NamedTuple):
    """What a line begins: containers, and the leaf inside them. `what` is the outermost, "" if nothing begins."""

    what: str
    stack: list[_Open]
    leaf: _Leaf
    rest: str


_QUOTE = _Open(">")
DEEP = 12  # quotes and items inside one another

_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
_RULE = re.compile(r"(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*$")
_MARK = re.compile(r"(?:(\d{1,9})([.)])|([-+*]))(?= |$)")
_DEFINITION = re.compile(r"\[[^\[\]]+\]:[ \t]*\S")
_COLUMNS = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_PIPE = re.compile(r"(?<!\\)\|")
_STARTS = frozenset("`~#>+*-_<0123456789")  # what a block can begin with that interrupts a paragraph

_TAGS = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|fieldset|"
    "figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes|"
    "ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul"
)
_ATTRIBUTE = r"""\s+[a-zA-Z_:][\w.:-]*(?:\s*=\s*(?:[^\s"'=<>`]+|'[^']*'|"[^"]*"))?"""
# How an HTML block begins, and the line that it ends with (None: it ends before a blank one). The last kind interrupts no paragraph.
_HTML = (
    (re.compile(r"(?i)<(?:script|pre|style|textarea)(?:\s|>|$)"), re.compile(r"(?i)</(?:script|pre|style|textarea)>")),
    (re.compile(r"<!--"), re.compile(r"-->")),
    (re.compile(r"<\?"), re.compile(r"\?>")),
    (re.compile(r"<![A-Z]", re.IGNORECASE), re.compile(r">")),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile(rf"</?(?:{_TAGS})(?:\s|/?>|$)", re.IGNORECASE), None),
    (re.compile(rf"(?:<[a-zA-Z][\w-]*(?:{_ATTRIBUTE})*\s*/?>|</[a-zA-Z][\w-]*\s*>)\s*$"), None),
)


class Splitter:
    """Text in, finished blocks out."""

    def __init__(self) -> None:
        self._rest: list[str] = []  # the line that has not ended yet
        self._lines: list[str] = []  # the lines of the block that has not ended yet
        self._done: list[Block] = []
        self._kind: Kind = "markdown"
        self._gap = True
        self._number = 0
        self._list = ""  # the mark of the list that an item may go on with
        self._stack: list[_Open] = []
        self._leaf: _Leaf = ""
        self._fence = ("", 0, 0)  # its character, length and indentation
        self._html_end: re.Pattern[str] | None = None
        self._blank = True  # the last line was blank
        self._last = ""  # the last line of the paragraph, without the marks of its quotes and items
        self._hollow = False  # the innermost item has nothing in it yet

    def feed(self, text: str) -> list[Block]:
        """Take more text. Returns the blocks that it finished."""
        self._rest.append(text)
        if "\n" not in text:
            return []
        lines = "".join(self._rest).split("\n")
        self._rest = [lines.pop()]
        for line in lines:
            self._line(line.removesuffix("␍"))  # a CR, made visible
        return self._take()

    def finish(self) -> list[Block]:
        """The text has ended. Returns what was left."""
        rest = "".join(self._rest).removesuffix("␍")
        self._rest = []
        if rest:
            self._line(rest)
        self._close()
        self._stack, self._leaf, self._list = [], "", ""
        return self._take()

    def pending(self, drop: str = "") -> list[Block]:
        """What `finish()` would return if the text ended here, without ending it. A last line of nothing but `drop` is left out."""
        twin = Splitter.__new__(Splitter)
        twin.__dict__.update(self.__dict__)
        rest = "".join(self._rest)
        self._rest = [rest]
        twin._rest = [rest] if rest.strip(drop) else []
        twin._lines, twin._stack, twin._done = self._lines.copy(), self._stack.copy(), []
        return twin.finish()

    def _take(self) -> list[Block]:
        done, self._done = self._done, []
        return done

    def _close(self) -> None:
        """The outermost block, if one is open, is finished."""
        lines = self._lines
        if lines:
            while len(lines) > 1 and not lines[-1].strip():
                lines.pop()
            self._done.append(Block(self._kind, "\n".join(lines), self._gap, self._number))
            self._lines = []

    def _open(self, kind: Kind, line: str, *, gap: bool = True, number: int = 0) -> None:
        """A new outermost block begins with this line."""
        self._close()
        self._kind, self._gap, self._number = kind, gap, number
        self._list = self._stack[0].mark if kind == "item" else ""
        self._lines.append(line)

    def _line(self, line: str) -> None:
        if self._leaf == "fence" and not self._stack:
            self._code(line)
            return
        matched, rest = self._walk(line.expandtabs(4) if "\t" in line else line)
        blank_before, self._blank = self._blank, not line or line.isspace()
        if self._leaf not in ("", "paragraph"):
            if matched < len(self._stack):
                self._leaf = ""
            elif self._stays(rest):
                self._lines.append(line)
                if not self._leaf and not self._stack:
                    self._close()
                return
        if not rest or rest.isspace():
            self._empty(line, matched)
        else:
            self._text(line, rest, matched, blank_before)

    def _code(self, line: str) -> None:
        """A line of a fence that is in no quote or item: finished as it comes."""
        character, length, indent = self._fence
        if _closes(line, character, length):
            self._leaf = ""
            self._blank = True
            self._done.append(Block("end", line.strip(), gap=False))
        else:
            lead = len(line) - len(line.lstrip(" "))
            self._done.append(Block("code", line[min(lead, indent) :], gap=False))

    def _walk(self, rest: str) -> tuple[int, str]:
        """How many of the open quotes and items this line goes on with, and what is left of it inside them."""
        matched = 0
        for one in self._stack:
            body = rest.lstrip(" ")
            indent = len(rest) - len(body)
            if one.mark == ">":
                if indent > 3 or not body.startswith(">"):
                    break
                rest = body[2:] if body.startswith("> ") else body[1:]
            elif not body:
                if self._hollow and matched == len(self._stack) - 1:
                    break
                rest = ""
            elif indent >= one.indent:
                rest = rest[one.indent :]
            else:
                break
            matched += 1
        return matched, rest

    def _stays(self, rest: str) -> bool:
        """Does the line belong to the open fence, HTML, indented code or table? If it ends that, the leaf is gone."""
        blank = not rest or rest.isspace()
        if self._leaf == "fence":
            if _closes(rest, *self._fence[:2]):
                self._leaf = ""
            return True
        if self._leaf == "html" and self._html_end is not None:
            if self._html_end.search(rest):
                self._leaf = ""
            return True
        if self._leaf == "html":
            stays = not blank
        elif self._leaf == "indented":
            stays = blank or rest.startswith("    ")
        else:
            stays = not blank and not rest.startswith("    ") and not self._begins(rest, whole=False, paragraph=False).what
        if not stays:
            self._leaf = ""
        return stays

    def _empty(self, line: str, matched: int) -> None:
        del self._stack[matched:]
        self._leaf, self._hollow = "", False
        if self._stack:
            self._lines.append(line)
        else:
            self._close()

    def _text(self, line: str, rest: str, matched: int, blank_before: bool) -> None:
        """A line that is not blank, nor inside a fence or the like."""
        paragraph, whole = self._leaf == "paragraph", matched == len(self._stack)
        if paragraph and whole and self._turns(line, rest):
            return
        found = self._begins(rest, whole=whole, paragraph=paragraph)
        if paragraph and not found.what:  # it goes on, even without the marks of its quotes and items
            self._lines.append(line)
            self._last = rest
            return
        self._stack[matched:] = found.stack
        self._leaf, self._last = found.leaf, found.rest
        self._hollow = bool(found.stack) and not found.rest
        if matched:
            self._lines.append(line)
        else:
            self._outermost(line, found, blank_before)
        if len(self._stack) >= DEEP:
            self._kind = "verbatim"

    def _outermost(self, line: str, found: _Found, blank_before: bool) -> None:
        match found.what:
            case "item":
                item = self._stack[0]
                same = item.mark == self._list
                self._open("item", line, gap=blank_before or not same, number=self._number + 1 if same else item.number)
            case "fence":
                self._open("fence", line.strip())
                self._close()
            case "html" | "indented":
                self._open("verbatim", line)
            case "" if _DEFINITION.match(found.rest.lstrip(" ")):
                self._open("definition", line, gap=blank_before or self._kind != "definition")
                self._leaf = ""
            case _:
                self._open("markdown", line)
        if not self._leaf and not self._stack:
            self._close()

    def _turns(self, line: str, rest: str) -> bool:
        """Is this the line under a heading, or under the head of a table?"""
        body = rest.lstrip(" ")
        if len(rest) - len(body) > 3:
            return False
        if "|" in self._last and body != "-" and _COLUMNS.match(body) and _cells(body) == _cells(self._last):
            self._leaf = "table"
            if not self._stack:
                head = self._lines.pop()
                self._open("table", head)
            self._lines.append(line)
            return True
        if _UNDERLINE.match(body):
            self._leaf = ""
            self._lines.append(line)
            if not self._stack:
                self._close()
            return True
        return False

    def _begins(self, rest: str, *, whole: bool, paragraph: bool) -> _Found:
        """What begins in the rest of a line. Not everything may interrupt a paragraph."""
        what, stack = "", list[_Open]()
        while True:
            body = rest.lstrip(" ")
            indent = len(rest) - len(body)
            if not body:
                return _Found(what, stack, "", "")
            if indent > 3 and not paragraph:
                return _Found(what or "indented", stack, "indented", rest)
            if indent > 3 or body[0] not in _STARTS or len(stack) == DEEP:
                return _Found(what, stack, "paragraph", rest)
            interrupts = paragraph and whole
            if body[0] == ">":
                begun, rest = _QUOTE, body[2:] if body.startswith("> ") else body[1:]
            elif leaf := self._leaf_begins(body, indent, interrupts):
                return _Found(what or leaf[0], stack, leaf[1], rest)
            elif item := _item(body, indent, interrupts):
                begun, rest = item, rest[item.indent :]
            else:
                return _Found(what, stack, "paragraph", rest)
            stack.append(begun)
            what = what or ("quote" if begun is _QUOTE else "item")
            paragraph = False

    def _leaf_begins(self, body: str, indent: int, interrupts: bool) -> tuple[str, _Leaf] | None:
        if _HEADING.match(body):
            return "heading", ""
        if fence := _FENCE.match(body):
            mark = fence[1] or fence[2]
            self._fence = (mark[0], len(mark), indent)
            return "fence", "fence"
        if _RULE.match(body):
            return "rule", ""
        if body[0] == "<":
            for begin, end in _HTML[:6] if interrupts else _HTML:
                if begin.match(body):
                    self._html_end = end
                    return "html", "" if end is not None and end.search(body) else "html"
        return None


def _item(body: str, indent: int, interrupts: bool) -> _Open | None:
    """The list item that the line begins."""
    found = _MARK.match(body)
    if found is None:
        return None
    content = body[found.end() :].lstrip(" ")
    number, mark = int(found[1] or 0), found[2] or found[3]
    if interrupts and (not content or (found[1] and number != 1)):
        return None
    spaces = len(body) - found.end() - len(content)
    return _Open(mark, indent + found.end() + (spaces if content and spaces < 5 else 1), number)


def _closes(line: str, character: str, length: int) -> bool:
    """Is this the end of the fence?"""
    body = line.strip(" ")
    return len(body) >= length and body == character * len(body) and not line.startswith("    ")


def _cells(row: str) -> int:
    row = row.strip().removeprefix("|")
    return len(_PIPE.findall(row)) + (not row.endswith("|") or row.endswith("\\|"))
