"""merge and collect: many streams as one, none lost, none left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.stream import collect, merge


class Counter:
    """A stream of numbers that knows how far it was read and whether it was closed."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = False

    async def stream(self, until: int, fail: BaseException | None = None) -> AsyncGenerator[int, None]:
        try:
            for number in range(until):
                self.given += 1
                yield number
                if number % 3 == 2:
                    await asyncio.sleep(0)
            if fail:
                raise fail
        finally:
            await asyncio.sleep(0)
            self.closed = True


async def forever() -> AsyncGenerator[int, None]:
    await asyncio.Event().wait()
    yield 0


def test_collect_is_all_items() -> None:
    assert asyncio.run(collect(Counter().stream(5))) == [0, 1, 2, 3, 4]


def test_collect_closes_what_fails() -> None:
    counter = Counter()
    with pytest.raises(KeyError):
        asyncio.run(collect(counter.stream(2, KeyError("x"))))
    assert counter.closed


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(0, 200), max_size=6))
def test_every_item_comes_once_and_each_stream_in_its_order(lengths: list[int]) -> None:
    async def tagged(which: int, length: int) -> AsyncGenerator[tuple[int, int | None], None]:
        async with aclosing(Counter().stream(length)) as numbers:
            async for number in numbers:
                yield which, number if number % 2 else None

    async def main() -> list[tuple[int, int | None]]:
        return await collect(merge(*(tagged(which, length) for which, length in enumerate(lengths))))

    items = asyncio.run(main())
    for which, length in enumerate(lengths):
        assert len([one for one, _ in items if one == which]) == length
        odd = [number for one, number in items if one == which and number]
        assert odd == sorted(odd)


def test_an_item_may_be_none() -> None:
    async def nothing() -> AsyncGenerator[None, None]:
        yield None
        yield None

    assert asyncio.run(collect(merge(nothing(), nothing()))) == [None] * 4


def test_no_streams_is_an_empty_stream() -> None:
    assert asyncio.run(collect(merge())) == []


def test_streams_run_side_by_side() -> None:
    async def slow() -> AsyncGenerator[int, None]:
        await asyncio.sleep(0.2)
        yield 1

    async def main() -> float:
        began = monotonic()
        assert len(await collect(merge(*(slow() for _ in range(200))))) == 200
        return monotonic() - began

    assert asyncio.run(main()) < 1.0


def test_a_stream_is_not_far_ahead_of_its_reader() -> None:
    async def main() -> None:
        counters = [Counter() for _ in range(3)]
        async with aclosing(merge(*(counter.stream(10_000) for counter in counters))) as items:
            async for _ in items:
                for _ in range(50):
                    await asyncio.sleep(0)
                break
            assert sum(counter.given for counter in counters) < 100
        assert all(counter.closed for counter in counters)

    asyncio.run(main())


def test_a_failure_is_raised_after_the_others_have_ended() -> None:
    async def main() -> None:
        seen: list[int] = []
        good = Counter()

        async def read() -> None:
            async with aclosing(merge(Counter().stream(1, KeyError("x")), good.stream(300))) as items:
                async for item in items:
                    seen.append(item)  # noqa: PERF401  (what came before the failure counts)

        with pytest.raises(KeyError):
            await read()
        assert len(seen) == 301
        assert good.closed

    asyncio.run(main())


def test_several_failures_are_a_group() -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await collect(merge(*(Counter().stream(n, KeyError(n)) for n in range(3))))
        assert sorted(error.args[0] for error in caught.value.exceptions if isinstance(error, KeyError)) == [0, 1, 2]

    asyncio.run(main())


def test_a_stream_cancelled_from_within_is_a_failure_and_not_a_cancellation() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="cancelled from within"):
            await collect(merge(Counter().stream(1, asyncio.CancelledError()), Counter().stream(2)))

    asyncio.run(main())


@pytest.mark.parametrize("how", ["break", "raise", "cancel", "timeout"])
def test_leaving_early_ends_all_and_waits_for_it(how: str) -> None:
    async def read(counters: list[Counter]) -> None:
        async with aclosing(merge(*(counter.stream(10_000) for counter in counters), forever())) as items:
            async for _ in items:
                if how == "break":
                    return
                if how == "raise":
                    raise LookupError
                await asyncio.sleep(0.01)

    async def main() -> None:
        counters = [Counter() for _ in range(5)]
        before = asyncio.all_tasks()
        task = asyncio.create_task(read(counters))
        if how == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await task
        else:
            await asyncio.sleep(0.05)
            if how == "cancel":
                task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled() == (how == "cancel")
            assert (how != "raise") or isinstance(task.exception(), LookupError)
        assert all(counter.closed or not counter.given for counter in counters)
        assert asyncio.all_tasks() == before

    asyncio.run(main())


def test_failures_after_leaving_are_not_logged_behind_our_back() -> None:
    async def main() -> None:
        told: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with aclosing(merge(Counter().stream(1, KeyError("x")), Counter().stream(500))) as items:
            async for _ in items:
                await asyncio.sleep(0.01)
                break
        import gc

        gc.collect()
        await asyncio.sleep(0)
        assert told == []

    asyncio.run(main())
