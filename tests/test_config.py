"""The configuration: layers, errors that point, changing a value, and what people put in place of the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.config import Config, edited, fault, load, places, scalar, where
from agentcli.config.document import LIMIT, line_of
from agentcli.config.reference import keys, template
from agentcli.config.schema import FLAGS, VARIABLES
from agentcli.errors import Exit, UserError

ROOT = Path(__file__).parents[1]

SAMPLE = """\
# how I like it
model = "lab/qwen"   # the big one
timeout = 30
tools = ["clock", "mine.py:weather"]
save = false

[settings]
temperature = 0.2
stop = ["END"]

[providers.lab]
kind = "openai-chat"
base-url = "http://127.0.0.1:8000/v1"
key-env = "LAB_KEY"
headers = { X-Team = "blü" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home / "config.toml"


def refused(work: Callable[[], object], code: int = Exit.CONFIG) -> UserError:
    with pytest.raises(UserError) as caught:
        work()
    assert caught.value.exit_code == code, caught.value.message
    return caught.value


# Layers.


def test_without_a_file_the_defaults_hold() -> None:
    loaded = load()
    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.text is None


def test_a_file_is_read_whole(file: Path) -> None:
    file.write_text(SAMPLE, encoding="utf-8")
    config = load().config
    assert (config.model, config.timeout, config.save) == ("lab/qwen", 30, False)
    assert config.settings == {"temperature": 0.2, "stop": ["END"]}
    assert config.providers["lab"].key_env == "LAB_KEY"
    assert config.providers["lab"].headers == {"X-Team": "blü"}


def test_the_nearer_layer_wins(file: Path) -> None:
    file.write_text("model = 'a/file'\ntimeout = 1\nretries = 1\nidle-timeout = 1\n")
    os.environ |= {"AGENTCLI_TIMEOUT": "2", "AGENTCLI_RETRIES": "2", "AGENTCLI_SAVE": "no"}
    loaded = load(overrides={"retries": 3, "idle_timeout": 3.5, "model": None})
    config = loaded.config
    assert (config.model, config.timeout, config.retries, config.idle_timeout, config.save) == ("a/file", 2, 3, 3.5, False)
    assert [where(loaded, key) for key in ("model", "timeout", "retries", "idle-timeout", "save", "plain")] == [
        f"{file}:1",
        "AGENTCLI_TIMEOUT",
        "--retries",
        "--idle-timeout",
        "AGENTCLI_SAVE",
        "default",
    ]


def test_tables_are_joined_and_lists_replaced(file: Path) -> None:
    file.write_text(SAMPLE, encoding="utf-8")
    loaded = load(overrides={"settings": {"effort": "low"}, "tools": []})
    assert loaded.config.settings == {"temperature": 0.2, "stop": ["END"], "effort": "low"}
    assert loaded.config.tools == ()
    assert loaded.origins["settings.effort"] == "-o effort"
    assert loaded.origins["tools"] == "--tool"
    assert loaded.origins["settings.temperature"] == str(file)


@pytest.mark.parametrize("key", VARIABLES)
def test_every_scalar_has_a_variable(key: str) -> None:
    value = {str: "a/b", float: "7.5", int: "7", bool: "true"}[type(getattr(Config(), key.replace("-", "_")))] if key else ""
    value = "7" if key.endswith("timeout") else value
    value = {"theme": "dark", "editing": "vi", "notify": "bell"}.get(key, value)
    os.environ[VARIABLES[key]] = value
    loaded = load()
    assert loaded.origins[key] == VARIABLES[key]
    assert str(getattr(loaded.config, key.replace("-", "_"))).lower().removesuffix(".0") == value


def test_an_empty_variable_is_not_set() -> None:
    os.environ["AGENTCLI_TIMEOUT"] = ""
    assert load().config.timeout == 300


def test_a_file_in_the_current_folder_is_never_read(tmp_path: Path) -> None:
    for name in ("config.toml", "agentcli.toml", ".agentcli.toml", ".env"):
        (tmp_path / name).write_text("model = 'evil/model'\n")
    with chdir(tmp_path):
        assert load().config.model == ""


def test_paths_in_the_file_are_relative_to_the_file(file: Path, tmp_path: Path) -> None:
    file.write_text(SAMPLE + "[providers.play]\nkind = 'scripted'\nscript = 'play.toml'\n", encoding="utf-8")
    with chdir(tmp_path):
        config = load().config
        assert config.tools == ("clock", f"{file.parent}/mine.py:weather")
        assert config.providers["play"].script == str(file.parent / "play.toml")
        assert load(overrides={"tools": ["mine.py:weather"]}).config.tools == ("mine.py:weather",)  # said where one is


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    assert "there is no such file" in refused(lambda: load(tmp_path / "none.toml")).message
    named = tmp_path / "named.toml"
    named.write_text("timeout = 5")
    with chdir(tmp_path):
        assert load(Path("named.toml")).config.timeout == 5
    assert load(Path(os.devnull)).config == Config()


# Errors that point.


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("model = 'a/b'\ntimeuot = 3", 2, "unknown key `timeuot`; did you mean `timeout`?"),
        ("\n[providers.lab]\nbase_url = 'http://x'", 3, "unknown key `base_url` in [providers.lab]; did you mean `base-url`?"),
        ("[provider.lab]\nkind = 'x'", 1, "unknown key `provider`; did you mean `providers`?"),
        ("xyzzy = 1", 1, "unknown key `xyzzy`"),
        ("timeout = 'soon'", 1, "`timeout`: expected a number of seconds, 0 or more, found the text 'soon'"),
        ("\ntimeout = -1", 2, "`timeout`: expected a number of seconds, 0 or more, found -1"),
        ("timeout = nan", 1, "`timeout`: expected a number of seconds"),
        ("timeout = inf", 1, "`timeout`: expected a number of seconds"),
        ("timeout = true", 1, "found true"),
        ("timeout = 1979-05-27", 1, "found a date or a time"),
        (f"timeout = {'9' * 400}", 1, "found a number out of range"),
        ("connect-timeout = 0", 1, "expected a number of seconds above 0, found 0"),
        ("retries = 1.5", 1, "`retries`: expected a whole number from 0 to 100, found 1.5"),
        ("max-steps = 0", 1, "`max-steps`: expected a whole number above 0, found 0"),
        ("model = ''", 1, "`model`: expected text in one line"),
        ("model = 3", 1, "`model`: expected text in one line, found 3"),
        ('model = "a\\u001b[2J"', 1, "`model`: expected text in one line"),
        ("save = 'yes'", 1, "`save`: expected true or false, found the text 'yes'"),
        ("tools = 'clock'", 1, "`tools`: expected a list of texts, found the text 'clock'"),
        ("tools = [\n  'clock',\n  3,\n]", 1, "`tools`: expected a list of texts, found a list"),
        ("settings = 3", 1, "`settings`: expected a table, found 3"),
        ("[settings]\na.b = 3", 2, "`settings.a`: expected text, a number, true or false, or a list of texts, found a table"),
        ("[settings]\na = nan", 2, "`settings.a`: expected text"),
        ("[settings]\n'a b' = 1", 2, "`a b` in [settings] must be a name of letters"),
        ("providers.lab = 3", 1, "`providers.lab`: expected a table, found 3"),
        ("[providers.'a/b']\nkind = 'x'", 1, "`a/b` in [providers] must be a name"),
        ("providers = { lab = { kind = 3 } }", 1, "`providers.lab.kind`: expected text in one line, found 3"),
        ("[providers.lab]\n\nbase-url = 'ftp://x'", 3, "expected an http:// or https:// address"),
        ("[providers.lab]\nkey-env = 'A'\nkey-command = 'b'", 1, "has both `key-env` and `key-command`"),
        ('[providers.lab.headers]\nX-A = "a\\r\\nB: c"', 2, "expected text in one line"),
        ("model = lab/qwen", 1, "not TOML: invalid value"),
        ("\n\nmodel = 'a", 3, "not TOML"),
        ("a = 1\na = 2", 2, "not TOML: cannot overwrite a value"),
        ("[settings", 1, "not TOML"),
    ],
)
def test_an_error_names_file_line_and_key(file: Path, text: str, line: int, says: str) -> None:
    file.write_text(text)
    error = refused(load)
    assert error.message.startswith(f"{file}:{line}: "), error.message
    assert says in error.message


