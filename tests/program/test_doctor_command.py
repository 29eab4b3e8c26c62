"""`agentcli doctor` tells a bad key from a bad proxy, and shows no key. (Its other findings: test_config_command.py.)"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.program import agentcli
from tests.providers.tunnels import TunnelProxy
from tests.ui.test_doctor import Lists, guarded

KEY = "sk-hidden-7f3a9c"


def checks(*, code: int, **more: str) -> list[dict[str, Any]]:
    done = agentcli("doctor", "--json", AGENTCLI_MODEL="openai/test", **more)
    assert done.returncode == code, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
    return found


def of(topic: str, found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(check["status"], check["text"]) for check in found if check["topic"] == topic]


def test_a_key_that_the_server_refuses() -> None:
    with Lists(guarded("sk-right")) as server:
        found = checks(code=1, OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY)
    assert of("server", found) == [("fault", f"openai, {server.url}: refuses the key (401): no such key")]
    assert ("ok", "openai: OPENAI_API_KEY is set") in of("keys", found)


def test_a_proxy_that_refuses() -> None:
    with ModelServer(tls="good") as server, TunnelProxy(answer=b"HTTP/1.1 503 No\r\n\r\n") as proxy:
        found = checks(code=1, OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    ((status, text),) = of("server", found)
    assert (status, text.endswith(f"through the proxy 127.0.0.1:{proxy.port}: the proxy refused (503)")) == ("fault", True)


def test_what_is_not_used_is_only_noted(server: ModelServer) -> None:
    file = Path(os.environ["AGENTCLI_HOME"]) / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f"[providers.one]\nbase-url = 'http://127.0.0.1:1/v1'\nkey-command = 'no-such-program {KEY}'\n"
        f"[providers.two]\nbase-url = '{server.url}'\nkey-command = 'echo {KEY}'\n"
        "[providers.three]\nbase-url = 'http://127.0.0.1:1/v1'\nkey-env = 'NO_SUCH_VARIABLE'\n"
        "[providers.azure]\nkey-env = 'THREE_KEY'\n"
    )
    found = checks(code=0, OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY, THREE_KEY=KEY)
    assert sorted(status for status, _ in of("server", found)) == ["note", "note", "note", "ok", "ok"]
    assert ("note", "the provider azure has no base URL") in of("server", found)
    keys = dict.fromkeys(status for status, _ in of("keys", found))
    assert set(keys) == {"ok", "note"}
    assert any("no-such-program cannot be started" in text for _, text in of("keys", found))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no sleep on Windows")
def test_keys_that_take_their_time_are_waited_for_at_once(server: ModelServer) -> None:
    file = Path(os.environ["AGENTCLI_HOME"]) / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"[providers.p{number}]\nbase-url = '{server.url}'\nkey-command = 'sleep 2'\n" for number in range(6)))
    began = monotonic()
    checks(code=0, OPENAI_BASE_URL=server.url)
    assert monotonic() - began < 9
