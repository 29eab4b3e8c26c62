"""Everything that can be set, for the reference, `config show` and the file that `config edit` begins with."""

from __future__ import annotations

from typing import NamedTuple, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo, fields

from agentcli.config.faults import expected
from agentcli.config.schema import FLAGS, VARIABLES, Config, ProviderConfig

__all__ = ["Key", "keys", "template"]


class Key(NamedTuple):
    """One line of the reference. `default` is TOML, empty if it is not set; `variable` and `flag` are empty if there is none."""

    name: str
    type: str
    default: str
    variable: str
    flag: str
    text: str

    def row(self) -> str:
        """The line of docs/reference/configuration.md."""
        cells = (f"`{cell}`" if cell else "" for cell in (self.name, self.default, self.variable, self.flag))
        name, default, variable, flag = cells
        return f"| {name} | {self.type} | {default} | {variable} | {flag} | {self.text} |"


def keys() -> list[Key]:
    """Everything that can be set, in order."""
    found = [_key(field.encode_name, field) for field in fields(Config) if field.name != "providers"]
    return found + [_key(f"providers.NAME.{field.encode_name}", field) for field in fields(ProviderConfig)]


def template() -> str:
    """A configuration file that sets nothing and says everything."""
    lines = ["# The configuration of agentcli, in TOML (https://toml.io). A line counts once its # is gone.", ""]
    for key in keys():
        if key.name == "settings":
            lines += [
                f"# {key.text}",
                "# [settings]",
                "# temperature = 0.2",
                "",
                "# A server of your own: its models are lab/…",
                "# [providers.lab]",
            ]
        elif key.name.startswith("providers."):
            name = key.name.rpartition(".")[2]
            lines += [f"# {name} = {_EXAMPLES[name]}".ljust(50) + f"# {key.text}"]
        else:
            lines += [f"# {key.text}", f"# {key.name} = {key.default or _EXAMPLES[key.name]}", ""]
    return "\n".join(lines) + "\n"


_EXAMPLES = {
    "model": '"openai/gpt-5.4"',
    "fallback": '["anthropic/claude-sonnet-5"]',
    "aliases": '{ fast = "groq/openai/gpt-oss-120b" }',
    "system": '"Answer briefly."',
    "keys": '{ send = "c-j", new-line = ["enter", "alt-enter"] }',
    "tools": '["clock"]',
    "kind": '"openai-chat"',
    "base-url": '"http://127.0.0.1:8000/v1"',
    "key-env": '"LAB_KEY"',
    "key-command": '"pass show lab"',
    "headers": '{ X-Team = "blue" }',
    "script": '"script.toml"',
    "models": '{ qwen = "models/qwen3.gguf" }',
    "context": "32768",
}


def _key(name: str, field: FieldInfo) -> Key:
    shown = "" if field.default in ("", (), msgspec.NODEFAULT) else msgspec.json.encode(field.default).decode()
    text = next(meta.description for meta in get_args(field.type) if isinstance(meta, Meta) and meta.description)
    return Key(name, expected(field.type), shown, VARIABLES.get(name, ""), FLAGS.get(name, ""), text)
