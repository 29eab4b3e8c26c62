"""The layers of the house hold: `lint-imports` says so, from the contracts in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_no_room_imports_from_above_or_beside() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_httpx_is_imported_in_one_file() -> None:
    importing = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "agentcli").rglob("*.py")
        if any(line.strip().startswith(("import httpx", "from httpx")) for line in path.read_text(encoding="utf-8").splitlines())
    ]
    assert importing == ["agentcli/providers/http/httpx.py"]
