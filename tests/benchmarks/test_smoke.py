"""The benchmarks run, at their smallest counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import Row, everything
from tests.benchmarks.measure import exponent, percentile


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="some benchmarks read /proc")
def test_every_benchmark_runs_and_says_what_it_measured() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", "--llm", ""],
        capture_output=True,
        text=True,
        timeout=110,
        env=env,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout)
    assert done.stderr.split() == [word for name in everything() for word in (name, "…")]
    assert len({row["what"] for row in rows}) == len(rows) > 30
    assert all(row["measured"] >= 0 or row["unit"] == "n^" for row in rows), rows
    assert [row for row in rows if row["what"].endswith((": failed", "cancels")) and row["measured"]] == []


def test_a_limit_is_on_the_ratio_or_on_the_figure() -> None:
    assert Row("", 12.0, "ms", 10.0, "", 1.3, relative=True).ok is True
    assert Row("", 14.0, "ms", 10.0, "", 1.3, relative=True).ok is False
    assert Row("", 14.0, "ms", 10.0, "", 13.0).ok is False
    assert Row("", 14.0, "ms", 10.0).ok is None


def test_growth_and_percentiles() -> None:
    assert exponent(3.0, 300.0, 10) == pytest.approx(2.0)
    assert [percentile([5.0, 1.0, 4.0, 2.0, 3.0], share) for share in (0.5, 0.99)] == [3.0, 5.0]