@pytest.mark.parametrize(
    "text",
    [
        "[providers.lab]\nkey = 'sk-hidden'",
        "[providers.lab]\napi_key = 'sk-hidden'",
        "[providers.lab]\nTOKEN = 'sk-hidden'",
        "[providers.lab]\nkey-env = 'sk-hidden'",
        "[providers.lab]\nbase-url = 'http://user:sk-hidden@host/v1'",
        "[providers.lab]\nkind = 3\nheaders = 'sk-hidden'",
        "[providers.lab]\nheaders = { Authorization = ['sk-hidden'] }",
        '[providers.lab]\nkey-command = "echo\\nsk-hidden"',
    ],
)
def test_a_secret_is_not_repeated(file: Path, text: str) -> None:
    file.write_text(text)
    error = refused(load)
    assert "sk-hidden" not in error.message + error.hint


def test_a_key_in_the_file_is_refused_with_the_two_ways_out(file: Path) -> None:
    file.write_text("[providers.lab]\nkey = 'sk-hidden'")
    error = refused(load)
    assert "does not belong in this file" in error.message
    assert "key-env" in error.hint
    assert "key-command" in error.hint


def test_what_may_be_secret_is_not_in_a_traceback(file: Path) -> None:
    file.write_text("[providers.lab]\nheaders = { A = 'sk-hidden' }\nkey-command = 'echo sk-hidden'")
    assert "sk-hidden" not in repr(load())


