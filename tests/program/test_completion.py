"""Tab in a shell: what the program offers, and what comes of it in bash, zsh and fish on a real terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from agentcli import __version__, assemble
from agentcli.cli import app
from agentcli.cli.complete.install import script
from agentcli.cli.complete.line import split
from agentcli.cli.complete.place import choices, name_of, takes_value
from agentcli.cli.complete.table import ARGUMENTS, OPTIONS
from agentcli.core.message import user
from agentcli.core.thread import Thread
from tests.program import PROGRAM, agentcli, environment
from tests.providers.lists import lists
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a shell")

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


def asked(*words: str, shell: str | None = "fish", **env: str | None) -> list[str]:
    """What the shell would be told: how, and then each word with what it is."""
    done = agentcli(*words, _AGENTCLI_COMPLETE=shell, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def offered(*words: str, **env: str | None) -> list[str]:
    """The words alone."""
    return [line.partition("\t")[0] for line in asked(*words, **env)[1:]]


def configure(tmp_path: Path, text: str) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text(text)


def hire(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "home" / "agents").mkdir(parents=True, exist_ok=True)
    (tmp_path / "home" / "agents" / f"{name}.toml").write_text(text)


def saved(name: str, title: str, age: float = 0) -> None:
    thread = Thread.of(user("Hello"), title=title)
    thread.id = name
    thread.updated = datetime.now(UTC) - timedelta(seconds=age)
    assemble.store().save(thread)
    os.utime(assemble.store().path(name), (thread.updated.timestamp(),) * 2)


# --- what is offered ---


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], ["chat", "resume", "ask", "threads", "models", "local", "usage", "agents", "keys", "config", "doctor"]),
        (["th"], ["threads"]),
        (["threads", "ex"], ["export"]),
        (["threads", "list", "--so"], ["--sort"]),
        (["threads", "list", "--sort", ""], ["updated", "tokens", "cost"]),
        (["threads", "list", "--sort=c"], ["--sort=cost"]),
        (["threads", "export", "x", "--format", "m"], ["md"]),
        (["--mod"], ["--model"]),
        (["--vers"], ["--version"]),
        (["--ver"], ["--verbose", "--version"]),
        (["-m", "fa"], ["fast"]),
        (["-mfa"], ["-mfast"]),
        (["-cmfa"], ["-cmfast"]),
        (["--model=fa"], ["--model=fast"]),
        (["ask", "What?", "-m", "anthropic/"], ["anthropic/claude-sonnet-5"]),
        (["ask", "--", "-m", "fa"], []),
        (["ask", "-m", "x", "--mod"], []),
        (["ask", "-f", "x", "--fi"], ["--file"]),
        (["-c", "--co"], ["--config"]),
        (["chat", "-c", "-"], None),
        (["-a", "c"], ["cook"]),
        (["ask", "--agent=re"], ["--agent=reviewer"]),
        (["ask", "-a", "n"], ["none"]),
        (["agents", "show", ""], ["cook", "reviewer"]),
        (["agents", "edit", "r"], ["reviewer"]),
        (["agents", "new", ""], []),
        (["agents", "show", "cook", ""], []),
        (["--tool", ""], ["clock"]),
        (["-o", "temp"], ["temperature="]),
        (["-o", "effort=l"], ["effort=low"]),
        (["-oeffort=l"], ["-oeffort=low"]),
        (["keys", "set", "anth"], ["anthropic"]),
        (["keys", "set", "lo"], []),
        (["keys", "set", "la"], ["lab"]),
        (["keys", "remove", ""], ["lab"]),
        (["config", "get", "idle"], ["idle-timeout"]),
        (["config", "get", "aliases."], ["aliases.fast"]),
        (["config", "set", "provid"], ["providers."]),
        (["config", "set", "providers.lab.b"], ["providers.lab.base-url"]),
        (["config", "set", "providers.lab.kind", "anth"], ["anthropic"]),
        (["config", "set", "save", ""], ["true", "false"]),
        (["config", "set", "model", "fa"], ["fast"]),
        (["config", "set", "settings.effort", "h"], ["high"]),
        (["config", "set", "system", ""], []),
        (["config", "set", "save", "true", ""], []),
        (["local", "install", ""], ["smollm2"]),
        (["models", "--provider", "la"], ["lab"]),
        (["--install-completion", ""], ["bash", "zsh", "fish", "powershell"]),
        (["--show-completion", "z"], ["zsh"]),
        (["ask", "hello", ""], []),
        (["nonsense", ""], []),
        (["threads", "nonsense", ""], []),
        (["--nonsense", "--mod"], ["--model"]),
        (["ask", "-m"], ["-m"]),
        (["-m", ""], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_stand_at_the_cursor(tmp_path: Path, words: list[str], found: list[str] | None) -> None:
    configure(tmp_path, '[aliases]\nfast = "openai/gpt-5.4-mini"\n[providers.lab]\nbase-url = "http://127.0.0.1:9/v1"\n')
    (tmp_path / "home" / "keys.json").write_text('{"keyring": ["lab"]}')
    hire(tmp_path, "cook", "nonsense")
    hire(tmp_path, "reviewer", "description = 'Reads a change.'")
    hire(tmp_path, "not one", "")
    if found is None:
        assert len(offered(*words)) > 5
    else:
        assert offered(*words) == found


def test_a_word_comes_with_what_it_is(tmp_path: Path) -> None:
    hire(tmp_path, "reviewer", "description = 'Reads a change.'")
    assert asked("-a", "") == ["words", "reviewer\tReads a change.", "none\tWhat is configured, without an agent"]
    assert "ask\tOne question, one answer; joins piped stdin" in asked("")
    assert "--model\tThe model, as provider/model, or an alias" in asked("ask", "--m")
    assert "fork\tMake a new thread of one, and print its id" in asked("threads", "")


@pytest.mark.parametrize(
    ("words", "how"),
    [
        (["ask", "-f", "x"], "files "),
        (["ask", "--file=x"], "files --file="),
        (["ask", "-fx"], "files -f"),
        (["--config", ""], "files "),
        (["--tool", "my/to"], "files "),
        (["--tool", "cl"], "words"),
        (["threads", "import", ""], "files "),
        (["threads", "export", "x", "-o", ""], "files "),
        (["-o", "eff"], "unspaced"),
        (["config", "get", "alia"], "unspaced"),
        (["--mod"], "words"),
    ],
)
def test_files_are_left_to_the_shell_and_a_word_that_goes_on_has_no_space(words: list[str], how: str) -> None:
    assert asked(*words)[0] == how


def test_another_configuration_file(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[aliases]\nslow = "openai/gpt-5.4"\n')
    assert offered("ask", "--config", str(other), "-m", "sl") == ["slow"]
    assert offered("--config=nowhere.toml", "-m", "anthropic/") == ["anthropic/claude-sonnet-5"]


def test_threads_are_offered_newest_first_by_id_or_by_title() -> None:
    for age, (name, title) in enumerate(
        {"k7m29xqd": "Photosynthesis", "k8aaaaaa": "Plum pie", "zz000000": "Something", "1abc0000": "Apple PIE"}.items()
    ):
        saved(name, title, age * 10)
    whole = ["k7m29xqd\tPhotosynthesis", "k8aaaaaa\tPlum pie", "zz000000\tSomething", "1abc0000\tApple PIE"]
    for words in (
        ["-t", ""],
        ["ask", "--thread", ""],
        ["resume", ""],
        *(["threads", name, ""] for name in ("show", "rename", "fork", "delete", "export", "check", "path")),
    ):
        assert asked(*words) == ["words", *whole]
    assert asked("-t", "k") == ["words", *whole[:2]]
    assert asked("--thread=k8") == ["words", "--thread=k8aaaaaa\tPlum pie"]
    assert asked("resume", "pie") == ["found", whole[1], whole[3]]
    assert asked("resume", "apple p") == ["found", whole[3]]
    assert asked("resume", "L") == ["found", whole[3]]  # as `resume` itself reads it
    assert asked("resume", "nowhere") == ["words"]
    assert asked("resume", "k8aaaaaa", "") == ["words"]
    assert offered("threads", "delete", "k7m29xqd", "k") == ["k8aaaaaa"]
    agentcli("threads", "list")  # which writes the cache
    assert asked("-t", "") == ["words", *whole]
    agentcli("threads", "rename", "zz000000", "Changed since")
    assert asked("-t", "") == ["words", "zz000000\tChanged since", *whole[:2], whole[3]]


def test_a_hundred_threads_are_enough() -> None:
    for number in range(105):
        saved(f"{number:08}", f"Number {number}", number)
    assert [line.split("\t")[1] for line in asked("-t", "")[1:]] == [f"Number {number}" for number in range(100)]
    assert asked("-t", "00000104") == ["words", "00000104\tNumber 104"]


# --- every option has its place ---

# Options whose value is text or a number of one's own.
OWN = {"--system", "--timeout", "--idle-timeout", "--max-steps", "--limit", "--at", "--days", "--description", "--instructions"}


def commands() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    root = typer.main.get_command(app)
    for name in root.list_commands(None):  # type: ignore[attr-defined]
        command = root.get_command(None, name)  # type: ignore[attr-defined]
        inside = getattr(command, "commands", None)
        yield from ((f"{name} {each}", found) for each, found in inside.items()) if inside else [(name, command)]


def test_every_option_and_argument_in_the_tables_exists_and_every_option_is_in_one() -> None:
    there = dict(commands())
    options = {
        name_of(param): param
        for command in there.values()
        for param in command.params
        if param.param_type_name == "option" and takes_value(param)
    }
    assert OPTIONS.keys() <= options.keys()
    assert {name for name in options.keys() - OPTIONS.keys() if not choices(options[name])} <= OWN
    for path, completers in ARGUMENTS.items():
        assert len(completers) <= sum(param.param_type_name == "argument" for param in there[path].params), path


# --- nothing else happens ---


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


LINES = [
    ["-m", ""],
    ["-t", ""],
    ["-t", "title"],
    ["-a", ""],
    ["keys", "remove", ""],
    ["keys", "set", ""],
    ["config", "set", ""],
    ["--tool", ""],
    ["-o", ""],
]


def test_no_server_is_asked_and_no_file_is_written(tmp_path: Path) -> None:
    saved("k7m29xqd", "A title")
    with lists({}) as (url, heard):
        configure(tmp_path, f'[providers.lab]\nbase-url = "{url}/v1"\nkey-command = "touch {tmp_path}/ran"\n')
        before = everything(tmp_path)
        for words in LINES:
            offered(*words, OPENAI_BASE_URL=f"{url}/v1", OLLAMA_HOST=url, HTTP_PROXY=url)
        assert everything(tmp_path) == before
        assert heard == []


@pytest.mark.parametrize(
    "damage", ["configuration", "agents", "an agent", "threads", "one thread", "cache", "keys", "no folder", "no home"]
)
def test_what_is_damaged_means_fewer_words_and_no_noise(tmp_path: Path, damage: str) -> None:
    home = tmp_path / "home"
    configure(tmp_path, "")
    env: dict[str, str | None] = {}
    saved("k7m29xqd", "A title")
    match damage:
        case "configuration":
            (home / "config.toml").write_bytes(b"\xff[[[")
        case "agents":
            (home / "agents").write_text("a file")
        case "an agent":
            hire(tmp_path, "a", "nonsense")
            (home / "agents" / "b.toml").mkdir()
            os.mkfifo(home / "agents" / "c.toml")
            (home / "agents" / "d.toml").symlink_to("nowhere")
            (home / "agents" / "e.toml").write_bytes(b"\xff\x00")
        case "threads":
            shutil.rmtree(home / "threads")
            (home / "threads").write_text("a file")
        case "one thread":
            (home / "threads" / "k7m29xqd.json").write_bytes(b"\x00nonsense")
            (home / "threads" / "aaaaaaaa.json").mkdir()
            os.mkfifo(home / "threads" / "bbbbbbbb.json")
            (home / "threads" / "cccccccc.json").symlink_to("nowhere")
            (home / "threads" / "dddddddd.journal").write_bytes(b"\xff")
            (home / "threads" / "eeeeeeee.json").write_text("[" * 100_000)
            (home / "threads" / "ffffffff.json").write_text('{"title": 7}')
        case "cache":
            (home / "cache").mkdir()
            (home / "cache" / "threads").write_bytes(b"nonsense")
            (home / "cache" / "models.msgpack").write_bytes(b"\xc1")
        case "keys":
            (home / "keys.json").write_text("nonsense")
        case "no folder":
            env["AGENTCLI_HOME"] = str(home / "config.toml")
        case "no home":
            env |= {"AGENTCLI_HOME": None, "HOME": "relative"}
    for words in LINES:
        asked(*words, **env)
    if damage not in ("threads", "no folder", "no home"):
        assert "k7m29xqd" in offered("-t", "", **env)
    assert offered("-m", "anthropic/", **env) == ["anthropic/claude-sonnet-5"]


@pytest.mark.parametrize("arguments", [[], ["a"], ["agentcli ask '"], ["agentcli > ", ""], ["\udcff", "\udcff"]])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "complete_bash", ""])
def test_a_script_that_says_nonsense_gets_no_noise(shell: str, arguments: list[str]) -> None:
    asked(*arguments, shell=shell)


# --- bash ---


@pytest.mark.parametrize(
    ("line", "words", "last"),
    [
        ("agentcli ", ["agentcli"], ""),
        ("agentcli ask -m ollama/llama3.2:1", ["agentcli", "ask", "-m"], "ollama/llama3.2:1"),
        ("agentcli --model=a:b", ["agentcli"], "--model=a:b"),
        ('agentcli \'a b\' "c \\"d\\" \\x $e" f\\ g h', ["agentcli", "a b", 'c "d" \\x $e', "f g"], "h"),
        ("agentcli 'a b", ["agentcli"], "a b"),
        ('agentcli "a b', ["agentcli"], "a b"),
        ("agentcli '' x", ["agentcli", ""], "x"),
        ("agentcli a'b'\"c\"d", ["agentcli"], "abcd"),
        ("agentcli <in 2>/dev/null >> out -m x", ["agentcli", "-m"], "x"),
        ("agentcli a2>b c", ["agentcli", "a2"], "c"),
        ("agentcli &>b c", ["agentcli"], "c"),
        ("agentcli é日本:x ü", ["agentcli", "é日本:x"], "ü"),
        ("agentcli a\\", ["agentcli"], "a"),
        ("agentcli a\n\tb", ["agentcli", "a"], "b"),
    ],
)
def test_a_line_of_bash_is_read_as_bash_reads_it(line: str, words: list[str], last: str) -> None:
    assert split(line) == (words, last)


@pytest.mark.parametrize("line", ["agentcli <", "agentcli < fi", "agentcli 2>e", "agentcli x >'a b"])
def test_behind_a_redirection_the_program_has_nothing_to_say(line: str) -> None:
    with pytest.raises(ValueError, match="redirection"):
        split(line)


def test_bash_is_told_the_part_that_it_replaces_and_shows_what_the_words_are(tmp_path: Path) -> None:
    configure(tmp_path, '[aliases]\nb = "x/y"\n"b-1" = "x/z"\n')
    saved("k7m29xqd", "Photosynthesis")
    saved("k8aaaaaa", "t" * 200, 10)
    saved("a0000000", "photo album", 20)
    assert asked("agentcli -m anthropic/claude:", "", shell="bash") == ["words"]
    assert asked("agentcli --model=anth", "anth", shell="bash") == ["words", "anthropic/claude-sonnet-5"]
    assert asked("agentcli --model=", "", shell="bash")[1:3] == ["b    x/y", "b-1  x/z"]
    listed = asked("agentcli -t ", "", shell="bash", COLUMNS="60", COMP_TYPE="63")
    assert listed == ["words", "k7m29xqd  Photosynthesis", "k8aaaaaa  " + "t" * 47 + "…", "a0000000  photo album"]
    assert asked("agentcli -t ", "", shell="bash", COMP_TYPE="37") == ["words", "k7m29xqd", "k8aaaaaa", "a0000000"]
    assert asked("agentcli -t album", "album", shell="bash") == ["found", "a0000000"]
    assert asked("agentcli -t photo", "photo", shell="bash") == ["found", "k7m29xqd  Photosynthesis", "a0000000  photo album"]
    assert asked("agentcli -t K", "K", shell="bash")[0] == "found"
    saved("k9000000", "Photo frame", 30)
    (tmp_path / "home" / "threads" / "a0000000.json").unlink()
    assert asked("agentcli -t photo", "photo", shell="bash") == ["found"]  # bash would put the k they share in its place


# --- shells, on a terminal ---

START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='%> '; . {script}"),
    "bash-completion": (["bash", "--norc", "--noprofile", "-i"], f"PS1='%> '; . {BASH_COMPLETION}; . {{script}}"),
    "zsh": (["zsh", "-f", "-i"], "PROMPT='%%> '; . {script}"),
    "fish": (["fish", "--no-config", "--private"], "function fish_prompt; printf '%%> '; end; source {script}"),
}
SHELLS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            shutil.which(argv[0]) is None or (name == "bash-completion" and not BASH_COMPLETION.exists()), reason="it is not installed"
        ),
    )
    for name, (argv, _) in START.items()
]

# For a shell it is the program; else it notes what it was called with.
PROBE = """#!/bin/sh
[ -z "$_AGENTCLI_COMPLETE" ] || exec {program} "$@"
printf '<%s>' "$@" >> {notes}; echo >> {notes}
"""


class Shell:
    """A shell in which agentcli is completed. Each line is typed whole, with its Tabs, once the prompt is there."""

    def __init__(self, terminal: Terminal, notes: Path, *, bash: bool) -> None:
        self.terminal = terminal
        self._notes = notes
        self._bash = bash

    def got(self, keys: str) -> list[str]:
        """Type, press Enter, and see what the program was called with."""
        count = len(self._lines())
        self._wait(lambda: True)
        self.terminal.send(f"agentcli {keys}\r")
        self._wait(lambda: len(self._lines()) > count)
        return self._lines()[-1][1:-1].split("><")

    def shows(self, keys: str, *what: str) -> None:
        """Type, press Tab, and wait until all this can be seen; then the line is thrown away."""
        self._wait(lambda: True)
        self.terminal.send(f"agentcli {keys}\t" + ("\t" if self._bash else ""))  # bash shows them at the second
        self.terminal.until(lambda terminal: all(each in terminal.text() for each in what), timeout=20)
        self.terminal.send("\x15\r")

    def _wait(self, done: Callable[[], bool]) -> None:
        def ready(terminal: Terminal) -> bool:
            return terminal.text().rpartition("\n")[2].strip() == "%>" and done()

        self.terminal.until(ready, timeout=20)

    def _lines(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.exists() else []


@contextmanager
def shell(name: str, tmp_path: Path) -> Iterator[Shell]:
    programs, there = tmp_path / "bin", tmp_path / "there"
    for made in (programs, there):
        made.mkdir()
    notes = tmp_path / "notes"
    (programs / "agentcli").write_text(PROBE.format(program=shlex.join(PROGRAM), notes=notes))
    (programs / "agentcli").chmod(0o755)
    argv, setup = START[name]
    source = tmp_path / "agentcli.script"
    source.write_text(script(argv[0]))
    env = environment(
        None, HOME=str(there), PATH=f"{programs}:{os.environ['PATH']}", PYTHONPATH=os.getcwd(), LANG="C.UTF-8", LC_ALL="C.UTF-8"
    )
    with Terminal(argv, env=env, size=(100, 50), cwd=there) as terminal:
        terminal.send(setup.format(script=source) + "; echo re''ady\r")
        terminal.until("\nready", timeout=30)
        yield Shell(terminal, notes, bash=argv[0] == "bash")


@pytest.mark.parametrize("name", SHELLS)
def test_tab_in_a_shell(tmp_path: Path, name: str) -> None:
    configure(tmp_path, '[aliases]\nfast = "openai/gpt-5.4-mini"\n[providers.lab]\nbase-url = "http://127.0.0.1:9/v1"\n')
    cache_of_models(tmp_path, "llama3.2:1b", "llama3.2:3b", "hf.co/x/y@z:q4")
    saved("k7m29xqd", "Photosynthesis")
    with shell(name, tmp_path) as at:
        there = tmp_path / "there"
        (there / "only one.txt").touch()
        (there / "deep").mkdir()
        assert at.got("thr\tsh\tk\t") == ["threads", "show", "k7m29xqd"]
        assert at.got("ask -m lab/llama3.2:1\t") == ["ask", "-m", "lab/llama3.2:1b"]
        assert at.got("--model=lab/llama3.2:1\t") == ["--model=lab/llama3.2:1b"]
        assert at.got('-m "lab/llama3.2:1\t') == ["-m", "lab/llama3.2:1b"]
        assert at.got("-m 'lab/llama3.2:1\t") == ["-m", "lab/llama3.2:1b"]
        assert at.got("-mlab/h\t") == ["-mlab/hf.co/x/y@z:q4"]
        assert at.got("-m fa\t-t k\t") == ["-m", "fast", "-t", "k7m29xqd"]
        assert at.got("-o eff\tlo\t") == ["-o", "effort=low"]
        assert at.got("resume photo\t") == ["resume", "k7m29xqd"]
        assert at.got("ask 'it is \"so\"' --tool c\t") == ["ask", 'it is "so"', "--tool", "clock"]
        assert at.got("ask -f on\t") == ["ask", "-f", "only one.txt"]
        assert at.got("ask --file=on\t") == ["ask", "--file=only one.txt"]
        assert at.got("--config ~/de\t") == ["--config", f"{there}/deep" + ("" if name == "zsh" else "/")]
        assert at.got("ask < on\t") == ["ask"]
        assert at.got("ask on\t") == ["ask", "on"]
        at.shows("--ver", "Say more: thinking, what is waited for")
        assert "Traceback" not in at.terminal.text()


NAUGHTY = [
    "$(touch {ran})",
    "`touch {ran}`",
    "'; touch {ran}; '",
    '"; touch {ran}; "',
    "| touch {ran} &",
    "<(touch {ran})",
    "%{{touch%}} %F{{red}} %n",
    "two\nlines\r\nand a\ttab",
    "\x1b]0;owned\x07\x1b[2J\x9b2J",
    "\u202eevil\u2066",
    "x" * 300,
    "日本語" * 100,
    "-rf * ~root {{a,b}} !! \\n \\",
]


@pytest.mark.parametrize("name", SHELLS)
def test_a_title_is_shown_and_never_run(tmp_path: Path, name: str) -> None:
    ran = tmp_path / "there" / "ran"
    for number, title in enumerate(NAUGHTY):
        saved(f"k{number:07}", title.format(ran=ran), number)
    with shell(name, tmp_path) as at:
        at.shows("-t k00000", "$(touch", "evil", "日本語")
        assert at.got("resume k0000004\t") == ["resume", "k0000004"]
        for number in (0, 3, 12):
            assert at.got(f"-t k{number:07}\t") == ["-t", f"k{number:07}"]
        seen = at.terminal.raw
    assert b"owned\x07" not in seen
    assert "\u202e".encode() not in seen
    assert b"\x9b2J" not in seen.replace("‹9B›".encode(), b"")
    assert not ran.exists()
    assert [name for name in os.listdir(tmp_path / "there") if not name.startswith(".")] == []


def cache_of_models(tmp_path: Path, *names: str) -> None:
    from agentcli.providers import Endpoint
    from agentcli.providers.catalogue import Catalogue
    from agentcli.providers.catalogue.model import Listed

    catalogue = Catalogue(tmp_path / "home" / "cache")
    catalogue.add("lab", Endpoint(kind="openai-chat", base_url="http://127.0.0.1:9/v1"), [Listed(name) for name in names])
    catalogue.write()


# --- PowerShell ---


def in_powershell(*words: str) -> list[str]:
    return asked(shell="powershell", _AGENTCLI_WORDS="\n".join(["agentcli", *words]))


def test_powershell_says_the_words_in_a_variable(tmp_path: Path) -> None:
    """It loses empty arguments, and breaks those with quotes."""
    configure(tmp_path, '[aliases]\nfast = "openai/gpt-5.4-mini"\n')
    saved("k7m29xqd", "\x1b]0;owned\x07 a\ttab\nand a line")
    assert in_powershell("") == asked("")
    assert in_powershell("threads", "") == asked("threads", "")
    assert in_powershell("--model=fa") == ["words", "--model=fast\topenai/gpt-5.4-mini"]
    assert in_powershell("ask", 'it is "so"', "-m", "'fa") == ["words", "fast\topenai/gpt-5.4-mini"]
    assert in_powershell("-t", "") == ["words", "k7m29xqd\t␛]0;owned␇ a tab and a line"]
    assert in_powershell("ask", "-f", "") == ["files "]


def test_the_script_for_powershell_changes_nothing_but_the_completion_of_agentcli() -> None:
    text = script("powershell")
    assert "Register-ArgumentCompleter -Native -CommandName agentcli" in text
    assert "Invoke-Expression" not in text
    assert "Set-" not in text
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="PowerShell is not installed")
def test_tab_in_powershell(tmp_path: Path) -> None:
    configure(tmp_path, '[aliases]\nfast = "openai/gpt-5.4-mini"\n')
    saved("k7m29xqd", "$(throw 1) `n")
    source, program = tmp_path / "agentcli.ps1", tmp_path / "bin" / "agentcli"
    source.write_text(script("powershell"))
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    lines = ["agentcli thr", "agentcli --model=fa", "agentcli ask 'a b' -m fa", "agentcli -t ", "agentcli resume throw"]
    asking = "; ".join(f"(TabExpansion2 {shlex.quote(line)} {len(line)}).CompletionMatches.CompletionText" for line in lines)
    env = environment(None, PATH=f"{program.parent}:{os.environ['PATH']}", PYTHONPATH=os.getcwd())
    done = subprocess.run(
        ["pwsh", "-NoProfile", "-Command", f". {source}; {asking}"], capture_output=True, text=True, timeout=50, env=env
    )
    assert done.stdout.split() == ["threads", "--model=fast", "fast", "k7m29xqd", "k7m29xqd"]


# --- installing ---

FILES = {"bash": ".bashrc", "zsh": ".zshrc", "powershell": ".config/powershell/profile.ps1"}


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str | None]:
    """Somebody with a home folder, and no PowerShell to ask."""
    (tmp_path / "ada").mkdir()
    return {"HOME": str(tmp_path / "ada"), "PATH": "/usr/bin:/bin", "ZDOTDIR": None, "XDG_CONFIG_HOME": None, "SHELL": "/bin/tcsh"}


@pytest.mark.parametrize("name", FILES)
def test_installing_twice_is_not_twice(tmp_path: Path, person: dict[str, str | None], name: str) -> None:
    file = tmp_path / "ada" / FILES[name]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"# mine\nexport X=\xff")  # no newline at its end
    file.chmod(0o640)
    first = agentcli("--install-completion", name, **person)
    once = file.read_bytes()
    again = agentcli("--install-completion", name, **person)
    assert (first.returncode, first.stdout, again.returncode) == (0, "", 0)
    assert file.read_bytes() == once
    assert once.startswith(b"# mine\nexport X=\xff\n")
    assert once.count(b"# agentcli completion") == 1
    home = tmp_path / "home" / "completion"
    assert [path.read_text() for path in home.iterdir()] == [script(name)]
    assert f"a new line in {file}" in first.stderr
    assert f"a line that was there already in {file}" in again.stderr
    assert "To remove it" in first.stderr
    moved = agentcli("--install-completion", name, **{**person, "AGENTCLI_HOME": str(tmp_path / "it's elsewhere")})
    assert f"a line that was changed in {file}" in moved.stderr
    assert file.read_bytes().count(b"# agentcli completion") == 1
    assert file.read_bytes().startswith(b"# mine\nexport X=\xff\n")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_link_to_a_file_stays_one(tmp_path: Path, person: dict[str, str | None]) -> None:
    real = tmp_path / "dotfiles"
    real.write_text("# mine\n")
    (tmp_path / "ada" / ".zshrc").symlink_to(real)
    agentcli("--install-completion", "zsh", **person)
    agentcli("--install-completion", "zsh", **{**person, "AGENTCLI_HOME": str(tmp_path / "elsewhere")})
    assert (tmp_path / "ada" / ".zshrc").is_symlink()
    assert real.read_text().count("# agentcli completion") == 1


def test_zsh_and_fish_may_have_folders_of_their_own(tmp_path: Path, person: dict[str, str | None]) -> None:
    person |= {"ZDOTDIR": str(tmp_path / "z"), "XDG_CONFIG_HOME": str(tmp_path / "x")}
    for name in ("zsh", "fish"):
        assert agentcli("--install-completion", name, **person).returncode == 0
    assert "# agentcli completion" in (tmp_path / "z" / ".zshrc").read_text()
    assert (tmp_path / "x" / "fish" / "completions" / "agentcli.fish").read_text() == script("fish")
    assert list((tmp_path / "ada").iterdir()) == []


def test_a_file_that_cannot_be_changed_is_left_and_the_line_is_said(tmp_path: Path, person: dict[str, str | None]) -> None:
    (tmp_path / "ada" / ".bashrc").mkdir()
    (tmp_path / "ada" / ".zshrc").write_bytes("# mine\n".encode("utf-16"))
    for name in ("bash", "zsh"):
        done = agentcli("--install-completion", name, **person)
        assert done.returncode == 1
        assert "nothing reads it" in done.stderr
        assert f"agentcli.{name}  # agentcli completion" in done.stderr.replace("'", "")
    assert (tmp_path / "ada" / ".zshrc").read_bytes() == "# mine\n".encode("utf-16")


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
@pytest.mark.parametrize("words", [["tcsh"], ["zsh", "fish"], ["\x1b[2J"]])
def test_what_is_no_shell_of_these_is_an_error_that_names_them(person: dict[str, str | None], option: str, words: list[str]) -> None:
    done = agentcli(option, *words, **person)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Shells: bash, zsh, fish, powershell." in done.stderr
    assert "\x1b" not in done.stderr


def test_showing_prints_the_script(person: dict[str, str | None]) -> None:
    for name in ("bash", "zsh", "fish", "powershell", "pwsh", "ZSH"):
        done = agentcli("--show-completion", name, **person)
        assert (done.returncode, done.stdout) == (0, script({"pwsh": "powershell", "ZSH": "zsh"}.get(name, name)))


INTERACTIVE = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"], "fish": ["fish"]}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason="not installed")) for name in INTERACTIVE]
)
def test_what_was_installed_from_a_shell_works_in_the_next(tmp_path: Path, person: dict[str, str | None], name: str) -> None:
    """No shell is named: it is the one that this is typed in."""
    programs, ada = tmp_path / "bin", tmp_path / "ada"
    programs.mkdir()
    (programs / "agentcli").write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    (programs / "agentcli").chmod(0o755)
    env = environment(None, **{**person, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": os.getcwd(), "LC_ALL": "C.UTF-8"})
    (ada / ".zshrc").touch()
    done = subprocess.run(
        [name, "-c", "agentcli --install-completion; true"], env=env, capture_output=True, text=True, timeout=40, cwd=ada
    )
    assert f"Tab completes agentcli in {name}, from the next shell on" in done.stderr
    with Terminal(INTERACTIVE[name], env=env, cwd=ada, size=(100, 30)) as terminal:
        terminal.send("echo re''ady\r")
        terminal.until("\nready", timeout=30)
        terminal.send("agentcli --vers\t\r")
        terminal.until(f"\nagentcli {__version__}", timeout=30)
