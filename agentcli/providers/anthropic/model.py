"""What must be known of a model to ask it: how much it can write, and how it is told to think.

The API refuses what a model does not take, so this goes by the version in the name (`claude-haiku-4-5-20251001` is 4.5):

- to 3.5: it does not think. 3.7 to 4.5: it thinks within a budget of tokens. 4.6 and later: as much as seems right to it
  ("adaptive"), steered by `effort`; from 4.7 on there is no budget. From 5 on it thinks unasked, but shows nothing of it unasked.
- `effort` as such: Opus 4.5, and every model from 4.6 on. Before, it is put into tokens.
- temperature and its like: never while it thinks; not at all from 4.7 on. An answer that has begun is gone on with only before 4.6.

A Claude without a version in its name is a new one. A model that is no Claude, on a server that speaks the same API, is asked in the
old way, which most such servers know.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["Model", "Thinking"]

Json: TypeAlias = dict[str, Any]

_VERSION = re.compile(r"claude-(?:[a-z]+-)*(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NEWEST = (99, 0)

_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 49_152}
_LEAST = 1_024  # tokens of a budget
_OFF = (False, 0, "off", "none", "disabled")
_WITHOUT, _WITH = 32_000, 64_000  # tokens that an answer may take, if the model can write so many: without thinking, and with it
_UNKNOWN = 8_192


class Thinking(Struct, frozen=True):
    """What is said of thinking in a request, and how many tokens thinking and answer may take together."""

    how: Json | None
    most: int
    on: bool  # it thinks, told to or not


class Model(Struct, frozen=True):
    """A model, by its name. `version` is None if it is no Claude."""

    version: tuple[int, int] | None = None
    opus: bool = False

    @classmethod
    def of(cls, name: str) -> Model:
        if "claude" not in name:
            return cls()
        found = _VERSION.search(name)
        return cls((int(found[1]), int(found[2] or 0)) if found else _NEWEST, "opus" in name)

    def within(self, first: tuple[int, int], last: tuple[int, int] = _NEWEST) -> bool:
        return self.version is not None and first <= self.version <= last

    @property
    def most(self) -> int | None:
        """The tokens it can write at once, if that is known."""
        if self.version is None:
            return None
        if self.opus and self.within((4, 0), (4, 1)):
            return 32_000
        steps = (((3, 4), 4_096), ((3, 6), 8_192), ((4, 5), 64_000))
        return next((tokens for last, tokens in steps if self.version <= last), 128_000)

    @property
    def adapts(self) -> bool:
        return self.within((4, 6))

    @property
    def thinks(self) -> bool:
        """Does it think unasked?"""
        return self.within((5, 0))

    @property
    def budgets(self) -> bool:
        return self.version is None or self.within((3, 7), (4, 6))

    @property
    def takes_effort(self) -> bool:
        return self.within((4, 6)) or (self.opus and self.within((4, 5)))

    @property
    def takes_temperature(self) -> bool:
        return not self.within((4, 7))

    @property
    def goes_on(self) -> bool:
        """Can it go on from an answer that has begun? Not while it thinks."""
        return not self.within((4, 6))

    @property
    def takes_schema(self) -> bool:
        return self.within((4, 5))

    def thinking(self, asked: Any, effort: Any, most: int | None, *, unasked: bool) -> Thinking:
        """What `thinking` and `effort` mean for it. `most` is what `max-tokens` says; `unasked`: nobody said `thinking`."""
        how = self._how(asked, effort, unasked)
        on = how["type"] != "disabled" if how and "type" in how else self.thinks
        ours = how is not None and not isinstance(asked, dict)
        budget: int = how.get("budget_tokens", 0) if ours and how else 0
        if most is None:
            known = self.most
            room = _UNKNOWN if known is None else _WITH if on else _WITHOUT
            most = min(max(room, budget + _UNKNOWN if budget else 0), known or budget + _UNKNOWN)
        if budget and budget >= most:
            budget = most * 3 // 4
            how = {"type": "enabled", "budget_tokens": budget} if budget >= _LEAST else None
            on = how is not None
        return Thinking(how, most, on)

    def _how(self, asked: Any, effort: Any, unasked: bool) -> Json | None:
        if isinstance(asked, dict):
            return asked
        if unasked:
            asked = effort not in _OFF if effort is not None else None
        elif asked is None:
            return None
        if asked is None:  # nobody asked for anything: a model that thinks anyway may show it
            return {"type": "adaptive", "display": "summarized"} if self.thinks else None
        if asked in _OFF:
            return {"type": "disabled"} if self.thinks else None
        tokens = int(asked) if isinstance(asked, int | float) and not isinstance(asked, bool) and asked % 1 == 0 else 0
        if asked == "adaptive" or (self.adapts and not (tokens and self.budgets)):
            return {"type": "adaptive", "display": "summarized"}
        if not self.budgets:
            return None
        return {"type": "enabled", "budget_tokens": max(_LEAST, tokens or self._budget(effort))}

    def _budget(self, effort: Any) -> int:
        if effort is None:
            return _BUDGETS["medium"]
        if not isinstance(effort, str) or effort not in _BUDGETS:
            raise ProviderError(
                "bad_request", f"this model cannot be told to think with the effort {effort!r}", hint=f"One of {', '.join(_BUDGETS)}."
            )
        return _BUDGETS[effort]