@pytest.mark.parametrize(("key", "value"), [("TIMEOUT", "soon"), ("RETRIES", "1.5"), ("SAVE", "perhaps"), ("MODEL", "a\udc80")])
def test_an_error_names_the_variable(key: str, value: str) -> None:
    os.environ[f"AGENTCLI_{key}"] = value
    assert refused(load).message.startswith(f"AGENTCLI_{key}: expected ")


def test_an_error_names_the_flag_and_is_a_wrong_use() -> None:
    assert refused(lambda: load(overrides={"timeout": -1.0}), Exit.USAGE).message.startswith("--timeout: expected ")
    error = refused(lambda: load(overrides={"settings": {"top": float("nan")}}), Exit.USAGE)
    assert error.message.startswith("-o top: expected ")


def test_a_fault_that_others_find_points_too(file: Path) -> None:
    file.write_text(SAMPLE, encoding="utf-8")
    loaded = load()
    assert fault(loaded, "providers.lab.kind", "no such kind").message == f"{file}:12: `providers.lab.kind`: no such kind"
    assert fault(loaded, "providers.lab", "no such thing").message == f"{file}:11: `providers.lab`: no such thing"
    assert fault(loaded, "retries", "too many", "fewer").message == "default: `retries`: too many"
    assert fault(load(overrides={"model": "x"}), "model", "has no slash").message == "--model: has no slash"


def test_lines_are_found_in_every_way_of_writing() -> None:
    text = 'a = """\nmodel = 1\n"""\n[ settings ] # x\n"top p" = 1\nb.c = 2\n\n'
    text += "[providers.'x']\nkind = '''\n'''\nheaders = { A = 1 }"
    assert [
        line_of(text, path)
        for path in (
            ("a",),
            ("settings",),
            ("settings", "top p"),
            ("settings", "b", "c"),
            ("providers", "x"),
            ("providers", "x", "headers", "A"),
            ("model",),
        )
    ] == [1, 4, 5, 6, 8, 11, None]


# What people put in place of the file.


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (SAMPLE.encode("utf-16"), "is UTF-16"),
        (b"model = 'a'\n\0", "NUL byte in line 2"),
        (b"a = 1\nmodel = '\xe4'\n", "not UTF-8: byte 0xe4 in line 2"),
        (b"#" * (LIMIT + 1), "larger than 1 MiB"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (SAMPLE.encode() * 2, "not TOML"),
        (b"a = " + b"9" * 5000, "not TOML"),
    ],
)
def test_what_is_no_configuration_is_said(file: Path, data: bytes, says: str) -> None:
    file.write_bytes(data)
    assert says in refused(load).message
    assert file.read_bytes() == data


@pytest.mark.parametrize("data", [b"", b" ", b"\n\n", b"# nothing\n", b"\xef\xbb\xbfretries = 4\n", b"retries = 4\r\n"])
def test_what_is_empty_or_odd_but_sound_is_read(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert load().config == Config()


def test_a_folder_or_a_fifo_is_no_configuration(file: Path) -> None:
    file.mkdir()
    assert "is not a file" in refused(load).message
    file.rmdir()
    os.mkfifo(file)
    assert "is not a file" in refused(load).message


def test_a_home_that_is_a_file_is_said(file: Path) -> None:
    file.write_text("")
    os.environ["AGENTCLI_HOME"] = str(file)
    assert str(file) in refused(load).message


def sound_or_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    with suppress(UserError):
        load(file)
        return
    assert refused(lambda: load(file)).message.startswith(str(file))


def test_cut_at_every_byte(file: Path) -> None:
    data = SAMPLE.encode()
    for end in range(len(data)):
        sound_or_refused(file, data[:end])


def test_every_bit_flipped(file: Path) -> None:
    data = SAMPLE.encode()
    for index in range(len(data)):
        for bit in range(8):
            sound_or_refused(file, data[:index] + bytes([data[index] ^ 1 << bit]) + data[index + 1 :])


TOML: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*VARIABLES, "providers", "lab", "é"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.sampled_from([key.name.partition(".")[0] for key in keys()]), TOML, max_size=4))
def test_any_document_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> None:
    import tomlkit

    sound_or_refused(tmp_path_factory.getbasetemp() / "any.toml", tomlkit.dumps(document).encode())


