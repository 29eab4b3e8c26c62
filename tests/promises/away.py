"""P10: a chat that is left for a while, by Ctrl-Z or by being stopped from outside, under real shells with job control.

bash puts its own terminal right whatever a program has left there; dash takes it as it finds it, so both are asked.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from itertools import product

from tests.model_server import ModelServer
from tests.promises import Outcome, promise
from tests.promises.program import at_once, each, left, new_home, wait_for
from tests.promises.scene import by_prompt, with_tools
from tests.promises.talk import Talk, settings_left

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "--noediting", "-i"),
    "sh": ("sh", "-i"),
}
SUSPENDED = ("prompt", "stream", "risky", "slow_sync")
HOWS = ("Ctrl-Z", "stopped from outside")


def suspends(case: tuple[str, str, str], bug: str = "") -> str:
    """Ctrl-Z and `fg`: nothing typed and nothing of the turn is lost, the shell has its terminal meanwhile."""
    shell, where, how = case
    with new_home() as home, ModelServer().decides(by_prompt) as server:
        with Talk(home, server, *with_tools(home), bug=bug, under=SHELLS[shell]) as talk:
            prompts = talk.prompts
            since = _up_to(talk, where)
            if wrong := _away(talk, shell, how, since) or _back(talk, where, prompts):
                return wrong
            since = talk.terminal.size
            talk.terminal.send("\x04")
            talk.until("agentcli resume", since)
            talk.until_shell(since)
            if talk.terminal.modes()[:4] != talk.modes[:4]:
                return "the shell has a terminal with other settings"
            talk.terminal.send("exit 7\r")
            return (talk.ended(7) if shell == "bash" else _ended_in_sh(talk)) or left(home)


def _ended_in_sh(talk: Talk) -> str:
    code = talk.terminal.wait()
    return settings_left(talk.terminal.raw) or ("" if code == 7 else f"exit code {code}")


def _up_to(talk: Talk, where: str) -> int:
    talk.terminal.until(lambda terminal: talk.terminal.find(b"\x1b[c") >= 0)  # or the terminal's answer is the shell's
    if where == "prompt":
        since = talk.terminal.size
    else:
        since = talk.say(f"go {'short' if where == 'stream' else where}")
        talk.until({"stream": "word3", "risky": "say why not"}.get(where, where), since)
    talk.terminal.send("hello you")
    talk.terminal.until(lambda terminal: talk.typed() == "hello you")
    if where == "risky":
        talk.until_asked()
    return since


def _away(talk: Talk, shell: str, how: str, since: int) -> str:
    """Stop it, and look at what the shell has."""
    if how == "Ctrl-Z":
        talk.terminal.send("\x1a")
    else:
        os.kill(_agentcli(talk), signal.SIGSTOP)
    try:
        talk.until("Stopped", since, 3)
    except AssertionError:
        return f"{how} does not stop it: {talk.terminal.text()[-200:]!r}"
    if how == "Ctrl-Z":
        if wrong := settings_left(talk.terminal.raw):
            return f"while it is stopped: {wrong}"
        with suppress(AssertionError):
            wait_for(lambda: talk.terminal.modes() == talk.modes, 1)
        if (now := talk.terminal.modes()) != talk.modes:
            return f"the shell's terminal was {talk.modes} and is {now}"
    talk.until_shell(since)
    since = talk.terminal.size
    talk.terminal.send("echo $((6 * 7)) ended\n")  # who was stopped from outside may have left a terminal that knows no other Enter
    talk.until("42 ended", since)
    talk.until_shell(since)
    return ""


def _back(talk: Talk, where: str, prompts: int) -> str:
    """Let it go on, to the end of its turn."""
    since = talk.terminal.size
    talk.terminal.send("fg\n")
    if where == "risky":
        talk.until("say why not", since)
        talk.until_asked()
        if talk.typed():
            return f"the answer was begun with {talk.typed()!r}"
        talk.terminal.send("y\r")
    if where != "prompt":
        talk.until_prompt(prompts)
        prompts = talk.prompts
    elif b"hello you" not in talk.terminal.raw_since(since):
        talk.until("hello you", since)
    talk.terminal.until(lambda terminal: talk.mark() == ">" and talk.typed() == "hello you")
    rows = talk.terminal.screen()
    rows = rows[max((number for number, row in enumerate(rows) if row.endswith("$ fg")), default=0) :]
    if (count := sum(row == "> hello you" for row in rows)) != 1:
        return f"the prompt is drawn {count} times: {rows}"
    thread = talk.home.latest()
    if where != "prompt" and (thread is None or thread.messages[-1].stop != "done"):
        return f"the turn ended as {thread and thread.messages[-1]}"
    talk.terminal.send("\r")
    talk.until_prompt(prompts)
    thread = talk.home.latest()
    asked = [message.text for message in thread.messages if message.role == "user"] if thread else []
    return "" if asked[-1:] == ["hello you"] else f"what was sent is {asked}"


def _agentcli(talk: Talk) -> int:
    """The program that the shell has started."""
    return next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == talk.terminal.pid)


def _parent(pid: str) -> int:
    with suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(") ")[2].split()[1])
    return 0


@promise(
    "P10",
    "The terminal is left as it was found",
    "Ctrl-Z and fg, and being stopped from outside, under two shells: the shell gets its terminal, and the chat goes on where it was",
    quick=4,
    full=48,
    planted=each(
        lambda: at_once(lambda case: suspends(case, "deaf to Ctrl-Z"), [("bash", "stream", "Ctrl-Z")]),
        lambda: at_once(lambda case: suspends(case, "leaves the terminal alone"), [("sh", "prompt", "Ctrl-Z")]),
    ),
)
def p10_suspends(count: int) -> Outcome:
    shells = [name for name in SHELLS if shutil.which(name)]
    if not shells or not os.path.exists("/proc/self/stat"):
        return Outcome(0, [], "shell")
    every = list(product(shells, SUSPENDED, HOWS))
    return at_once(suspends, [every[number * 5 % len(every)] for number in range(count)], 2)
