"""Doctor: each thing that can be wrong is told apart, and nothing secret is shown."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentcli.config import Config, load, places
from agentcli.errors import Exit, UserError
from agentcli.providers.probe import Outcome, probe
from agentcli.ui import doctor
from agentcli.ui.doctor import Check
from tests.model_server import ModelServer
from tests.providers.listener import listener


def kind_of(url: str, patience: float = 3.0) -> Outcome:
    return asyncio.run(probe(url, patience=patience))


# Servers.


def test_a_server_that_answers(server: ModelServer) -> None:
    assert kind_of(server.url) == Outcome("answers", "answers")
    assert server.requests == []  # no question was asked of a model


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert kind_of(f"http://127.0.0.1:{port}/v1").kind == "refused"
    assert kind_of(f"http://localhost:{port}/v1").kind == "refused"


def test_an_unknown_name() -> None:
    assert kind_of("http://no-such-host.invalid/v1").kind in ("dns", "timeout")
    assert kind_of(f"http://{'a' * 70}.example/v1").kind == "dns"


def test_a_silent_server() -> None:
    with listener(None) as (port, _):
        began = time.monotonic()
        assert kind_of(f"http://127.0.0.1:{port}/v1", patience=0.3) == Outcome(
            "timeout", "no answer within 0.3 s while asking", "Is a firewall or a proxy in the way?"
        )
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "answers"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere\r\n\r\n", "redirect"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "path"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "server"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "protocol"),
        (b"x" * 100_000, "protocol"),
    ],
)
def test_what_it_says(answer: bytes, kind: str) -> None:
    with listener(answer) as (port, _):
        assert kind_of(f"http://127.0.0.1:{port}/v1").kind == kind


def test_a_server_that_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert kind_of(f"http://127.0.0.1:{server.getsockname()[1]}/v1").kind == "protocol"
        thread.join(10)


def test_certificates() -> None:
    with ModelServer(tls="good") as server:
        untrusted = kind_of(server.url)
        assert (untrusted.kind, "SSL_CERT_FILE" in untrusted.hint) == ("tls", True)
        os.environ["SSL_CERT_FILE"] = server.ca
        assert kind_of(server.url).kind == "answers"
        os.environ["SSL_CERT_FILE"] = "/nowhere/ca.pem"
        assert kind_of(server.url).kind == "tls"


def test_a_certificate_for_another_host() -> None:
    with ModelServer(tls="bad") as server:
        os.environ["SSL_CERT_FILE"] = server.ca
        outcome = kind_of(server.url)
        assert outcome.kind == "tls"
        assert "its certificate is not valid" in outcome.text


def test_https_spoken_to_an_http_server() -> None:
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _):
        assert kind_of(f"https://127.0.0.1:{port}/v1").kind == "tls"
    with listener(None) as (port, _):
        outcome = kind_of(f"https://127.0.0.1:{port}/v1", patience=0.3)
        assert outcome.kind == "timeout"
        assert outcome.text.endswith("no answer while agreeing on TLS")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "http://[::1", "http://h:99999/v1", "http://h:x/v1"])
def test_no_address(url: str) -> None:
    assert kind_of(url).kind == "address"


# Proxies.


def test_a_proxy_is_asked_for_an_https_server() -> None:
    with listener(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as (port, asked):
        os.environ["https_proxy"] = f"http://ada:pa%20ss@127.0.0.1:{port}"
        outcome = kind_of("https://api.example/v1")
        assert outcome.kind == "proxy"
        assert "pa%20ss" not in outcome.text
        assert asked[0].startswith(b"CONNECT api.example:443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic YWRhOnBhIHNz\r\n" in asked[0]


def test_a_proxy_is_asked_for_an_http_server() -> None:
    with listener(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as (port, asked):
        os.environ["http_proxy"] = f"127.0.0.1:{port}"
        assert kind_of("http://lab.example/v1?a=b").kind == "proxy"
        assert asked[0].startswith(b"GET http://lab.example/v1/models?a=b HTTP/1.1\r\n")


def test_a_proxy_that_is_not_there_is_not_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    os.environ["https_proxy"] = f"http://127.0.0.1:{port}"
    assert kind_of("https://api.example/v1").kind == "proxy"
    os.environ["https_proxy"] = "socks5://127.0.0.1:1080"
    assert kind_of("https://api.example/v1").kind == "proxy"


def test_no_proxy_is_heard(server: ModelServer) -> None:
    os.environ |= {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}
    assert kind_of(server.url).kind == "answers"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("http://h/v1", "http://h/v1"),
        ("http://u:sk-hidden@h/v1", "http://…@h/v1"),
        ("http://u:sk-hi/dd?en@h/v1", "http://…@h/v1"),
        ("u:sk-hidden@h:3128", "…@h:3128"),
        ("http://h/v1?key=sk-hidden", "http://h/v1"),
        ("http://h/v1#sk-hidden", "http://h/v1"),
    ],
)
def test_what_is_secret_in_a_url_is_not_shown(url: str, safe: str) -> None:
    assert doctor.shown(url) == safe


def test_only_the_server_in_use_can_be_a_fault(server: ModelServer) -> None:
    urls = {"up": server.url, "down": "http://127.0.0.1:1/v1"}
    statuses = {used: [check.status for check in asyncio.run(doctor.servers(urls, used))] for used in ("up", "down", None)}
    assert statuses == {"up": ["ok", "note"], "down": ["ok", "fault"], None: ["ok", "note"]}


def test_servers_are_asked_at_once() -> None:
    with listener(None) as (one, _), listener(None) as (two, _):
        began = time.monotonic()
        urls = {"a": f"http://127.0.0.1:{one}/v1", "b": f"http://127.0.0.1:{two}/v1"}
        checks = asyncio.run(doctor.servers(urls, None, patience=1.0))
        assert [check.status for check in checks] == ["note", "note"]
        assert time.monotonic() - began < 1.9


def test_which_servers_are_asked(tmp_path: Path) -> None:
    assert doctor.addresses(Config(), None) == {}
    os.environ["OPENAI_API_KEY"] = "x"
    assert doctor.addresses(Config(), None) == {"openai": "https://api.openai.com/v1"}
    os.environ["OPENAI_BASE_URL"] = "http://h/v1"
    file = tmp_path / "config.toml"
    file.write_text("[providers.lab]\nbase-url = 'http://lab/v1'\n[providers.play]\nkind = 'scripted'\n")
    assert doctor.addresses(load(file).config, ("scripted", "")) == {"openai": "http://h/v1", "lab": "http://lab/v1"}


# The rest.


def faults(checks: Iterator[Check]) -> list[tuple[str, str]]:
    return [(check.status, check.text) for check in checks if check.status != "ok"]


def test_folders_that_are_not_there_yet_are_fine(tmp_path: Path) -> None:
    assert faults(doctor.folders(places())) == []
    assert list(tmp_path.iterdir()) == []  # and they still are not


def test_modes_and_what_is_in_the_way() -> None:
    here = places()
    here.threads.mkdir(parents=True, mode=0o755)
    here.threads.parent.chmod(0o700)
    here.blobs.write_text("")
    here.config.touch(0o644)
    found = faults(doctor.folders(here))
    assert [status for status, _ in found] == ["note", "fault", "note"]
    assert "open to others (mode 755)" in found[0][1]
    assert "is not a folder" in found[1][1]
    assert "open to others (mode 644)" in found[2][1]
    assert stat.S_IMODE(here.threads.stat().st_mode) == 0o755


def test_a_home_that_cannot_be_made() -> None:
    os.environ["AGENTCLI_HOME"] = f"{os.devnull}/agentcli"
    assert {check.status for check in doctor.folders(places()) if not check.text.startswith("AGENTCLI_HOME")} == {"fault"}


def test_a_misspelt_variable_is_noticed() -> None:
    os.environ |= {"AGENTCLI_TIMEUOT": "3", "AGENTCLI_RETRIES": "2"}
    checks = list(doctor.configuration(load()))
    assert [(check.text, check.hint) for check in checks if check.status == "note"] == [
        ("AGENTCLI_TIMEUOT means nothing to agentcli", "Did you mean AGENTCLI_TIMEOUT?")
    ]
    assert checks[1].text == "set by the environment: AGENTCLI_RETRIES"


def test_keys_are_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[providers.a]\nkey-env = 'A_KEY'\n"
        "[providers.b]\nkey-env = 'B_KEY'\n"
        "[providers.c]\nkey-command = 'no-such-program sk-hidden'\n"
        "[providers.d]\nkey-command = 'sh -c \"echo sk-hidden\"'\n"
    )
    os.environ |= {"A_KEY": "sk-hidden", "B_KEY": ' "sk-hidden" '}
    checks = {check.text.partition(":")[0]: check for check in doctor.keys(load(file).config)}
    assert [checks[name].status for name in "abcd"] == ["ok", "note", "fault", "ok"]
    assert checks["openai"].text == "openai: OPENAI_API_KEY is not set"
    assert "sk-hidden" not in repr(checks)


def test_the_network_variables() -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        os.environ.pop(name, None)
    assert [check.text for check in doctor.network()] == ["no proxy is set"]
    os.environ |= {"HTTPS_PROXY": "http://u:sk-hidden@p:1", "SSL_CERT_FILE": "/nowhere/ca.pem"}
    checks = list(doctor.network())
    assert [check.status for check in checks] == ["ok", "fault"]
    assert checks[0].text == "HTTPS_PROXY is http://…@p:1"


def test_errors_are_findings() -> None:
    error = UserError("there is no model to ask", hint="Get one.", exit_code=Exit.CONFIG)
    checks = [*doctor.model(error, None), *doctor.configuration(error), *doctor.threads(error)]
    assert [(check.status, check.text, check.hint) for check in checks] == [("fault", error.message, error.hint)] * 3


@pytest.mark.parametrize(
    ("topics", "code"),
    [([], Exit.OK), (["server"], Exit.FAILED), (["server", "model"], Exit.CONFIG), (["configuration"], Exit.CONFIG)],
)
def test_the_exit_code(topics: list[str], code: int) -> None:
    assert doctor.exit_code([Check("note", "paths", ""), *(Check("fault", topic, "") for topic in topics)]) == code


def test_versions_and_limits_and_terminal_say_something() -> None:
    checks = [*doctor.versions(), *doctor.limits(), *doctor.terminal()]
    assert all(check.text for check in checks)
    words = " ".join(check.text for check in checks)
    assert "httpx" in words or "not installed" in words
