"""Why the process of a model has ended, in words: from its exit code, and from the end of its log."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from agentcli import extra
from agentcli.core.provider import ProviderError
from agentcli.providers.local import child

__all__ = ["judge", "over", "short"]

_QUOTED = 300  # characters of a log that are quoted
_BUILT_FOR_ANOTHER = -4  # SIGILL: an instruction that this processor does not have


def judge(name: str, path: Path, code: int, log: list[str]) -> ProviderError:
    """What it means that the process ended, though nobody asked it to."""
    reason = _reason(log)
    if code == child.FAILED:
        memory = re.search(r"alloc|memory", reason, re.IGNORECASE)
        hint = "Is there memory enough for it?" if memory else "Is the file whole, and made for this version of llama.cpp?"
        return ProviderError("bad_request", f"{path} cannot be loaded: {reason}", hint=hint)
    if code in (child.UNUSABLE, _BUILT_FOR_ANOTHER):
        why = reason if code == child.UNUSABLE else "it was built for another processor"
        return ProviderError("bad_request", f"llama.cpp does not run here: {why}", hint=f"Install it anew: {extra.command('local')}")
    if code >= 0:
        return over(name, f"has ended ({code}): {reason}")
    signals = {each.value: each.name for each in signal.Signals}
    what = signals.get(-code, str(-code))
    if what == "SIGKILL":
        hint = "The system does this when memory runs out: take a smaller model."
        return ProviderError("server", f"the process of {name} was killed", hint=hint)
    return over(name, f"fell over ({what}): {reason}")


def over(name: str, what: str) -> ProviderError:
    return ProviderError("server", f"the process of {name} {what}", hint="Ask again.")


def short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _reason(log: list[str]) -> str:
    """What the log says went wrong: the first error, without the time and the function."""
    for line in log:
        if found := re.search(r"error loading model: (.+)", line):
            return short(found[1])
    errors = (re.fullmatch(r"[\d.]+ E (?:\w+ +)?[\w()]+: (.+)", line) for line in log)
    first = next((found[1] for found in errors if found), "") or next(filter(None, reversed(log)), "")
    return short(first or "it does not say why")
