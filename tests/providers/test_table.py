"""The table of providers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing
from importlib.util import find_spec

import pytest

from agentcli.core.message import user
from agentcli.core.provider import Provider, Request
from agentcli.errors import Exit, UserError
from agentcli.providers import KINDS, PROVIDERS, Clocks, Endpoint, Later, create


def test_every_name_has_a_kind_that_exists() -> None:
    for name, entry in PROVIDERS.items():
        assert entry.kind in KINDS, name
    for target in KINDS.values():
        module, _, attribute = target.partition(":")
        assert attribute
        assert find_spec(module), module


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_is_made_by_its_kind_and_keeps_its_name(kind: str) -> None:
    async def main() -> None:
        provider = create("lab", Endpoint(kind=kind, base_url="http://127.0.0.1:9/v1", key="secret"), Clocks(), keep=False)
        assert provider.name == "lab"
        await provider.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["http://[::1", "http://a b", "", "x", "http://h:99999"])
def test_an_address_that_is_none_is_said_when_it_is_asked(url: str) -> None:
    async def main() -> None:
        provider = create("lab", Endpoint(kind="openai-chat", base_url=url), Clocks(), keep=True)
        with pytest.raises(UserError, match="base URL of lab"):
            async for _ in provider.stream(Request(model="m", messages=[])):
                pass

    asyncio.run(main())


def test_an_unknown_kind_names_the_kinds() -> None:
    with pytest.raises(UserError) as caught:
        create("lab", Endpoint(kind="openai-chatt"), Clocks(), keep=False)
    assert caught.value.exit_code == Exit.CONFIG
    assert "openai-chat" in caught.value.hint


def test_an_endpoint_does_not_show_its_key() -> None:
    endpoint = Endpoint(kind="openai-chat", key="sk-secret", headers={"x-other-key": "sk-secret"}, options={"a": "sk-secret"})
    assert "sk-secret" not in f"{endpoint} {endpoint!r} {[endpoint]}"


def test_the_table_loads_no_http() -> None:
    code = "import sys, agentcli.providers; print([name for name in ('httpx', 'json', 'asyncio', 'ssl') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    loaded = done.stdout.strip()
    assert "httpx" not in loaded, done.stderr
    assert "ssl" not in loaded


def test_what_is_made_later_is_made_once() -> None:
    made: list[Provider] = []

    def make() -> Provider:
        made.append(create("lab", Endpoint(kind="scripted"), keep=False))
        return made[-1]

    async def one(later: Later) -> None:
        async with aclosing(later.stream(Request(model="demo", messages=[user("hello")]))) as chunks:
            async for _ in chunks:
                break

    async def main() -> None:
        later = Later("lab", make)
        await asyncio.gather(*(one(later) for _ in range(8)))
        await later.aclose()

    asyncio.run(main())
    assert len(made) == 1
