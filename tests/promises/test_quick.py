"""Every promise at its quick count, and every trial on its planted bug."""

from __future__ import annotations

import sys

import pytest

from tests.promises import Promise, everything

ALL = everything()
NAMES = [f"{one.number} {one.trial}" for one in ALL]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the trials fork and kill")


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_it_holds(one: Promise) -> None:
    outcome = one.run(one.quick)
    assert outcome.failures[:5] == []
    assert outcome.count or outcome.missing


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_its_trial_sees_the_planted_bug(one: Promise) -> None:
    outcome = one.planted()
    if outcome.missing:
        pytest.skip(f"no {outcome.missing} here")
    assert outcome.failures
