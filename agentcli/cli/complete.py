"""What the shell offers when Tab is pressed.

A function here gets what was typed so far. It asks no server, and whatever is wrong it says nothing: a shell would show an error in
the middle of the line. What a shell would read as more than a word is not offered: a name may come from any server, and what Tab puts
on a command line is run by Enter.
"""

from __future__ import annotations

import re
from contextlib import suppress

__all__ = ["model"]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")  # nothing in it means anything to a shell


def model(incomplete: str) -> list[str]:
    """The models that `-m` may mean: aliases, what the providers last listed, and what the table names."""
    with suppress(Exception):
        from agentcli.config import load, places
        from agentcli.errors import UserError
        from agentcli.providers.catalogue import names

        aliases: dict[str, str] = {}
        with suppress(UserError):
            aliases = load().config.aliases
        return [name for name in names(places().cache, aliases) if name.startswith(incomplete) and _WORD.fullmatch(name)]
    return []
