"""What a user sets (`-o KEY=VALUE`), as generateContent wants it.

Most settings stand in `generationConfig`, by their names there (`top-k` is `topK`); a few stand beside it. `effort` is a level of
thinking for the models from Gemini 3 on, and a budget of tokens for those of 2.5, which have no levels. Models that think are asked to
show it: it costs nothing, and a model that thinks for minutes without a word looks like one that has stalled. A setting that is null
takes out what would be sent; tools of the server's own (`tools=[{"googleSearch": {}}]`) are added to those of the agent.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from agentcli.core.provider import Request

__all__ = ["is_older", "settle"]

Json: TypeAlias = dict[str, Any]

_BESIDE = {
    "tools",
    "toolConfig",
    "systemInstruction",
    "safetySettings",
    "cachedContent",
    "labels",
    "serviceTier",
    "store",
    "modelArmorConfig",
}
_THINKING = {"includeThoughts", "thinkingLevel", "thinkingBudget"}
_RENAMED = {"maxTokens": "maxOutputTokens", "stop": "stopSequences"}

# Before Gemini 3: thought signatures are not asked for, tools exclude structured output.
_OLDER = re.compile(r"gemini-[12]\b|gemini-(pro|ultra|exp|pro-vision)\b(?!-latest)|gemma|learnlm", re.ASCII)
_BUDGETED = re.compile(r"gemini-2\.5\b", re.ASCII)
_SHOWS = re.compile(
    r"(?!.*(image|tts|audio|live|embedding))gemini-(2\.5-(?!flash-lite)|[3-9]|\d\d|(pro|flash|flash-lite)-latest)", re.ASCII
)

_LEVELS = {"none": "minimal", "max": "high"}
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
_LEAST = 128  # a budget that 2.5 Pro takes: it always thinks


def is_older(model: str) -> bool:
    """Is it a model from before Gemini 3? One whose name says nothing is not."""
    return bool(_OLDER.match(_name(model)))


def settle(body: Json, request: Request) -> Json:
    """The body with what the user has set, and with what the model should be told about its thinking."""
    name = _name(request.model)
    config: Json = body.get("generationConfig", {})
    shown: Json = {"includeThoughts": True} if _SHOWS.match(name) else {}
    thinking: Json = {}
    for setting, value in request.settings.items():
        key = re.sub(r"[-_]([a-z])", lambda found: found[1].upper(), setting)
        key = _RENAMED.get(key, key)
        if key == "effort":
            shown |= _effort(value, name)
        elif key in _THINKING:
            thinking[key] = value
        elif key == "tools" and isinstance(value, list):
            body["tools"] = [*body.get("tools", ()), *value]
        elif key in _BESIDE:
            body[key] = value
        else:
            config[key] = [value] if key == "stopSequences" and isinstance(value, str) else value
    if (shown | thinking).get("thinkingBudget") == 0:
        shown.pop("includeThoughts", None)  # refused where there is nothing to show
    if thinking := _said(shown | thinking):
        config.setdefault("thinkingConfig", thinking)
    return _said({**body, "generationConfig": _said(config) or None})


def _effort(value: Any, name: str) -> Json:
    """How much to think: a word, or a number of tokens."""
    if value is None:
        return {}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"includeThoughts": True, "thinkingBudget": value}
    if not _BUDGETED.match(name):
        return {"includeThoughts": True, "thinkingLevel": _LEVELS.get(value, value) if isinstance(value, str) else value}
    budget = _BUDGETS.get(str(value), value)
    return {"includeThoughts": True, "thinkingBudget": budget or (_LEAST if "-pro" in name else 0)}


def _said(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _name(model: str) -> str:
    return model.rpartition("/")[2]
