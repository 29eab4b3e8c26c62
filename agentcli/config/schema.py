"""What can be set: the two tables of the configuration, as structs.

Each field says its type, its default, the words for the reference and, as its title, what an error message expects. Annotations
are evaluated here as they stand (no `from __future__`): msgspec would evaluate the strings again, at twice the cost of the module.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

__all__ = ["FLAGS", "VARIABLES", "Config", "ProviderConfig"]

Name: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]+\Z", title="a name of letters, digits, - and _")]
Line: TypeAlias = Annotated[str, Meta(min_length=1, pattern=r"\A[^\x00-\x1f\x7f\ud800-\udfff]+\Z", title="text in one line")]
Words: TypeAlias = Annotated[str, Meta(pattern=r"\A[^\x00\ud800-\udfff]*\Z", title="text")]
Scalar: TypeAlias = str | bool | int | Annotated[float, Meta(ge=-1e308, le=1e308)]
Setting: TypeAlias = Annotated[Scalar | list[str], Meta(title="text, a number, true or false, or a list of texts")]
Wait: TypeAlias = Annotated[float, Meta(gt=0, le=31_536_000, title="a number of seconds above 0")]
# Texts without a pattern: in a union with a list, msgspec 0.22 corrupts its memory over one. What is no key, `ui/binding.py` refuses.
Keys: TypeAlias = Annotated[str | tuple[str, ...], Meta(title="a key such as `c-s`, or a list of keys")]
Limit: TypeAlias = Annotated[float, Meta(ge=0, le=31_536_000, title="a number of seconds, 0 or more")]


def _is(description: str) -> Meta:
    return Meta(description=description)


class ProviderConfig(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`[providers.NAME]`: a server of one's own, or another address for a known one."""

    kind: Annotated[Line, _is("The wire format it speaks, e.g. `openai-chat`. A known provider has its own.")] = ""
    base_url: Annotated[
        str,
        Meta(
            pattern=r"\Ahttps?://[^\s/?#@\x00-\x1f]+([/?][^\s#\x00-\x1f]*)?\Z",
            title="an http:// or https:// address without a user name",
        ),
        _is("Where its API begins, e.g. `http://127.0.0.1:8000/v1`."),
    ] = ""
    key_env: Annotated[
        str,
        Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z", title="the name of an environment variable"),
        _is("The environment variable that holds the key."),
    ] = ""
    key_command: Annotated[Line, _is("A command that prints the key, e.g. `pass show lab`.")] = ""
    headers: Annotated[dict[Name, Line], _is("More headers to send with every request.")] = {}
    script: Annotated[Line, _is("The script of a `scripted` provider; relative to this file.")] = ""
    context: Annotated[
        int,
        Meta(ge=0, le=1 << 40, title="a whole number of tokens"),
        _is("How many tokens its models hold, where that is not known."),
    ] = 0
    models: Annotated[
        dict[Name, Line],
        _is('Names for model files of a `local` provider: `qwen = "models/qwen3.gguf"`; relative to this file.'),
    ] = {}

    def __post_init__(self) -> None:
        if self.key_env and self.key_command:
            raise ValueError("has both `key-env` and `key-command`: keep one")

    def __repr__(self) -> str:
        """Without headers and key command: a representation ends up in logs and tracebacks."""
        return f"ProviderConfig(kind={self.kind!r}, base_url={self.base_url!r}, key_env={self.key_env!r})"


class Config(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What can be set. A default here is the built-in layer."""

    model: Annotated[Line, _is("The model to ask, as `provider/model`. Not set: what is found.")] = ""
    system: Annotated[Words, _is("Instructions for the model.")] = ""
    timeout: Annotated[Limit, _is("How long a whole turn may take. 0: no limit.")] = 300
    idle_timeout: Annotated[Limit, _is("How long the model may be silent. 0: no limit.")] = 120
    connect_timeout: Annotated[Wait, _is("How long to wait for a connection.")] = 10
    tool_timeout: Annotated[Wait, _is("How long one tool may run.")] = 120
    retries: Annotated[
        int,
        Meta(ge=0, le=100, title="a whole number from 0 to 100"),
        _is("How often a request that failed before any answer is made again."),
    ] = 4
    fallback: Annotated[
        tuple[Line, ...], _is("The models to ask instead, in this order, when the model is overloaded or cannot be reached.")
    ] = ()
    max_steps: Annotated[
        int,
        Meta(ge=1, le=1_000_000, title="a whole number above 0"),
        _is("How many answers of the model one turn may take: each round of tools is one."),
    ] = 50
    tools: Annotated[tuple[Line, ...], _is("The tools a model may use: names, or `path.py:function`, relative to this file.")] = ()
    save: Annotated[bool, _is("Keep the threads of `ask`.")] = True
    plain: Annotated[bool, _is("No colour, no redraw.")] = False
    theme: Annotated[
        Literal["auto", "dark", "light", "neutral", "none"],
        Meta(title="`auto`, `dark`, `light`, `neutral` or `none`"),
        _is("The colours. `auto`: those for the background of the terminal, as far as that is known."),
    ] = "auto"
    editing: Annotated[Literal["emacs", "vi"], Meta(title="`emacs` or `vi`"), _is("Whose keys edit the line at the prompt.")] = "emacs"
    keys: Annotated[dict[Name, Keys], _is("Other keys for what can be done at the prompt, by action.")] = {}
    notify: Annotated[
        Literal["none", "bell", "desktop"],
        Meta(title="`none`, `bell` or `desktop`"),
        _is("How to say that a long turn has ended, or asks something."),
    ] = "none"
    notify_after: Annotated[Limit, _is("How long a turn must have taken for that.")] = 20
    aliases: Annotated[dict[Name, Line], _is("Short names for models, e.g. `fast` for `openai/gpt-5.4-mini`.")] = {}
    settings: Annotated[dict[Name, Setting], _is("Settings of the model: `temperature`, `max-tokens`, `effort` and others.")] = {}
    providers: Annotated[dict[Name, ProviderConfig], _is("Servers of your own, by name.")] = {}


# How a key is said on the command line. Only those that have a flag: the rest is set once, in the file.
FLAGS = {
    "model": "--model",
    "system": "--system",
    "timeout": "--timeout",
    "idle-timeout": "--idle-timeout",
    "max-steps": "--max-steps",
    "tools": "--tool",
    "save": "--no-save",
    "plain": "--plain",
    "settings": "-o",
}

# The variables, and what each one's value is to be read as.
VARIABLES = {
    key: f"AGENTCLI_{key.upper().replace('-', '_')}"
    for key in Config.__struct_encode_fields__
    if key not in ("tools", "settings", "providers", "aliases", "fallback", "keys")
}
