"""Where keys come from: which place counts, and that a place which fails is named and nothing is given away."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from keyring import core

from agentcli.config import keyring
from agentcli.config.key import from_command, key_of
from agentcli.errors import Exit, UserError
from tests import keyrings

KEPT = {"agentcli/lab": "sk-kept"}


@pytest.fixture(autouse=True)
def _backend(tmp_path: Path) -> Iterator[None]:
    """A keyring of the test's own, with a key for `lab`."""
    os.environ["KEYRING_FILE"] = str(tmp_path / "keyring.json")
    Path(os.environ["KEYRING_FILE"]).write_text(json.dumps(KEPT))
    use("tests.keyrings.File")
    yield
    use("keyring.backends.fail.Keyring")


def use(backend: str) -> None:
    core.set_keyring(core.load_keyring(backend))


def noted(*names: str) -> None:
    keyring.file().parent.mkdir(parents=True, exist_ok=True)
    keyring.file().write_bytes(keyring.listing(names))


def test_the_first_place_that_has_a_key_counts() -> None:
    noted("lab")
    os.environ["LAB_KEY"] = "sk-variable"
    assert key_of("lab", "LAB_KEY", "echo sk-command") == ("sk-variable", "LAB_KEY")
    os.environ["LAB_KEY"] = ""
    assert key_of("lab", "LAB_KEY", "echo sk-command") == ("sk-command", "the key-command of [providers.lab]")
    assert key_of("lab", "LAB_KEY", "true") == ("sk-kept", "the keyring")
    assert key_of("lab", "", None) == ("sk-kept", "the keyring")
    assert key_of("lab", "LAB_KEY", None, keyring=False) == (None, "LAB_KEY")


def test_the_keyring_is_asked_only_for_what_was_put_there() -> None:
    assert key_of("lab", "LAB_KEY", None) == (None, "LAB_KEY")
    noted("other")
    assert key_of("lab", "LAB_KEY", None) == (None, "LAB_KEY")
    with pytest.raises(UserError, match="no key for other any more") as caught:
        key_of("other", "", None)
    assert caught.value.exit_code == Exit.CONFIG


def test_what_is_put_there_can_be_had_and_removed() -> None:
    keyring.put("new", "sk-new")
    assert keyrings.entries() == {**KEPT, "agentcli/new": "sk-new"}
    assert keyring.get("new") == "sk-new"
    keyring.remove("new")
    keyring.remove("new")
    assert keyrings.entries() == KEPT
    assert keyring.backend() == "keyrings File"


@pytest.mark.parametrize(
    ("backend", "says"),
    [("Locked", "the collection is locked"), ("Forgetful", "does not give it back")],
)
def test_a_keyring_that_does_not_keep(backend: str, says: str) -> None:
    use(f"tests.keyrings.{backend}")
    with pytest.raises(UserError) as caught:
        keyring.put("new", "sk-hidden")
    assert caught.value.exit_code == Exit.CONFIG
    assert says in caught.value.message
    assert "sk-hidden" not in caught.value.message + caught.value.hint


def test_a_keyring_that_never_answers_is_left() -> None:
    use("tests.keyrings.Silent")
    began = monotonic()
    with pytest.raises(UserError, match=r"no answer within 0\.2 s"):
        keyring.get("lab", patience=0.2)
    assert monotonic() - began < 5


def test_no_keyring() -> None:
    for backend in ("fail", "null"):
        use(f"keyring.backends.{backend}.Keyring")
        with pytest.raises(UserError, match="no keyring on this system"):
            keyring.backend()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keyring": 3}', '{"keyring": [', "[" * 100_000, '{"keyring": [null]}'])
def test_a_list_that_cannot_be_read_is_named_and_left(text: str) -> None:
    noted()
    keyring.file().write_text(text)
    with pytest.raises(UserError) as caught:
        key_of("lab", "", None)
    assert str(keyring.file()) in caught.value.message
    assert caught.value.exit_code == Exit.CONFIG
    assert keyring.file().read_text() == text
    os.environ["LAB_KEY"] = "sk-variable"
    assert key_of("lab", "LAB_KEY", None)[0] == "sk-variable"


def test_of_what_a_command_prints_the_first_line_is_the_key() -> None:
    assert from_command("lab", r"printf '\n sk-hidden \nuser: ada\n'") == "sk-hidden"
    assert from_command("lab", "") is None
    assert from_command("lab", "true") is None


def test_a_command_whose_child_lives_on_is_not_waited_for() -> None:
    """The command is killed when its time is up; what it started has its stdout, and goes on for a while."""
    program = "import subprocess, time; subprocess.Popen(['sleep', '8']); time.sleep(40)"
    began = monotonic()
    with pytest.raises(UserError, match=r"took longer than 0\.5 s"):
        from_command("lab", f'{sys.executable} -c "{program}"', patience=0.5)
    assert monotonic() - began < 5