# Places.


def test_a_relative_home_is_made_absolute(tmp_path: Path) -> None:
    os.environ["AGENTCLI_HOME"] = "here"
    with chdir(tmp_path):
        found = places()
    root = tmp_path / "here"
    assert [getattr(found, name) for name in found.__struct_fields__] == [
        root / name for name in ("config.toml", "threads", "blobs", "agents", "history", "cache", "models")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG folders")
def test_the_platforms_folders(tmp_path: Path) -> None:
    del os.environ["AGENTCLI_HOME"]
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ["HOME"] = str(tmp_path)
    found = places()
    assert found.config == tmp_path / ".config/agentcli/config.toml"
    assert found.threads == tmp_path / ".local/share/agentcli/threads"
    assert found.history == tmp_path / ".local/state/agentcli/history"


@pytest.mark.parametrize("home", ["", "somewhere"])
def test_a_home_that_is_none_is_not_used(home: str) -> None:
    """The system knows a better one."""
    del os.environ["AGENTCLI_HOME"]
    os.environ["HOME"] = home
    assert places().config.is_absolute()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="becomes a user that the system does not know")
def test_no_home_is_said() -> None:
    program = (
        "import os, platformdirs.unix, pwd; from agentcli.config import load; from agentcli.errors import UserError\n"
        "os.setuid(54321)\n"
        "try: load()\n"
        "except UserError as error: print(error.exit_code, error.message)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "AGENTCLI_HOME")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("78 there is no home folder"), done.stderr


# Changing a value.


def test_setting_keeps_comments_and_order(file: Path) -> None:
    file.write_text(SAMPLE, encoding="utf-8")
    for key, value in (
        ("timeout", "45"),
        ("idle-timeout", "9"),
        ("settings.temperature", "0.7"),
        ("providers.lab.base-url", "http://y/v1"),
    ):
        file.write_bytes(edited(file, key, value))
    expected = SAMPLE.replace("= 30", "= 45").replace("= 0.2", "= 0.7").replace("http://127.0.0.1:8000/v1", "http://y/v1")
    assert file.read_text(encoding="utf-8") == expected.replace("save = false\n", "save = false\nidle-timeout = 9\n")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("model", "lab/qwen", "lab/qwen"),
        ("model", '"lab/qwen"', "lab/qwen"),
        ("model", "42", "42"),
        ("system", "Answer in\ntwo lines.", "Answer in\ntwo lines."),
        ("system", "", ""),
        ("timeout", "2.5", 2.5),
        ("plain", "true", True),
        ("tools", "clock, shell", ("clock", "shell")),
        ("tools", "clock", ("clock",)),
        ("tools", '["a", "b"]', ("a", "b")),
        ("tools", "[]", ()),
    ],
)
def test_what_is_typed_becomes_what_the_key_wants(file: Path, key: str, text: str, value: object) -> None:
    file.write_bytes(edited(file, key, text))
    assert getattr(load().config, key) == value


def test_tables_are_made_where_they_are_missing(file: Path) -> None:
    for key, value in (
        ("providers.a.kind", "x"),
        ("settings.effort", "low"),
        ("settings.seed", "3"),
        ("providers.b.headers.X-A", "1"),
    ):
        file.write_bytes(edited(file, key, value))
    config = load().config
    assert config.settings == {"effort": "low", "seed": 3}
    assert config.providers["a"].kind == "x"
    assert config.providers["b"].headers == {"X-A": "1"}


def test_unsetting(file: Path) -> None:
    file.write_text(SAMPLE, encoding="utf-8")
    for key in ("timeout", "providers.lab", "model", "retries", "settings.none"):
        file.write_bytes(edited(file, key, None))
    config = load().config
    assert (config.model, config.timeout, config.providers) == ("", 300, {})
    assert config.settings["temperature"] == 0.2
    assert file.read_text(encoding="utf-8").startswith("# how I like it\n")


