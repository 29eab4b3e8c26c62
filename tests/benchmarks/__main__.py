"""`python -m tests.benchmarks [--only NAME] [--quick] [--json] [--write] [--llm PATH]`: measure, and print a Markdown table."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from tests.benchmarks import Row, Setup, everything
from tests.benchmarks.measure import ROOT

PAGE = ROOT / "docs" / "reference" / "performance.md"

_LLM = """- {{model_id: "{name}", model_name: "{name}", api_base: "{url}"}}
"""


def main() -> int:
    names = list(everything())
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small counts, to see that the benchmarks run; limits are not judged")
    parser.add_argument("--json", action="store_true", help="one JSON document in place of the table")
    parser.add_argument("--llm", default=shutil.which("llm"), help="where the `llm` program is, to be measured too")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    asked = parser.parse_args()
    if asked.write and (asked.only or asked.quick):
        parser.error("--write is for a whole run")
    chosen = asked.only or names
    rows: list[Row] = []
    for together in [chosen] if asked.quick else [[name] for name in chosen]:  # a fresh server for each, unless it is only a try
        with _server() as url:
            for name in together:
                print(f"{name} …", file=sys.stderr, flush=True)
                with tempfile.TemporaryDirectory() as folder:
                    setup = Setup(url, Path(folder), asked.llm, asked.quick)
                    if asked.llm:
                        _prepare_llm(setup)
                    rows += everything()[name](setup)
    table = _table(rows)
    if asked.write:
        PAGE.write_text(re.sub(r"(?m)^(\|.*\n)+", lambda _: table, PAGE.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    told = [structs.asdict(row) | {"ratio": row.ratio, "ok": row.ok} for row in rows]
    print(json.dumps(told, indent=2) if asked.json else table, end="\n" if asked.json else "")
    return 0 if asked.quick or all(row.ok is not False for row in rows) else 1


@contextmanager
def _server() -> Iterator[str]:
    """The model server in a process of its own; its base URL."""
    command = [sys.executable, "-m", "tests.benchmarks.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout
        assert server.stdin
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            server.wait(20)


def _prepare_llm(setup: Setup) -> None:
    """Tell llm of the server. It takes a list of names, so these are the ones that the benchmarks ask for."""
    folder = setup.folder / "llm"
    folder.mkdir()
    known = [f"chunks={count}" for count in (1, 200, 400, 2_000, 20_000)]
    (folder / "extra-openai-models.yaml").write_text("".join(_LLM.format(name=name, url=setup.url) for name in known))


def _table(rows: list[Row]) -> str:
    lines = ["| what | measured | floor | ratio | limit | ok |", "|---|---:|---|---:|---:|---|"]
    for row in rows:
        floor = f"{_figure(row.floor, row.unit)} ({row.against})" if row.floor is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        limit = "" if row.limit is None else f"{row.limit:g} ×" if row.relative else _figure(row.limit, row.unit)
        verdict = {None: "", True: "yes", False: "**no**"}[row.ok]
        lines.append(f"| {row.what} | {_figure(row.measured, row.unit)} | {floor} | {ratio} | {limit} | {verdict} |")
    return "\n".join(lines) + "\n"


def _figure(value: float, unit: str) -> str:
    if unit == "n^":
        return f"n^{value:.2f}"
    digits = 0 if value >= 100 or unit == "" else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


if __name__ == "__main__":
    sys.exit(main())
