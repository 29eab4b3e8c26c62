"""Named agents: instructions, tools, settings and a model under a name, in a file each.

    agents/reviewer.toml        description = "Reads a change and says what is wrong with it."
                                instructions = "You review code. …"

The file is read as strictly as the configuration, and its faults are told in the same way, with the line. A file that is not there is
no agent; one that is wrong is a `UserError` and never taken for one that is not there. The name is the file's: letters, digits, `-`
and `_`, so that it can be typed, be part of a path, and say who spoke.

`laid_over()` is where an agent stands among the layers of the configuration: over the file and the variables, under the flags. An
agent is whole: instructions or tools that it does not name it does not have. What it says nothing of (model, settings, steps) is as it
was. Nothing here is imported unless somebody names an agent.
"""

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields, replace

from agentcli.config import Loaded, anchored, places
from agentcli.config.document import line_of, parse, read
from agentcli.config.faults import Fault, faults
from agentcli.config.schema import Line, Name, Setting, Words
from agentcli.errors import Exit, UserError

__all__ = [
    "NONE", "ORIGIN", "AgentConfig", "NamedAgent", "allowed", "check_name", "decoded", "fault", "file_of", "find", "laid_over", "load",
    "misnamed", "names", "template",
]  # fmt: skip

NONE = "none"  # says that no agent is wanted
ORIGIN = "the agent's"  # where a value of the configuration came from, if an agent says it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TAKEN = (NONE, "agentcli")  # `agentcli` is who speaks where no agent was named
_ENDING = ".toml"
_SOME = 10  # names in a hint


