"""The tools that come with the program: what `--tool NAME` may name.

A table of names, each with the place of its Tool; nothing is imported until it is asked for. A new tool is one file and one line
here: docs/extend/tool.md. `load()` also takes a function in a file of the user's own, `path.py:function`.
"""

from __future__ import annotations

from importlib import import_module

from agentcli.core.tool import Tool

__all__ = ["TOOLS", "load"]

# name -> "module:attribute"
TOOLS = {
    "clock": "agentcli.tools.clock:clock",
}


def load(name: str) -> Tool:
    """The tool of that name, or the one that `path.py:function` makes, or a UserError."""
    if place := TOOLS.get(name):
        module, _, attribute = place.partition(":")
        tool: Tool = getattr(import_module(module), attribute)
        return tool
    from agentcli.tools.own import from_file

    return from_file(name, TOOLS)
