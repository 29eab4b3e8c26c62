"""Doctor: each thing that can be wrong is told apart, and nothing secret is shown."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from agentcli.config import Config, keyring, load, places
from agentcli.errors import Exit, UserError
from agentcli.providers import Endpoint
from agentcli.providers.http.certificate import issuer_of
from agentcli.providers.probe import Outcome, probe
from agentcli.ui import doctor
from agentcli.ui.doctor import Check
from tests.model_server import Asked, ModelServer, Reply
from tests.providers.listener import listener
from tests.providers.tunnels import TunnelProxy


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


def endpoint(url: str, key: str | None = None, kind: str = "openai-chat") -> Endpoint:
    return Endpoint(kind=kind, base_url=url, key=key, key_name="LAB_KEY" if key else "")


def checked(*places: Endpoint, used: str | None = "0", patience: float | None = None) -> list[Check]:
    """The checks of these servers, called 0, 1, … ."""
    return asyncio.run(doctor.servers({str(number): place for number, place in enumerate(places)}, used, patience))


def test_only_the_server_in_use_can_be_a_fault(server: ModelServer) -> None:
    urls = endpoint(server.url), endpoint("http://127.0.0.1:1/v1")
    statuses = {used: [check.status for check in checked(*urls, used=used)] for used in ("0", "1", None)}
    assert statuses == {"0": ["ok", "note"], "1": ["ok", "fault"], None: ["ok", "note"]}


def test_servers_are_asked_at_once() -> None:
    with listener(None) as (one, _), listener(None) as (two, _):
        began = time.monotonic()
        checks = checked(*(endpoint(f"http://127.0.0.1:{port}/v1", "sk-hidden") for port in (one, two)), patience=1.0)
        assert [check.status for check in checks] == ["fault", "note"]
        assert time.monotonic() - began < 1.9


# What servers think of a key.


class Lists(ModelServer):
    """A model server that answers a question for its models as it is told to."""

    def __init__(self, decide: Callable[[Asked], Reply], *, tls: Literal["good"] | None = None) -> None:
        super().__init__(tls=tls)
        self._listing = decide

    def _reply(self, asked: Asked) -> Reply:
        return self._listing(asked) if asked.method == "GET" else super()._reply(asked)


def guarded(key: str, status: int = 401, said: str = "no such key") -> Callable[[Asked], Reply]:
    """Lists models to whoever has the key."""

    def listing(asked: Asked) -> Reply:
        if asked.headers.get("authorization") == f"Bearer {key}":
            return ModelServer().json({"data": [{"id": "m"}]})._script[0]
        return ModelServer().fails(status, said)._script[0]

    return listing


@pytest.mark.parametrize(
    ("key", "status", "verdict", "text"),
    [
        ("sk-right-key", 401, "ok", "answers, and accepts the key"),
        ("sk-wrong-key", 401, "fault", "refuses the key (401): no such key"),
        ("sk-wrong-key", 403, "fault", "does not allow this (403): no such key"),
        ("sk-wrong-key", 402, "fault", "wants to be paid (402): no such key"),
        (None, 401, "ok", "answers (HTTP 401, asked without a key)"),
    ],
)
def test_a_key_is_shown_to_the_server(key: str | None, status: int, verdict: str, text: str) -> None:
    with Lists(guarded("sk-right-key", status)) as server:
        (check,) = checked(endpoint(server.url, key))
    assert check.status == verdict
    assert check.text == f"0, {server.url}: {text}"
    if status == 401 and verdict == "fault":
        assert check.hint == "The key in LAB_KEY is not one that it knows: mistyped, expired, or of another provider?"


def test_a_server_that_lists_to_anybody_says_nothing_about_the_key(server: ModelServer) -> None:
    (check,) = checked(endpoint(server.url, "sk-any-key"))
    assert check.status == "ok"
    assert "whether the key is right, a question will show" in check.text


def test_a_server_that_quotes_the_key_is_not_repeated() -> None:
    with Lists(guarded("sk-right", said="you sent sk-hidden-7f3a9c")) as server:
        (check,) = checked(endpoint(server.url, "sk-hidden-7f3a9c"))
    assert "sk-hidden" not in check.text + check.hint
    assert "you sent …" in check.text


def test_a_key_of_another_provider_is_only_noted() -> None:
    with Lists(guarded("sk-right-key")) as server:
        checks = checked(endpoint(server.url, "sk-right-key"), endpoint(server.url, "sk-wrong-key"))
    assert [check.status for check in checks] == ["ok", "note"]


def test_each_kind_is_asked_in_its_own_way() -> None:
    seen: list[Asked] = []

    def listing(asked: Asked) -> Reply:
        seen.append(asked)
        return ModelServer().json({"data": [{"id": "m"}], "models": [{"name": "models/m"}]})._script[0]

    with Lists(listing) as server:
        checked(endpoint(server.origin, "sk-a", "anthropic"), endpoint(server.origin, "sk-g", "gemini"))
    keys = {asked.headers.get("x-api-key") or asked.headers.get("x-goog-api-key"): asked.path.partition("?")[0] for asked in seen}
    assert keys["sk-a"] == "/v1/models"
    assert keys["sk-g"] == "/v1beta/models"


# A fault of the proxy is none of the key, nor the other way round.


def test_a_bad_key_behind_a_proxy_is_a_bad_key() -> None:
    with Lists(guarded("sk-right-key"), tls="good") as server, TunnelProxy() as proxy:
        os.environ |= {"https_proxy": f"http://127.0.0.1:{proxy.port}", "SSL_CERT_FILE": server.ca}
        wrong, right = checked(endpoint(server.url, "sk-wrong-key"), endpoint(server.url, "sk-right-key"))
        assert proxy.asked == [f"localhost:{server.port}"] * 4
    assert (wrong.status, right.status) == ("fault", "ok")
    assert "refuses the key (401)" in wrong.text


def test_a_proxy_that_wants_a_login_is_no_bad_key() -> None:
    with Lists(guarded("sk-right-key"), tls="good") as server, TunnelProxy(password="secret") as proxy:
        os.environ |= {"https_proxy": f"http://me:wrong@127.0.0.1:{proxy.port}", "SSL_CERT_FILE": server.ca}
        (check,) = checked(endpoint(server.url, "sk-right-key"))
    assert check.status == "fault"
    assert "the proxy wants a name and a password (407)" in check.text
    assert "key" not in check.text
    assert "wrong" not in check.text + check.hint


@pytest.mark.parametrize(("status", "says"), [(407, "the proxy wants a user and a password"), (502, "the proxy cannot reach it")])
def test_a_proxy_that_answers_in_place_of_the_server(status: int, says: str) -> None:
    answer = b'HTTP/1.1 %d No\r\nContent-Length: 42\r\n\r\n{"error": {"code": "proxy_authentication"}}' % status
    with listener(answer) as (port, _):
        os.environ["http_proxy"] = f"127.0.0.1:{port}"
        (check,) = checked(endpoint("http://lab.example/v1", "sk-right-key"))
    assert (check.status, says in check.text) == ("fault", True)


def test_who_says_no_where_a_proxy_could() -> None:
    with Lists(guarded("sk-right-key", 403)) as server:
        os.environ["http_proxy"] = server.origin
        (check,) = checked(endpoint("http://lab.example/v1", "sk-wrong-key"))
    assert check.hint.endswith("Or is it the proxy that says so?")


def test_a_proxy_that_opens_tls_is_named() -> None:
    """Its certificate is for the right host, and signed by an authority that only the company knows."""
    os.environ.pop("SSL_CERT_FILE", None)
    with ModelServer(tls="good") as server, TunnelProxy() as proxy:
        os.environ["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
        (check,) = checked(endpoint(server.url, "sk-right-key"))
    assert check.status == "fault"
    assert "it is signed by Testing CA" in check.text
    assert "(trustme v" in check.text
    assert "which opens TLS" in check.hint
    assert "key" not in check.text


def test_what_is_no_certificate() -> None:
    assert issuer_of(b"") == ""
    for junk in (b"x", b"0\x80", b"\x30\x03\x30\x01\x00", bytes(range(256))):
        with pytest.raises((ValueError, IndexError)):
            issuer_of(junk)


def test_servers_found_nearby(server: ModelServer) -> None:
    ports = {"ollama": server.port, "vllm": 1}
    (check,) = asyncio.run(doctor.near(["lmstudio"], ports))
    assert check == Check("ok", "server", f"ollama, found at port {server.port} of this machine: it has 2")
    assert asyncio.run(doctor.near(["ollama"], ports)) == []


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
        "[providers.e]\nkey-command = 'true sk-hidden'\n"
        "[providers.f]\nkey-env = 'F_KEY'\n"
    )
    os.environ |= {"A_KEY": "sk-hidden", "B_KEY": ' "sk-hidden" '}
    config = load(file).config
    places: dict[str, Endpoint | UserError] = {
        "c": UserError("the command for the key of c failed: no-such-program cannot be started"),
        "d": endpoint("http://d/v1", "sk-hidden"),
        "e": endpoint("http://e/v1"),
        "groq": endpoint("http://g/v1", "sk-hidden"),
    }
    keyring.file().parent.mkdir(parents=True, exist_ok=True)
    keyring.file().write_bytes(keyring.listing(["groq"]))
    for used, status in (("c", "fault"), ("a", "note"), (None, "note")):
        checks = {check.text.partition(":")[0]: check for check in doctor.keys(config, places, used)}
        assert checks["the command for the key of c failed"].status == status
    assert [checks[name].status for name in "abdef"] == ["ok", "note", "ok", "note", "note"]
    assert checks["groq"].text == "groq: in the keyring"
    assert "OPENAI_API_KEY" in checks["not set"].text
    assert "GROQ_API_KEY" not in checks["not set"].text
    assert "sk-hidden" not in repr(checks)


def test_no_key_at_all_is_noted() -> None:
    (check,) = doctor.keys(Config())
    assert (check.status, check.text.startswith("not set: OPENAI_API_KEY, ")) == ("note", True)


def test_the_network_variables() -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(name, None)
    assert [check.text for check in doctor.network()] == ["no proxy is set"]
    os.environ |= {"HTTPS_PROXY": "http://u:sk-hidden@p:1", "SSL_CERT_FILE": "/nowhere/ca.pem", "REQUESTS_CA_BUNDLE": "/nowhere/b"}
    checks = list(doctor.network())
    assert [check.status for check in checks] == ["ok", "fault"]
    assert checks[0].text == "HTTPS_PROXY is http://…@p:1"
    del os.environ["SSL_CERT_FILE"]
    checks = list(doctor.network())
    assert [check.status for check in checks] == ["ok", "note"]
    assert checks[1].hint.endswith('export SSL_CERT_FILE="$REQUESTS_CA_BUNDLE"')


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
    checks = [*doctor.versions(), *doctor.limits(), *doctor.terminal(), *doctor.extras(places().models)]
    assert all(check.text for check in checks)
    words = " ".join(check.text for check in checks)
    assert "httpx" in words or "not installed" in words
