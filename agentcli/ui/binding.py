"""Which key does what at the prompt, and how that is changed.

`ACTIONS` is the table: what a person can do at the prompt, with the keys it has and the words for them. `[keys]` in the configuration
gives an action other keys:

    [keys]
    send = "c-j"
    new-line = ["enter", "alt-enter"]
    search = []

A key is spelled as prompt-toolkit spells it (`c-s`, `s-tab`, `escape enter`) or as it is spoken: `ctrl-s`, `shift-tab`, `alt-enter`.
Keys that are pressed one after the other stand in one text, with a space between them. An empty list leaves an action without a key.

What cannot work is a fault of the configuration: an action or a key that does not exist, a letter that could then not be typed, one
key for two actions of the same moment, no key to send or to stop. All of this is known without prompt-toolkit, whose names of keys are
listed here: what is wrong should be said before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from agentcli.config import Loaded
    from agentcli.errors import UserError

__all__ = ["ACTIONS", "ALIASES", "KEYS", "Action", "Keys", "bindings", "key_names", "keys_help", "plain_help", "spoken", "table"]

# The keys of each action: sequences of names.
Keys: TypeAlias = dict[str, list[tuple[str, ...]]]


class Action(NamedTuple):
    """What can be done: its keys unless others are set, what it is, and at which moment its keys are live."""

    keys: tuple[str, ...]
    text: str
    when: str = ""  # empty: always at the prompt
    needed: bool = False


ACTIONS: dict[str, Action] = {
    "send": Action(("enter",), "sends; while an answer comes, it waits for its turn", needed=True),
    "new-line": Action(("escape enter", "c-j"), "begins a new line"),
    "send-now": Action(("c-s",), "sends into the answer that is under way, at its next step"),
    "stop": Action(("c-c",), "stops the answer, and keeps it; or clears the line", needed=True),
    "leave": Action(("c-d",), "on an empty line: leaves"),
    "take-back": Action(("up",), "on an empty line: takes back what waits to be sent", when="something waits"),
    "history-back": Action(("up", "c-p"), "what you typed before, also in earlier chats"),
    "history-forward": Action(("down", "c-n"), "the way back from there"),
    "search": Action(("c-r",), "searches what you typed before"),
    "complete": Action(("tab",), "completes a command, a model, a thread or a file"),
    "editor": Action(("c-x c-e",), "opens what you typed in your editor"),
    "open-paste": Action(("c-o",), "opens a folded paste"),
    "add-time": Action(("c-t",), "gives the turn more time"),
    "redraw": Action(("c-l",), "clears the screen"),
    "suspend": Action(("c-z",), "leaves for the shell; `fg` comes back"),
}

_LETTERS, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_MOVES = ("left", "right", "up", "down", "home", "end", "insert", "delete", "pageup", "pagedown")
_FUNCTIONS = tuple(f"f{number}" for number in range(1, 25))

# All names of keys that have one; what else can be pressed is a character.
KEYS = frozenset(
    ["escape", "s-escape", "s-tab"]
    + [f"c-{key}" for key in (*_LETTERS, *_DIGITS, "@", "\\", "]", "^", "_", *_MOVES, *_FUNCTIONS)]
    + [f"c-s-{key}" for key in (*_DIGITS, *_MOVES)]
    + [f"s-{key}" for key in _MOVES]
    + [*_MOVES, *_FUNCTIONS]
)

# Other names for the same: what a terminal sends for Tab is Ctrl-I.
ALIASES = {
    "enter": "c-m",
    "return": "c-m",
    "tab": "c-i",
    "backspace": "c-h",
    "c-space": "c-@",
    "c-[": "escape",
    "esc": "escape",
    "del": "delete",
    "ins": "insert",
    "space": " ",
}
_MODIFIERS = {"c": "c", "ctrl": "c", "control": "c", "s": "s", "shift": "s", "a": "a", "alt": "a", "m": "a", "meta": "a"}
_SPOKEN = {"c": "Ctrl", "s": "Shift", "c-m": "Enter", "c-i": "Tab", "c-h": "Backspace", "c-@": "Ctrl-Space", " ": "Space"}


def bindings(loaded: Loaded) -> Keys:
    """The keys of every action, as the configuration has them; what is wrong there is a UserError that says where."""
    said = loaded.config.keys
    for name in said:
        if name not in ACTIONS:
            raise _unknown(loaded, name)
    found: Keys = {}
    for name, action in ACTIONS.items():
        keys = said.get(name, action.keys)
        found[name] = [_sequence(loaded, name, text) for text in ([keys] if isinstance(keys, str) else keys)]
        if action.needed and not found[name]:
            raise _fault(loaded, name, f"`{name}` needs a key")
    _check_shared(loaded, found)
    return found


def key_names(text: str) -> tuple[str, ...]:
    """`ctrl-x c-e` as prompt-toolkit calls it: `("c-x", "c-e")`. A ValueError says which part is no key."""
    found: list[str] = []
    for word in text.split():
        found += _key(word)
    if not found:
        raise ValueError("there is no key in it")
    if len(found[0]) == 1:
        raise ValueError(f"{found[0]!r} alone could not be typed any more")
    return tuple(found)


def spoken(sequence: Sequence[str]) -> str:
    """A key as one says it: `Ctrl-X Ctrl-E`, `Alt-Enter`."""
    words: list[str] = []
    for name in sequence:
        if name in _SPOKEN:
            word = _SPOKEN[name]
        else:
            *before, last = name.split("-") if len(name) > 1 else [name]
            word = "-".join([*(_SPOKEN[part] for part in before), last.upper() if len(last) == 1 else last.capitalize()])
        if words and words[-1] == "Escape":
            words[-1] = f"Alt-{word}"
        else:
            words.append(word)
    return " ".join(words)


def keys_help(keys: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """The keys, a line for each action that has one."""
    rows = [(", ".join(map(spoken, keys[name])), action.text) for name, action in ACTIONS.items() if keys.get(name)]
    width = max((len(names) for names, _ in rows), default=0)
    return "\n".join(f"  {names:{width}}  {text}" for names, text in rows)


def plain_help() -> str:
    """The keys where a line is edited by the terminal itself (`line.py`)."""
    return (
        "  Enter         sends\n"
        "  \\             at the end of a line: the message goes on in the next\n"
        '  """           on a line of its own: begins and ends a message of several lines\n'
        "  Ctrl-C        stops the answer and keeps what there is of it; else clears what you typed\n"
        "  Ctrl-D        on an empty line: leaves"
    )


