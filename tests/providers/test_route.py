"""What is known of a server before it is asked, and what an error may say."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers.fault import FinalError
from agentcli.providers.http.retry import _gates
from agentcli.providers.http.route import Route
from tests.providers.asking import http

KEY = "sk-Very+Secret/0123456789=="


def told(message: str, key: str = KEY, url: str = "http://h/v1") -> str:
    error = ProviderError("server", message, hint=message)
    Route("lab", url, {"authorization": f"Bearer {key}"}, Clocks(), keep=False).tell(error)
    assert str(error) == error.message
    return error.message


@pytest.mark.parametrize("key", [KEY, quote(KEY), quote(KEY, safe="")])
def test_a_key_is_not_said_wherever_the_cut_is(key: str) -> None:
    for before in range(540, 620):
        said = told(f"{'x' * before}{key} and more {key} {'y' * 500}")
        assert "sk-" not in said
        assert len(said) <= 601
    assert "sk-" not in told(f"{key * 200}")


@pytest.mark.parametrize(
    ("key", "message", "said"),
    [
        ("a", "a cat sat on a mat", "… cat sat on … mat"),
        ("x", "maximum exceeded (x)", "maximum exceeded (…)"),
        ("1234567", "key 1234567, not 12345678", "key …, not 12345678"),
        ("12345678", "key x12345678x", "key x…x"),
        ("", "as it is", "as it is"),
    ],
)
def test_a_short_key_is_hidden_only_as_a_word(key: str, message: str, said: str) -> None:
    assert told(message, key) == said


def test_what_cannot_be_written_is_not_said() -> None:
    assert told("half \ud83d of it") == "half \ufffd of it"


def test_what_is_secret_in_the_base_url_is_known_from_the_start() -> None:
    route = Route("lab", "http://me:p%40ssw0rd!@h/v1?key=sk-in-the-query&v=1", {}, Clocks(), keep=False)
    basic = base64.b64encode(b"me:p@ssw0rd!").decode()
    assert {"p@ssw0rd!", "sk-in-the-query", basic} <= set(route.secrets)
    assert "1" not in route.secrets
    assert (route.where, str(route.base)) == ("h", "http://h/v1?key=sk-in-the-query&v=1")


def test_a_base_url_that_is_none_says_nothing_of_it() -> None:
    route = Route("lab", "http://me:sk/secret@h", {}, Clocks(), keep=False)
    assert not route.understood
    for _ in range(2):
        with pytest.raises(FinalError, match="base URL of lab"):
            route.base.host  # noqa: B018
    with pytest.raises(FinalError) as caught:
        route.request("/models")
    assert "sk" not in f"{caught.value} {caught.value.hint}"


def test_the_gates_keep_no_key() -> None:
    http(f"http://h/v1?key={KEY}", key=KEY)
    assert KEY not in repr(_gates)
    assert all(isinstance(name, int) for name in _gates)