class AgentConfig(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What an agent's file says."""

    description: Annotated[Line, Meta(description="What it is for, in a line.")] = ""
    model: Annotated[Line, Meta(description="The model to ask, as `provider/model`, or an alias. Not set: as without an agent.")] = ""
    tools: Annotated[
        tuple[Line, ...], Meta(description="The tools it may use: names, or `path.py:function`, relative to this file.")
    ] = ()
    max_steps: Annotated[
        int,
        Meta(ge=1, le=1_000_000, title="a whole number above 0"),
        Meta(description="How many answers of the model one turn may take."),
    ] = 0  # not set
    instructions: Annotated[Words, Meta(description="What the model is told before everything else.")] = ""
    settings: Annotated[dict[Name, Setting], Meta(description="Settings of the model: `temperature`, `max-tokens`, `effort`.")] = {}


class NamedAgent(Struct, frozen=True):
    """An agent, and the file that it comes from."""

    name: str
    file: Path
    text: str
    config: AgentConfig


def load(name: str) -> NamedAgent:
    """The agent of that name. UserError if there is none, with the nearest one, or if its file is wrong."""
    if found := find(name):
        return found
    known = names()
    if near := get_close_matches(name.lower(), known, 1):
        hint = f"Did you mean {near[0]}?"
    elif known:
        hint = f"There are: {', '.join(known[:_SOME])}{', …' if len(known) > _SOME else ''}."
    else:
        hint = "There are none yet: `agentcli agents new NAME` begins one."
    raise UserError(f"there is no agent {_shown(name)}", hint=hint, exit_code=Exit.USAGE)


def find(name: str) -> NamedAgent | None:
    """The agent of that name, None if there is none. UserError if its file is wrong."""
    if not allowed(name):
        return None
    file = file_of(name)
    text = read(file, required=False)
    return None if text is None else NamedAgent(name, file, text, decoded(file, text))


def names() -> list[str]:
    """The agents that there are."""
    return [stem for stem in _stems() if allowed(stem)]


def misnamed() -> list[str]:
    """Files beside them that are agents by their ending, but not by their name."""
    return [f"{stem}{_ENDING}" for stem in _stems() if not allowed(stem)]


def allowed(name: str) -> bool:
    """Can an agent be called so?"""
    return _NAME.fullmatch(name) is not None and name.lower() not in _TAKEN


def check_name(name: str) -> None:
    """UserError if no agent can be called so."""
    if not allowed(name):
        hint = "A name has letters, digits, - and _, begins with a letter or a digit, and is not longer than 64."
        if name.lower() in _TAKEN:
            hint = f"{' and '.join(_TAKEN)} have a meaning of their own."
        raise UserError(f"an agent cannot be called {_shown(name)}", hint=hint, exit_code=Exit.USAGE)


def file_of(name: str) -> Path:
    """Where an agent is, or would be."""
    return places().agents / f"{name}{_ENDING}"


def decoded(file: Path, text: str) -> AgentConfig:
    """What the text of a file says; a UserError with the line if it is wrong."""
    try:
        document = anchored(parse(file, text), file.parent)
    except UserError as error:
        hint = error.hint.replace("agentcli config edit", f"agentcli agents edit {file.stem}")
        raise UserError(error.message, hint=hint, exit_code=error.exit_code) from None
    for found in faults(document, AgentConfig):
        raise _told(file, text, found)
    return msgspec.convert(document, AgentConfig)


def fault(agent: NamedAgent, key: str, error: UserError) -> UserError:
    """A fault in a value that only others can judge, such as the name of a model. It says where the value is."""
    return _told(agent.file, agent.text, Fault((key,), error.message, error.hint))


def laid_over(loaded: Loaded, agent: NamedAgent) -> Loaded:
    """The configuration as it is for this agent, in place of the one that was laid over it before."""
    base = loaded.own or loaded
    said, origins = agent.config, dict(base.origins)

    def free(key: str) -> bool:
        return not origins.get(key, "").startswith("-")

    changes: dict[str, Any] = {"system": said.instructions, "tools": said.tools}
    changes |= {key: value for key, value in (("model", said.model), ("max-steps", said.max_steps)) if value}
    changes = {key: value for key, value in changes.items() if free(key)}
    settings = {key: value for key, value in said.settings.items() if free(f"settings.{key}")}
    origins |= dict.fromkeys([*changes, *(f"settings.{key}" for key in settings)], ORIGIN)
    config = replace(
        base.config, settings=base.config.settings | settings, **{key.replace("-", "_"): value for key, value in changes.items()}
    )
    return replace(base, config=config, origins=origins, agent=agent, own=base)


def template(config: AgentConfig) -> str:
    """The text of a file that says this, and what else could be said, in comments."""
    lines = ["# An agent of agentcli, in TOML (https://toml.io). A line counts once its # is gone.", ""]
    for field in fields(AgentConfig):
        name, value = field.encode_name, getattr(config, field.name)
        lines.append(f"# {_description(field.type)}")
        if name == "settings":
            rows = [f"{key} = {_toml(each)}" for key, each in value.items()]
            lines += ["[settings]", *rows] if rows else ["# [settings]", "# temperature = 0.2"]
        elif value:
            lines.append(f"{name} = {_toml(value)}")
        else:
            lines.append(f"# {name} = {_EXAMPLES[name]}")
        lines.append("")
    return "\n".join(lines)


_EXAMPLES = {
    "description": '"Reads a change and says what is wrong with it."',
    "model": '"openai/gpt-5.4"',
    "tools": '["clock"]',
    "max-steps": "50",
    "instructions": '"Answer briefly."    # of many lines between """ and """',
}


def _description(kind: Any) -> str:
    return next(meta.description for meta in kind.__metadata__ if isinstance(meta, Meta) and meta.description)


def _toml(value: Any) -> str:
    """A value as TOML; a text of several lines as such, where it can be written so."""
    from tomllib import loads

    import tomlkit

    if isinstance(value, str) and "\n" in value:
        written = tomlkit.string(value, multiline=True).as_string()
        if loads(f"x = {written}")["x"] == value:
            return written
    return str(tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string())


def _stems() -> list[str]:
    """The files of the folder that end as an agent's does, without that, sorted."""
    folder = places().agents
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}", exit_code=Exit.CONFIG) from None
    stems = (each.removesuffix(_ENDING) for each in found if each.endswith(_ENDING) and each[0] != ".")
    return sorted(stems, key=lambda stem: (stem.lower(), stem))


def _told(file: Path, text: str, found: Fault) -> UserError:
    line = line_of(text, found.path)
    return found.error(f"{file}:{line}" if line else str(file))


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}…")