def test_a_table_in_one_line_stays_in_one_line(file: Path) -> None:
    file.write_text("providers = { a = { kind = 'x' } }\n")
    file.write_bytes(edited(file, "providers.a.headers.X-A", "1"))
    assert file.read_text().count("\n") == 1
    assert load().config.providers["a"].headers == {"X-A": "1"}


def test_what_cannot_be_changed_alone_is_not_changed(file: Path) -> None:
    """The editing library mixes these up: its work is checked."""
    file.write_text("providers.a.kind = 'x'\nproviders.a.headers.X = '1'\n")
    assert "without disturbing the rest" in refused(lambda: edited(file, "providers.c.kind", "y")).message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("timeuot", "1", "did you mean `timeout`?"),
        ("timeout", "soon", "expected a number of seconds"),
        ("retries", "nan", "expected a whole number"),
        ("providers.lab.key", "sk-hidden", "does not belong in this file"),
        ("providers.lab.key-command", "pass show", "has both"),
        ("providers.a b.kind", "x", "must be a name"),
        ("model.x", "1", "`model` is not a table"),
        ("providers", "3", "expected a table"),
        ("", "1", "unknown key"),
        ("settings.", "1", "must be a name"),
        ("model", "a\nb", "expected text in one line"),
    ],
)
def test_what_would_not_load_is_not_set(file: Path, key: str, value: str, says: str) -> None:
    file.write_text(SAMPLE, encoding="utf-8")
    error = refused(lambda: edited(file, key, value))
    assert says in error.message
    assert "sk-hidden" not in error.message + error.hint


def test_a_wrong_file_is_mended_before_it_is_changed(file: Path) -> None:
    file.write_text("timeuot = 3\n")
    assert refused(lambda: edited(file, "timeout", "1")).message.startswith(f"{file}:1: unknown key `timeuot`")


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.sampled_from(["model", "system", "settings.a", "settings.b", "providers.x.kind"]), st.text()), max_size=5)
)
def test_any_text_that_is_set_reads_back(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str]]) -> None:
    file = tmp_path_factory.getbasetemp() / "set.toml"
    file.write_text(SAMPLE, encoding="utf-8")
    for key, text in changes:
        quoted = msgspec.json.encode(text).decode()
        try:
            data = edited(file, key, quoted)
        except UserError:
            continue
        file.write_bytes(data)
        found: Any = msgspec.to_builtins(load(file).config)
        for part in key.split("."):
            found = found[part]
        assert found == text
        assert "# the big one" in data.decode()


@pytest.mark.parametrize(
    ("text", "value"), [("0.2", 0.2), ("3", 3), ("true", True), ("low", "low"), ('"3"', "3"), ("[1]", "[1]"), ("NaN", "NaN"), ("", "")]
)
def test_a_typed_setting(text: str, value: object) -> None:
    assert scalar(text) == value


# The words about it.


def test_the_template_says_everything_and_sets_nothing(file: Path) -> None:
    file.write_text(template())
    assert load().config == Config()
    lines = [line.removeprefix("# ") for line in template().splitlines() if line.startswith("# ") and (" = " in line or "[" in line)]
    file.write_text("\n".join(line for line in lines if not line.startswith("key-command")))
    assert load().config.providers["lab"].key_env == "LAB_KEY"
    assert load().config.timeout == 300


def test_the_reference_is_in_step() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [key.row() for key in keys()]


def test_every_flag_exists() -> None:
    shown = subprocess.run([sys.executable, "-m", "agentcli", "ask", "--help"], capture_output=True, text=True, timeout=30).stdout
    assert [flag for flag in FLAGS.values() if flag not in shown] == []


def test_it_costs_little_to_load(tmp_path: Path) -> None:
    program = (
        "import sys; from agentcli.config import load; load(overrides={'timeout': 1.0}); "
        "print([m for m in ('tomllib', 'tomlkit', 'platformdirs', 'difflib', 'agentcli.config.faults') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n", done.stderr


def test_a_wrong_value_is_a_fault_also_where_a_later_layer_says_another(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("model = 3\n")
    with pytest.raises(UserError, match=r"config\.toml:1"):
        load(file, {"model": "openai/x"})
    os.environ["AGENTCLI_TIMEOUT"] = "soon"
    with pytest.raises(UserError, match="AGENTCLI_TIMEOUT"):
        load(None, {"timeout": 3.0})
