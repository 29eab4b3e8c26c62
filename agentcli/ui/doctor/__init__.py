"""Why does it not work? Everything a turn needs, looked at one by one.

A check is one line: `ok`, `note` (worth knowing, or wrong for something that is not used now) or `fault`, and a hint for what is not
ok. A key is never shown, only where it comes from; what is secret in a URL is hidden. What is missing is not made, and what is damaged
is not repaired.
"""

from __future__ import annotations

from agentcli.ui.doctor.check import Check, exit_code, print_checks
from agentcli.ui.doctor.key import keys
from agentcli.ui.doctor.place import folders, threads
from agentcli.ui.doctor.server import near, network, servers, shown
from agentcli.ui.doctor.setting import configuration, model
from agentcli.ui.doctor.system import extras, limits, terminal, versions

__all__ = [
    "Check", "configuration", "exit_code", "extras", "folders", "keys", "limits", "model", "near", "network",
    "print_checks", "servers", "shown", "terminal", "threads", "versions",
]  # fmt: skip