def table() -> str:
    """The table of the reference: every action, its keys, what it does."""
    lines = ["| keys | what it does | action |", "|---|---|---|"]
    for name, action in ACTIONS.items():
        keys = ", ".join(spoken(key_names(key)) for key in action.keys)
        lines.append(f"| {keys} | {action.text} | `{name}` |")
    return "\n".join(lines)


def _key(word: str) -> tuple[str, ...]:
    """One key: its name, behind `escape` if it is pressed with Alt, which is the same to a terminal."""
    *held, last = _parts(word)
    modifiers = sorted({_MODIFIERS[part.lower()] for part in held if part.lower() in _MODIFIERS})
    if len(modifiers) != len(held):
        raise ValueError(f"{word!r} is no key")
    before: tuple[str, ...] = ()
    if "a" in modifiers:
        modifiers.remove("a")
        before = ("escape",)
    plain = last.lower() if len(last) > 1 or modifiers else last
    for key in (plain, ALIASES.get(plain, plain)):  # `shift-del` is `s-delete`
        name = "-".join([*modifiers, key])
        name = ALIASES.get(name, name)
        if name in KEYS or (len(name) == 1 and name.isprintable()):
            return (*before, name)
    raise ValueError(f"{word!r} is no key")


def _parts(word: str) -> list[str]:
    """`ctrl-x` at its dashes; the last may be one itself."""
    return [*word[:-2].split("-"), "-"] if word.endswith("--") else word.split("-") if len(word) > 1 else [word]


def _sequence(loaded: Loaded, name: str, text: str) -> tuple[str, ...]:
    try:
        return key_names(text)
    except ValueError as error:
        hint = "Keys are spelled `c-s`, `ctrl-s`, `alt-enter`, `s-tab`, `f5`, `escape enter`, `c-x c-e`."
        raise _fault(loaded, name, f"`{name}` cannot be {text!r}: {error}", hint) from None


def _check_shared(loaded: Loaded, found: Keys) -> None:
    of: dict[tuple[tuple[str, ...], str], str] = {}
    for name, sequences in found.items():
        for sequence in sequences:
            other = of.setdefault((sequence, ACTIONS[name].when), name)
            if other != name:
                wrong, right = (name, other) if name in loaded.config.keys else (other, name)
                raise _fault(
                    loaded,
                    wrong,
                    f"`{wrong}` and `{right}` have the same key, {spoken(sequence)}",
                    f"Give `{right}` another one too, in [keys].",
                )


def _unknown(loaded: Loaded, name: str) -> UserError:
    from difflib import get_close_matches

    near = get_close_matches(name.lower().replace("_", "-"), ACTIONS, n=1)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    return _fault(loaded, name, f"unknown action `{name}` in [keys]{meant}", f"What has keys: {', '.join(ACTIONS)}.")


def _fault(loaded: Loaded, name: str, message: str, hint: str = "") -> UserError:
    from agentcli import config

    return config.fault(loaded, f"keys.{name}", message, hint)
