"""A store in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentcli.store.threads import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    home = tmp_path / "store"
    return Store(home / "threads", home / "blobs", home / "cache")
