"""A tool out of a file of the user's own: `--tool path.py:function`.

Loading executes the file. That is what the user asked for by naming it, on the command line or in their own configuration; nothing
is ever loaded because it lies in a folder. A tool made with `@tool(asks=True)` is still approved call by call.

The file runs once as a module with a name of its own, and its folder is added at the end of the import path: it can import what lies
beside it, but cannot take the place of a module that agentcli or Python has.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from agentcli.core.tool import Tool, tool
from agentcli.errors import Exit, UserError

__all__ = ["from_file"]

_HOW = "A tool of your own is a typed function with a docstring: --tool path.py:function"


def from_file(name: str, known: Iterable[str]) -> Tool:
    """The tool that `path.py:function` names."""
    found = re.fullmatch(r"(?P<path>.*\.py)(?::(?P<function>[^:/\\]*))?", name, re.DOTALL)
    if found is None:
        raise _unknown(name, list(known))
    path = Path(os.path.expanduser(found["path"]))
    if not path.is_file():
        raise _wrong(f"there is no file {path}", f"{_HOW}, from {Path.cwd()}")
    module = _module(path.resolve())
    function = found["function"]
    offered = _offered(module)
    if not function:
        raise _wrong(f"say which function of {path} is the tool", f"It has: {', '.join(offered) or 'none'}.")
    value = getattr(module, function, None)
    if value is None:
        near = get_close_matches(function, offered, 3) or offered
        raise _wrong(f"{path} has no function {function!r}", f"The nearest: {', '.join(near)}." if near else _HOW)
    if isinstance(value, Tool):
        return value
    if not callable(value) or isinstance(value, type):
        raise _wrong(f"{function} in {path} is not a function but a {type(value).__name__}", _HOW)
    try:
        return tool(value)
    except TypeError as error:
        raise _wrong(f"{path}:{function} cannot be a tool: {error}", _HOW) from None


def _module(path: Path) -> ModuleType:
    """The file as a module; the same one for every tool of that file."""
    name = f"agentcli_tools_{hashlib.sha256(str(path).encode(errors='surrogateescape')).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # where type hints and dataclasses look themselves up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        # Not the spec's own loader: it would leave a __pycache__ beside the user's file.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _wrong(f"cannot load {path}: {_where(error, path)}{type(error).__name__}: {error}", "Is it a Python file?") from error
    return module


def _where(error: BaseException, path: Path) -> str:
    """The line of the file that failed, or that led to the failure."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"line {error.lineno}: "
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""


def _offered(module: ModuleType) -> list[str]:
    """What of a module may be meant: its tools and its own functions."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, Tool)
        or (not name.startswith("_") and callable(value) and not isinstance(value, type) and value.__module__ == module.__name__)
    ]


def _unknown(name: str, known: list[str]) -> UserError:
    near = get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    return _wrong(f"there is no tool {name!r}", f"{hint} {_HOW}")


def _wrong(message: str, hint: str) -> UserError:
    return UserError(message, hint=hint, exit_code=Exit.USAGE)
