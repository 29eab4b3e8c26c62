"""Code in colours, one line at a time.

A fence is printed line by line as it arrives, so its colours must not need the lines to come. Pygments' lexers read a whole text; but
most of them are tables of rules with a stack of states, and what the lines so far mean for the next one is exactly that stack. So the
loop over the rules is here, and the stack is kept from line to line. Lexers of another make see each line alone. The one thing that
tables match across lines is a block comment: a line that opens one colours those that follow until it is closed.

The colours are few and those of the theme (`theme.py`), and there is no background: what is copied from the screen is the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from functools import lru_cache
from itertools import groupby
from typing import Any

from agentcli.ui import theme
from agentcli.ui.theme import Role

__all__ = ["Highlighter"]

LONGEST = 2000  # characters of a line; a longer one is printed plain, since a lexer may be slow with it

_ROLES: dict[str, Role] = {
    "Token.Comment": "code.comment",
    "Token.Comment.Preproc": "code.keyword",
    "Token.Keyword": "code.keyword",
    "Token.Operator.Word": "code.keyword",
    "Token.Name.Tag": "code.keyword",
    "Token.Literal.String": "code.string",
    "Token.Literal.Number": "code.number",
    "Token.Keyword.Constant": "code.number",
    "Token.Name.Builtin": "code.name",
    "Token.Name.Decorator": "code.name",
    "Token.Name.Attribute": "code.name",
    "Token.Name.Function": "code.definition",
    "Token.Name.Class": "code.definition",
    "Token.Generic.Heading": "code.heading",
    "Token.Generic.Subheading": "code.place",
    "Token.Generic.Inserted": "code.inserted",
    "Token.Generic.Deleted": "code.deleted",
    "Token.Generic.Prompt": "code.prompt",
}
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_COMMENTS = (("/*", "*/"), ("<!--", "-->"))


class Highlighter:
    """The lines of one piece of code, in order. `language` is what stands behind the fence."""

    def __init__(self, language: str = "") -> None:
        name = _LANGUAGE.match(language)
        self._lexer = _lexer(name[0].lower()) if name else None
        self._stack = ["root"]
        self._comment = ""  # what ends the block comment that the next line is in

    def line(self, text: str) -> str:
        """The line in colours, as text for a terminal."""
        if self._lexer is None or len(text) > LONGEST or not text:
            return text
        codes = theme.current().codes
        if self._comment:
            if self._comment in text:
                self._comment = ""
            return _colored(codes["code.comment"], text)
        if opened := self._opened(text):
            self._comment = opened
            return _colored(codes["code.comment"], text)
        pieces: list[str] = []
        for code, run in groupby(self._tokens(text + "\n"), key=lambda one: codes[role] if (role := _role(one[0])) else ""):
            pieces.append(_colored(code, "".join(value for _, value in run).removesuffix("\n")))
        return "".join(pieces)

    def twin(self) -> Highlighter:
        """A copy, for a line that is not whole yet."""
        twin = copy(self)
        twin._stack = self._stack.copy()
        return twin

    def _opened(self, text: str) -> str:
        bare = text.lstrip()
        for begin, end in _COMMENTS:
            if bare.startswith(begin) and end not in bare and _comments(self._lexer, begin, end):
                return end
        return ""

    def _tokens(self, text: str) -> Iterator[tuple[Any, str]]:
        if not _is_table(self._lexer):
            assert self._lexer is not None
            return ((token, value) for _, token, value in self._lexer.get_tokens_unprocessed(text))
        return self._by_table(text)

    def _by_table(self, text: str) -> Iterator[tuple[Any, str]]:
        """What `RegexLexer.get_tokens_unprocessed` does, with a stack that outlives the line."""
        lexer: Any = self._lexer
        rules, stack, at = lexer._tokens, self._stack, 0
        while at < len(text):
            for match_at, action, state in rules[stack[-1]]:
                if found := match_at(text, at):
                    if action is not None:
                        if callable(action):
                            yield from ((token, value) for _, token, value in action(lexer, found))
                        else:
                            yield action, found[0]
                    at = found.end()
                    _move(stack, state)
                    break
            else:
                if text[at] == "\n":
                    stack[:] = ["root"]
                yield None, text[at]
                at += 1


def _move(stack: list[str], state: Any) -> None:
    """Follow a rule to its next state, in any of the ways that Pygments writes it."""
    if state is None:
        return
    for one in state if isinstance(state, tuple) else (state,):
        if one == "#pop":
            del stack[-1:]
        elif isinstance(one, int):
            del stack[one:]
        else:
            stack.append(stack[-1] if one == "#push" else one)
        if not stack:
            stack.append("root")


def _colored(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if code and text and not text.isspace() else text


@lru_cache(maxsize=1000)
def _role(token: Any) -> Role | None:
    while token:
        if role := _ROLES.get(str(token)):
            return role
        token = token.parent
    return None


@lru_cache(maxsize=100)
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        return get_lexer_by_name(language)
    except ClassNotFound:
        return None


@lru_cache(maxsize=100)
def _is_table(lexer: Any) -> bool:
    from pygments.lexer import RegexLexer  # type: ignore[import-untyped]

    return type(lexer).get_tokens_unprocessed is RegexLexer.get_tokens_unprocessed


@lru_cache(maxsize=100)
def _comments(lexer: Any, begin: str, end: str) -> bool:
    """Does the language write comments so?"""
    return all("Comment" in str(token) for token, value in lexer.get_tokens(f"{begin} a {end}") if value.strip())
