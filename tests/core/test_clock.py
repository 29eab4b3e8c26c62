"""The clock of a turn: it stands while a person is asked, and can be given more."""

from __future__ import annotations

import asyncio

import pytest

from agentcli.core.clock import Clock


def test_it_runs_out() -> None:
    async def main() -> None:
        async with Clock(0.02) as clock:
            assert 0 < (clock.left or 0) <= 0.02
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_without_a_limit_there_is_nothing_left_to_tell() -> None:
    async def main() -> None:
        async with Clock(0) as clock:
            clock.extend(1)
            with clock.standing():
                clock.extend(1)
            assert (clock.left, clock.limit) == (None, 0)

    asyncio.run(main())


def test_it_is_given_more() -> None:
    async def main() -> None:
        async with Clock(0.05) as clock:
            clock.extend(60)
            await asyncio.sleep(0.1)
            assert 59 < (clock.left or 0) < 60.05
            assert clock.limit == 60.05

    asyncio.run(main())


def test_it_stands_while_somebody_is_asked_and_is_given_more_then() -> None:
    async def main() -> None:
        async with Clock(0.05) as clock:
            with clock.standing():
                await asyncio.sleep(0.1)
                assert clock.left is None
                with clock.standing():
                    clock.extend(60)
                assert clock.left is None
            assert 59 < (clock.left or 0) <= 60.05

    asyncio.run(main())


def test_after_its_end_nothing_has_an_effect() -> None:
    async def main() -> None:
        async with clock:
            try:
                await asyncio.sleep(5)
            finally:
                clock.extend(60)
                with clock.standing():
                    await asyncio.sleep(0)

    clock = Clock(0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(main())
    clock.extend(60)
    assert clock.limit == 0.01


def test_a_question_that_is_broken_off_lets_it_go_on() -> None:
    async def main() -> None:
        async with Clock(60) as clock:
            with pytest.raises(LookupError), clock.standing():
                raise LookupError
            assert clock.left is not None

    asyncio.run(main())
