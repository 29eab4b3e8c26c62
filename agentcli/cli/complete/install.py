"""`agentcli --install-completion` and `--show-completion`.

The script is one file. fish finds it by itself; for the other shells one line of the file that they read at their start reads it, if
it is there. The line ends in a mark, by which it is known again: installing twice changes the script, and the line only if it is
another. Nothing else of that file is touched, and no other setting of the shell: not the Tab key, not what PowerShell lets run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EILSEQ
from pathlib import Path
from typing import NamedTuple

from agentcli.cli.complete import SHELLS
from agentcli.config import places
from agentcli.errors import Exit, UserError
from agentcli.store import disk
from agentcli.ui.stdout import put_text
from agentcli.ui.talk import say

__all__ = ["MARK", "install", "script", "show"]

MARK = "# agentcli completion"
PATIENCE = 20.0  # seconds for PowerShell to say where its profile is

_ENDINGS = {"bash": "bash", "zsh": "zsh", "fish": "fish", "powershell": "ps1"}
_NAMES = {**{name: name for name in SHELLS}, "pwsh": "powershell"}


class Place(NamedTuple):
    """Where the script goes, and what reads it: a line in a file. "": the shell looks there by itself."""

    script: Path
    file: Path | None = None
    line: str = ""


def show(words: list[str]) -> None:
    """Print the script of a shell: of the one that is named, or of this one."""
    put_text(script(_shell(words, "--show-completion")))


def install(words: list[str]) -> None:
    """Put the script where the shell finds it, and say what was done."""
    shell = _shell(words, "--install-completion")
    place = _PLACES[shell]()
    disk.replace(place.script, script(shell).encode())
    if place.file is None:
        _say(
            f"Tab completes agentcli in {shell}, from the next shell on.",
            f"It is done by {place.script}",
            "To remove it, delete that.",
        )
        return
    done = _put_line(place.file, place.line)
    _say(
        f"Tab completes agentcli in {shell}, from the next shell on. In this one, once you say:",
        f"\n  {_here(shell, place.script)}\n",
        f"That is the script. It is read by {done} in {place.file}",
        f"To remove it, delete both: the line ends in `{MARK}`.",
    )
    if shell == "powershell":
        _say("If PowerShell says that running scripts is disabled: Set-ExecutionPolicy -Scope CurrentUser RemoteSigned")


def _say(*lines: str) -> None:
    """Lines that the terminal breaks, if it must: what is copied is whole."""
    say("\n".join(lines) + "\n", end="")


def script(shell: str) -> str:
    """The script of a shell."""
    return Path(__file__).with_name(f"agentcli.{_ENDINGS[shell]}").read_text(encoding="utf-8")


def _shell(words: list[str], option: str) -> str:
    """The shell that was named, or else the one that runs here."""
    name = words[0] if words else _running()
    if len(words) < 2 and (shell := _NAMES.get(name.lower())):
        return shell
    if len(words) > 1:
        message = f"{option} takes the name of one shell"
    elif words:
        message = f"there is no completion for {name!a}"
    else:
        message = "it is not known which shell this is"
    known = ", ".join(SHELLS)
    raise UserError(message, hint=f"Shells: {known}. For example: agentcli {option} zsh", exit_code=Exit.USAGE)


def _running() -> str:
    """The shell that this was typed in: the nearest process above that is one. If none is, the one of the account."""
    number = os.getppid()
    for _ in range(12):
        name, number = _process(number)
        if name in _NAMES:
            return name
    if os.name == "nt":
        return "powershell"
    return os.path.basename(os.environ.get("SHELL", ""))


def _process(number: int) -> tuple[str, int]:
    """The name of a process, and the number of the one that started it."""
    with suppress(OSError, ValueError):
        name, _, rest = Path(f"/proc/{number}/stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        return name, int(rest.split()[1])
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        command = ["ps", "-o", "ppid=,comm=", "-p", str(number)]
        above, name = subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.split(maxsplit=1)
        return os.path.basename(name.strip()).lstrip("-"), int(above)
    return "", 0


def _bash() -> Place:
    name = ".bash_profile" if sys.platform == "darwin" else ".bashrc"  # a terminal on macOS opens login shells, which read no .bashrc
    return _read_by_line("bash", _home() / name)


def _zsh() -> Place:
    folder = os.environ.get("ZDOTDIR")
    return _read_by_line("zsh", (Path(folder) if folder else _home()) / ".zshrc")


def _fish() -> Place:
    folder = os.environ.get("XDG_CONFIG_HOME")
    return Place((Path(folder) if folder else _home() / ".config") / "fish" / "completions" / "agentcli.fish")


def _powershell() -> Place:
    path = _ours("powershell")
    quoted = "'" + str(path).replace("'", "''") + "'"
    return Place(path, _profile(), f"if (Test-Path {quoted}) {{ . {quoted} }}  {MARK}")


_PLACES: dict[str, Callable[[], Place]] = {"bash": _bash, "zsh": _zsh, "fish": _fish, "powershell": _powershell}


def _read_by_line(shell: str, file: Path) -> Place:
    path = _ours(shell)
    quoted = shlex.quote(str(path))
    return Place(path, file, f"[ ! -r {quoted} ] || . {quoted}  {MARK}")


def _here(shell: str, path: Path) -> str:
    return f". '{path}'" if shell == "powershell" else f". {shlex.quote(str(path))}"


def _ours(shell: str) -> Path:
    return places().threads.parent / "completion" / f"agentcli.{_ENDINGS[shell]}"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UserError("there is no home folder", hint="Set HOME.", exit_code=Exit.CONFIG) from None


def _profile() -> Path:
    """The file that PowerShell reads at its start, in every window. It says itself where that is."""
    program = shutil.which("pwsh") or shutil.which("powershell")
    if program:
        said = "[Console]::OutputEncoding = [Text.Encoding]::UTF8; $PROFILE.CurrentUserAllHosts"
        with suppress(OSError, subprocess.SubprocessError):
            command = [program, "-NoProfile", "-NonInteractive", "-Command", said]
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
            if path := done.stdout.decode(errors="replace").strip().lstrip("\ufeff"):
                return Path(path)
    if os.name != "nt":
        return _home() / ".config" / "powershell" / "profile.ps1"
    raise UserError(
        "PowerShell does not say where its profile is",
        hint="In PowerShell: agentcli --show-completion powershell >> $PROFILE",
        exit_code=Exit.FAILED,
    )


def _put_line(file: Path, line: str) -> str:
    """See to it that the file has the line, once; what was done, in words."""
    path = Path(os.path.realpath(file))  # a link, as to a folder of dotfiles, stays one
    wanted = os.fsencode(line) + b"\n"
    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        ours = [each for each in lines if each.rstrip().endswith(MARK.encode())]
        if ours == [wanted]:
            return "a line that was there already"
        if any(b"\0" in each for each in lines):
            raise OSError(EILSEQ, "it is written in UTF-16")  # as PowerShell 5 writes it
        if ours:
            mode = path.stat().st_mode & 0o777
            disk.replace(path, b"".join(each for each in lines if each not in ours) + wanted)
            path.chmod(mode)
            return "a line that was changed"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(b"\n" + wanted if lines and not lines[-1].endswith(b"\n") else wanted)
    except OSError as error:
        raise _unread(f"{path}: {error.strerror}", line) from None
    except disk.SaveError as error:
        raise _unread(error.message, line) from None
    return "a new line"


def _unread(reason: str, line: str) -> UserError:
    return UserError(f"the script is there, but nothing reads it: {reason}", hint=f"Add this line yourself:\n\n  {line}")
