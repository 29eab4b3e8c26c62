"""`agentcli models`, and the names that the shell offers: the real program, asking servers on the loopback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest

from tests.program import PROGRAM, agentcli, environment
from tests.providers.listener import listener
from tests.providers.lists import lists
from tests.terminal import Terminal

SEED = {
    "id": "vendor/seed-1.6",
    "name": "Seed 1.6",
    "context_length": 262144,
    "architecture": {"input_modalities": ["image", "text"], "output_modalities": ["text"]},
    "pricing": {"prompt": "0.00000025", "completion": "0.000002", "input_cache_read": "0.00000005"},
    "top_provider": {"max_completion_tokens": 16384},
    "supported_parameters": ["tools"],
}
MODELS = {"/v1/models": {"data": [SEED, {"id": "plain"}, {"id": "text-embedding-3-small"}]}}


def configure(tmp_path: Path, text: str) -> None:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(text)


def lab(tmp_path: Path, url: str, more: str = "") -> None:
    configure(tmp_path, f'[providers.lab]\nbase-url = "{url}/v1"\n{more}')


def documents(*arguments: str, **env: str | None) -> list[dict[str, Any]]:
    done = agentcli("models", "--json", *arguments, **env)
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_a_line_for_each_model(tmp_path: Path) -> None:
    with lists(MODELS) as (url, asked):
        lab(tmp_path, url, 'key-env = "LAB_KEY"')
        done = agentcli("models", LAB_KEY="sk-secret", ANTHROPIC_API_KEY="")
    assert (done.returncode, done.stdout) == (
        0,
        "lab/plain\t\t\t\t\t\t\nlab/vendor/seed-1.6\t262144\t16384\t0.25\t2\timages tools\t\n",
    )
    assert asked[0][1]["authorization"] == "Bearer sk-secret"
    first, *more = done.stderr.splitlines()
    assert first.startswith("9 providers have no key: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY")
    assert more in ([], ["More prices: pip install 'agentcli[prices]'"])


def test_as_json(tmp_path: Path) -> None:
    with lists(MODELS) as (url, _):
        lab(tmp_path, url)
        _, seed = documents()
    price = {"input": 0.25, "output": 2.0, "cached": 0.05}
    assert seed == {
        "model": "lab/vendor/seed-1.6", "provider": "lab", "name": "Seed 1.6", "context": 262144, "output": 16384, "price": price,
        "capabilities": ["images", "tools"], "source": "listing",
    }  # fmt: skip
    assert list(seed)[:2] == ["model", "provider"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["SEED"], ["lab/vendor/seed-1.6"]),
        (["lab", "1.6"], ["lab/vendor/seed-1.6"]),
        (["lab 1.6"], ["lab/vendor/seed-1.6"]),
        (["tools"], ["lab/vendor/seed-1.6"]),
        (["seed", "plain"], []),
        ([], ["lab/plain", "lab/vendor/seed-1.6"]),
        (["--all", "embed"], ["lab/text-embedding-3-small"]),
    ],
)
def test_a_search(tmp_path: Path, words: list[str], found: list[str]) -> None:
    with lists(MODELS) as (url, _):
        lab(tmp_path, url)
        done = agentcli("models", "--json", *words)
    assert [each["model"] for each in json.loads(done.stdout)] == found
    assert done.returncode == 0
    assert ("No model has that in its name." in done.stderr) == (not found)


def test_the_dead_cost_a_line_each_and_three_seconds(tmp_path: Path) -> None:
    with lists(MODELS) as (url, _), listener(None) as (silent, _):
        lab(
            tmp_path,
            url,
            f'[providers.silent]\nbase-url = "http://127.0.0.1:{silent}"\n[providers.gone]\nbase-url = "http://127.0.0.1:1"',
        )
        began = monotonic()
        done = agentcli("models")
        assert monotonic() - began < 6
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("lab/plain\t")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: silent: silent does not say within 3 s which models it has",
        "warning: gone: cannot connect to 127.0.0.1:1: connection refused",
    ]


def test_a_key_that_is_refused_is_not_shown(tmp_path: Path) -> None:
    with lists({"*": {"error": {"message": "no such key: sk-secret"}}}, status=401) as (url, _):
        lab(tmp_path, url, 'key-env = "LAB_KEY"')
        done = agentcli("models", LAB_KEY="sk-secret")
    assert done.returncode == 69
    assert done.stderr.startswith("warning: lab: lab refuses the key (401): no such key: …\n")
    assert "sk-secret" not in done.stdout + done.stderr


def test_one_provider(tmp_path: Path) -> None:
    with lists(MODELS) as (url, _):
        lab(tmp_path, url, '[providers.gone]\nbase-url = "http://127.0.0.1:1"\n[aliases]\nfast = "lab/plain"\nother = "gone/x"')
        done = agentcli("models", "--provider", "lab")
        assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == ["fast", "lab/plain", "lab/vendor/seed-1.6"]
        assert "warning" not in done.stderr
        assert "no key" not in done.stderr
    assert agentcli("models", "--provider", "gone").returncode == 69
    assert agentcli("models", "--provider", "lab").returncode == 69


@pytest.mark.parametrize(
    ("name", "says"),
    [("nobody", "no provider is called 'nobody'"), ("anthropic", "there is no key for anthropic"), ("azure", "base URL")],
)
def test_a_provider_that_cannot_be_asked(name: str, says: str) -> None:
    done = agentcli("models", "--provider", name)
    assert (done.returncode, done.stdout) == (78, "")
    assert says in done.stderr


def test_aliases(tmp_path: Path) -> None:
    with lists(MODELS) as (url, _):
        lab(tmp_path, url, 'context = 99\n[aliases]\nfast = "lab/vendor/seed-1.6"')
        fast, *others = documents()
    assert (fast["model"], fast["means"], fast["provider"], fast["source"]) == ("fast", "lab/vendor/seed-1.6", "lab", "alias")
    assert fast["price"] == {"input": 0.25, "output": 2.0, "cached": 0.05}
    assert {each["context"] for each in (fast, *others)} == {99}  # the configuration says so


def test_vendors_variables() -> None:
    claude = {"data": [{"id": "claude-x", "max_input_tokens": 200000, "capabilities": {"thinking": {"supported": True}}}]}
    with lists({"/v1/models?limit=1000": claude, "/v1/models": {"data": [{"id": "llama", "owned_by": "library"}]}}) as (url, asked):
        found = documents(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=url, OLLAMA_HOST=url)
    assert [
        (each["model"], each["context"], each["capabilities"]) for each in found if each["provider"] in ("anthropic", "ollama")
    ] == [
        ("anthropic/claude-x", 200000, ["reasoning"]),
        ("ollama/llama", None, []),
    ]
    assert next(each for each in found if each["provider"] == "ollama")["price"] == {"input": 0, "output": 0, "cached": 0}
    assert {headers.get("x-api-key") for _, headers in asked} == {"k", None}


def test_a_configured_provider_without_its_key_is_not_asked(tmp_path: Path) -> None:
    with lists(MODELS) as (url, asked):
        lab(tmp_path, url, 'key-env = "LAB_KEY"')
        done = agentcli("models", "--json")
        assert not asked
    assert "9 providers have no key: " in done.stderr
    assert "warning: lab: there is no key for lab: LAB_KEY is not set" in done.stderr


def test_a_provider_that_is_wrong_does_not_hide_the_others(tmp_path: Path) -> None:
    with lists(MODELS) as (url, _):
        lab(tmp_path, url, '[providers.odd]\nbase-url = "http://h/v1"\nkey-command = "no-such-program"')
        done = agentcli("models")
    assert done.returncode == 0
    assert done.stdout.startswith("lab/plain\t")
    assert "warning: odd: the command for the key of odd failed: no-such-program cannot be started" in done.stderr


def test_nothing_to_ask() -> None:
    done = agentcli("models", "--json")
    if json.loads(done.stdout):
        pytest.skip("a model server runs on this machine")
    assert done.returncode == 78
    assert "error: there is nothing to ask" in done.stderr


def test_a_wrong_file(tmp_path: Path) -> None:
    configure(tmp_path, "nonsense = 1\n")
    assert agentcli("models").returncode == 78


def test_on_a_terminal(tmp_path: Path) -> None:
    odd = {"id": "odd\u001b]0;gone\u0007", "context_length": 5}
    long = {"id": "long-" + "x" * 190, "context_length": 1_050_000}
    with lists({"*": {"data": [SEED, odd, {"id": "ünïcødé-模型"}, long]}}) as (url, _):
        lab(tmp_path, url, '[aliases]\nfast = "lab/vendor/seed-1.6"')
        with Terminal([*PROGRAM, "models"], size=(78, 24), env=environment()) as terminal:
            assert terminal.wait() == 0
            raw, screen = terminal.raw, terminal.screen()
        with Terminal([*PROGRAM, "models", "seed"], size=(78, 24), env=environment()) as terminal:
            assert terminal.wait() == 0
            narrow = terminal.screen()
    assert b"\x1b]0" not in raw
    assert screen[0].split()[:2] == ["MODEL", "CONTEXT"]
    assert any(line.startswith("lab/long-xxx") and "…" in line and line.endswith("1.05M") for line in screen)
    assert "lab/ünïcødé-模型" in screen
    assert all(len(line) <= 78 for line in screen)
    assert narrow[0].split() == ["MODEL", "CONTEXT", "$/M", "IN", "OUT", "CAN"]
    assert narrow[1].split() == ["fast", "=", "lab/vendor/seed-1.6", "262k", "0.25", "2", "images", "tools"]
    assert narrow[2] == ""
    assert narrow[3].split() == ["lab/vendor/seed-1.6", "262k", "0.25", "2", "images", "tools"]


def test_prices_of_the_package(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices", reason="the extra `prices` is not installed", exc_type=ImportError)
    with lists({"*": {"data": [{"id": "gpt-5.4"}, {"id": "claude-sonnet-4-5"}]}}) as (url, _):
        imitated = documents("--provider", "openai", OPENAI_BASE_URL=f"{url}/v1")
        model = documents("--provider", "anthropic", ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY="k")[0]
    assert [each["price"] for each in imitated] == [None, None]  # who knows what that server takes
    assert model["price"]["input"] > 0
    assert model["context"] > 100_000
    cache = tmp_path / "home" / "cache"
    assert sorted(os.listdir(cache)) == ["models.msgpack", "prices.msgpack"]
    assert {file.stat().st_mode & 0o777 for file in cache.iterdir()} == {0o600}


# --- Tab ---


def offered(*words: str, **env: str) -> list[str]:
    """What the shell would be told for the last of the words."""
    done = agentcli(*words, _AGENTCLI_COMPLETE="fish", **env)
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()[1:]]


def test_the_shell_completes_what_was_listed_and_aliases(tmp_path: Path) -> None:
    with lists(MODELS) as (url, asked):
        lab(tmp_path, url, '[aliases]\nfast = "lab/plain"')
        assert offered("ask", "-m", "lab") == []
        agentcli("models")
        count = len(asked)
        assert offered("ask", "-m", "lab") == ["lab/plain", "lab/vendor/seed-1.6"]
        assert offered("chat", "--model", "lab/v") == ["lab/vendor/seed-1.6"]
        assert offered("ask", "-m", "fa") == ["fast"]
        assert "openai/gpt-5.4" in offered("ask", "-m", "openai/")
        assert len(asked) == count


@pytest.mark.parametrize("what", ["configuration", "cache", "home"])
def test_the_shell_is_told_nothing_where_something_is_wrong(tmp_path: Path, what: str) -> None:
    configure(tmp_path, "nonsense" if what == "configuration" else "")
    cache = tmp_path / "home" / "cache"
    cache.mkdir()
    (cache / "models.msgpack").write_bytes(b"nonsense" if what == "cache" else msgspec.msgpack.encode([1, b"", []]))
    env = {"AGENTCLI_HOME": str(cache / "models.msgpack")} if what == "home" else {}
    assert offered("ask", "-m", "anthropic/", **env) == ["anthropic/claude-sonnet-5"]


NOT_WORDS = ["$(touch x)", "`touch x`", "a; rm -rf x", "a b", 'a"b', "a'b", "a|b", "a\x1b[2Jb", "-rf", "a\nb", "*", "~x"]


@pytest.mark.parametrize("name", NOT_WORDS)
def test_what_a_shell_would_run_is_not_offered(tmp_path: Path, name: str) -> None:
    with lists({"*": {"data": [{"id": name}, {"id": "plain:7b"}]}}) as (url, _):
        lab(tmp_path, url)
        agentcli("models")
        found = offered("ask", "-m", "lab/")
    assert found == (["lab/-rf", "lab/plain:7b"] if name == "-rf" else ["lab/plain:7b"])  # behind a slash it is no option
