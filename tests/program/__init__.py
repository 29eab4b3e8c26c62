"""The real program, started as a user's shell would start it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

__all__ = ["PROGRAM", "agentcli", "environment", "start"]

PROGRAM = [sys.executable, "-m", "agentcli"]


def environment(server: Any = None, **more: str | None) -> dict[str, str]:
    """The environment of the test, with the server as the model's, and `more` set or (None) unset."""
    found = {**os.environ, **({"OPENAI_BASE_URL": server.url, "AGENTCLI_MODEL": "openai/any"} if server else {})}
    for name, value in more.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def agentcli(
    *arguments: str, server: Any = None, stdin: str | bytes | None = None, **more: str | None
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end. Without `stdin` it gets an empty one."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*PROGRAM, *arguments],
        input=data if data is not None else b"",
        capture_output=True,
        timeout=40,
        env=environment(server, **more),
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "replace")
    )


def start(*arguments: str, server: Any = None, **options: Any) -> subprocess.Popen[bytes]:
    """Start the program and leave it running."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=options.pop("env", None) or environment(server),
        **options,
    )
