"""Many calls at once, each a second long on the server. The figures are in tests/benchmarks; here it must only not be in turn."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from tests.model_server import ModelServer
from tests.providers.asking import ask, http


@pytest.mark.parametrize("calls", [100, 1000])
def test_many_at_once(server: ModelServer, calls: int) -> None:
    server.echo(delay=1.0)

    async def main() -> float:
        through = http(server.url)
        began = monotonic()
        outcomes = await asyncio.gather(*(ask(through, prompt=str(number)) for number in range(calls)))
        took = monotonic() - began
        await through.aclose()
        assert [outcome.text for outcome in outcomes] == [str(number) for number in range(calls)]
        return took

    assert asyncio.run(main()) < (3 if calls == 100 else 10)


def test_one_that_fails_disturbs_no_other(server: ModelServer) -> None:
    server.fails(400).then.reset().then.cut(300).then.says("fine", delay=0.1)

    async def main() -> list[str | None]:
        through = http(server.url)
        outcomes = await asyncio.gather(*(ask(through) for _ in range(50)))
        await through.aclose()
        assert sum(outcome.whole for outcome in outcomes) == 47
        return [outcome.kind for outcome in outcomes if outcome.error]

    assert sorted(filter(None, asyncio.run(main()))) == ["bad_request", "cut", "cut"]
