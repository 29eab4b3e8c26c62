"""`python -m tests.promises [--full] [--write] [P1 P2 …]`: try the promises and print what came of it, as a Markdown table."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from time import monotonic

from tests.promises import Outcome, Promise, everything

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "promises.md"

HEAD = """# The promises, tried

What agentcli promises under faults, load and bad input, and how often each promise was tried. This page is written by
`python -m tests.promises --full --write`; the test suite runs the same trials with smaller counts. Every trial is also run
on a program with a planted bug (a naive save, a missing fsync, no lock), and counts only because it finds that one.

"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.promises", description=__doc__)
    parser.add_argument("promises", nargs="*", metavar="P1", help="only these")
    parser.add_argument("--full", action="store_true", help="the large counts")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    asked = parser.parse_args()
    chosen = [one for one in everything() if not asked.promises or one.number in asked.promises]
    rows = [(one, *_timed(one, one.full if asked.full else one.quick)) for one in chosen]
    table = _table(rows)
    print(table)
    for one, outcome, _ in rows:
        for failure in outcome.failures[:5]:
            print(f"{one.number} ({one.trial}): {failure}", file=sys.stderr)
    if asked.write:
        where = f"\n{'Full' if asked.full else 'Quick'} counts, Python {platform.python_version()}, {platform.system()}.\n"
        PAGE.write_text(HEAD + table + where, encoding="utf-8")
    return 1 if any(outcome.failures for _, outcome, _ in rows) else 0


def _timed(one: Promise, count: int) -> tuple[Outcome, float]:
    print(f"{one.number}: {one.trial} …", file=sys.stderr, flush=True)
    began = monotonic()
    outcome = one.run(count)
    return outcome, monotonic() - began


def _table(rows: list[tuple[Promise, Outcome, float]]) -> str:
    lines = ["| promise | trial | count | failures | seconds |", "|---|---|---:|---:|---:|"]
    for one, outcome, seconds in rows:
        count = f"{outcome.count:,}" if outcome.count or not outcome.missing else f"no {outcome.missing} here"
        trial = f"{one.trial} ({outcome.note})" if outcome.note else one.trial
        lines.append(f"| {one.number} {one.says} | {trial} | {count} | {len(outcome.failures)} | {seconds:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
