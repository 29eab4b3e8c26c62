"""Every test starts from a clean environment, with a home of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_server import ModelServer

_FOREIGN = ("_API_KEY", "_BASE_URL", "_PROXY")


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.upper().startswith("AGENTCLI_") or name.upper().endswith(_FOREIGN) or name.upper() == "OLLAMA_HOST":
            del os.environ[name]
    os.environ["AGENTCLI_HOME"] = str(tmp_path / "home")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model server that echoes until it is given a script."""
    with ModelServer() as running:
        yield running
