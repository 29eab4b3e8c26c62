"""What was listed is kept for a day: without a key in the file, never in the way; and a dead server costs only its own time."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from time import monotonic, time
from typing import Any

import msgspec
import pytest

from agentcli.core.provider import ProviderError
from agentcli.providers import Endpoint
from agentcli.providers.catalogue import DAY, Catalogue, gather, listed, names
from agentcli.providers.catalogue.model import Listed
from tests.providers.listener import listener
from tests.providers.lists import lists

FAR = Endpoint(kind="openai-chat", base_url="https://openrouter.ai/api/v1?key=sk-in-the-url", key="sk-secret")


def place(url: str, key: str = "sk-secret") -> Endpoint:
    return Endpoint(kind="openai-chat", base_url=url, key=key)


def gathered(folder: Path, places: dict[str, Endpoint], **how: Any) -> dict[str, list[str] | str]:
    answers = asyncio.run(gather(places, folder, **how))
    return {
        name: answer.kind if isinstance(answer, ProviderError) else [model.id for model in answer] for name, answer in answers.items()
    }


def kept(folder: Path, *models: Listed, name: str = "lab", at: Endpoint = FAR) -> Path:
    catalogue = Catalogue(folder)
    catalogue.add(name, at, list(models))
    catalogue.write()
    return folder / "models.msgpack"


def aged(file: Path, seconds: float) -> None:
    """As if it had been written so long ago."""
    document = msgspec.msgpack.decode(file.read_bytes())
    for each in document[2]:
        each[2] -= seconds
    file.write_bytes(msgspec.msgpack.encode(document))


def test_a_list_of_today_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    model = Listed("one", context=5, can=("tools",))
    file = kept(folder, model)
    assert Catalogue(folder).today("lab", FAR) == [model]
    assert Catalogue(folder).find("lab", "one", FAR) == model
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o600, 0o700, 0o700)
    assert os.listdir(folder) == ["models.msgpack"]


def test_no_key_and_no_address_is_in_the_file(tmp_path: Path) -> None:
    data = kept(tmp_path, Listed("one")).read_bytes()
    assert b"lab" in data
    assert b"secret" not in data
    assert b"openrouter" not in data
    assert b"sk-in" not in data


@pytest.mark.parametrize(
    "other", [{"key": "sk-other"}, {"base_url": "https://openrouter.ai/other"}, {"headers": {"x": "y"}}, {"kind": "gemini"}]
)
def test_another_key_or_address_is_another_list(tmp_path: Path, other: dict[str, Any]) -> None:
    kept(tmp_path, Listed("one"))
    assert Catalogue(tmp_path).today("lab", msgspec.structs.replace(FAR, **other)) is None
    assert Catalogue(tmp_path).today("other", FAR) is None


def test_after_a_day_it_is_asked_again_but_still_known(tmp_path: Path) -> None:
    file = kept(tmp_path, Listed("one"))
    aged(file, DAY - 60)
    assert Catalogue(tmp_path).today("lab", FAR)
    aged(file, 120)
    assert Catalogue(tmp_path).today("lab", FAR) is None
    assert "lab/one" in names(tmp_path)
    aged(file, -3 * DAY)  # a clock that was wrong
    assert Catalogue(tmp_path).today("lab", FAR) is None
    aged(file, 60 * DAY)
    kept(tmp_path, Listed("two"), name="other")
    assert "lab/one" not in names(tmp_path)


def test_the_newest_list_of_a_provider_counts(tmp_path: Path) -> None:
    aged(kept(tmp_path, Listed("one", context=1), Listed("old")), 60)
    kept(tmp_path, Listed("one", context=2), at=msgspec.structs.replace(FAR, key="sk-other"))
    found = Catalogue(tmp_path).find("lab", "one", FAR)
    assert found
    assert found.context == 2
    assert Catalogue(tmp_path).find("lab", "old", FAR)
    assert Catalogue(tmp_path).find("lab", "none", FAR) is None


@pytest.mark.parametrize(
    "other",
    [{"base_url": "http://openrouter.ai/api/v1?key=sk-in-the-url"}, {"base_url": "http://127.0.0.1:8080/v1"}, {"kind": "anthropic"}],
)
def test_what_is_said_at_one_address_holds_at_no_other(tmp_path: Path, other: dict[str, Any]) -> None:
    kept(tmp_path, Listed("one"))
    assert Catalogue(tmp_path).find("lab", "one", msgspec.structs.replace(FAR, **other)) is None
    assert Catalogue(tmp_path).find("other", "one", FAR) is None
    for same in ({"key": None}, {"headers": {"x": "y"}}, {"key_name": "LAB_KEY"}):
        assert Catalogue(tmp_path).find("lab", "one", msgspec.structs.replace(FAR, **same))


def test_where_no_address_is_given_the_vendors_own_is_meant(tmp_path: Path) -> None:
    vendor = Endpoint(kind="openai-responses", base_url="https://api.openai.com/v1/", key="k")
    kept(tmp_path, Listed("one", context=1), name="openai", at=vendor)
    kept(tmp_path, Listed("one", context=2), Listed("two"), name="openai", at=place("http://127.0.0.1:8080/v1"))
    kept(tmp_path, Listed("one"), name="lab")
    catalogue = Catalogue(tmp_path)
    assert catalogue.find("openai", "one") == Listed("one", context=1)
    assert catalogue.find("openai", "two") is None
    assert catalogue.find("lab", "one") is None
    catalogue.add("openai", vendor, [Listed("one", context=3)])  # it has been read before
    assert catalogue.find("openai", "one") == Listed("one", context=3)


def test_names(tmp_path: Path) -> None:
    kept(tmp_path, Listed("b"), Listed("a"), Listed("embed", chats=False))
    found = names(tmp_path, {"fast": "lab/a"})
    assert found[0] == "fast"
    assert [name for name in found if name.startswith("lab/")] == ["lab/a", "lab/b"]
    assert "openai/gpt-5.4" in found
    assert "local/smollm2" in names(tmp_path / "nowhere")


def of_lists(*lists: Any, version: int = 2, salt: Any = b"") -> bytes:
    return msgspec.msgpack.encode([version, salt, lists])


DAMAGED = [
    b"", b"\x00", b"nothing", b"\xc1" * 100, of_lists(version=99), of_lists(salt="salt"), of_lists(["lab", b"", time(), 5, b""]),
    of_lists(["lab", b"", time(), [{"id": 5}], b""]), of_lists(["lab", b"", time(), [{"id": "one"}]], version=1),
    of_lists(["lab", b"", time(), []]), of_lists(["lab", b"", float("nan"), [], b""], salt=b"s" * 1000), b"\x91" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_as_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "models.msgpack").write_bytes(data)
    assert not any(name.startswith("lab/") for name in names(tmp_path))
    assert Catalogue(tmp_path).today("lab", FAR) is None
    assert Catalogue(tmp_path).find("lab", "one", FAR) is None
    kept(tmp_path, Listed("one"))
    assert Catalogue(tmp_path).find("lab", "one", FAR)


def test_a_file_that_is_cut_or_changed_anywhere(tmp_path: Path) -> None:
    file = kept(tmp_path, Listed("one", context=5), Listed("two"))
    whole = file.read_bytes()
    for at in range(len(whole)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :]):
            file.write_bytes(data)
            names(tmp_path)
            Catalogue(tmp_path).find("lab", "one", FAR)
            Catalogue(tmp_path).today("lab", FAR)


@pytest.mark.parametrize("what", ["folder", "fifo", "loop", "no folder"])
def test_a_place_where_nothing_can_be_kept(tmp_path: Path, what: str) -> None:
    file = tmp_path / "models.msgpack"
    match what:
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case "loop":
            file.symlink_to(file)
        case _:
            tmp_path /= "file"
            tmp_path.write_text("in the way")
    assert "openai/gpt-5.4" in names(tmp_path)
    if what == "folder":
        (file / "full").touch()
    with lists({"*": {"data": [{"id": "one"}]}}) as (url, _):
        assert gathered(tmp_path, {"lab": place(url)}) == {"lab": ["one"]}


# --- many at once ---


def test_a_vendors_list_of_today_is_not_asked_for(tmp_path: Path) -> None:
    os.environ["https_proxy"] = "http://127.0.0.1:1"  # nobody is there
    kept(tmp_path, Listed("one"))
    assert gathered(tmp_path, {"lab": FAR}) == {"lab": ["one"]}
    assert gathered(tmp_path, {"lab": FAR}, refresh=True) == {"lab": "unreachable"}


@pytest.mark.parametrize(
    "url",
    ["https://lab.example/v1", "http://10.0.0.7:8000/v1", "http://openrouter.ai.example/v1", "http://vllm/v1", "http://[::1", "x"],
)
def test_any_other_list_is_asked_for_anew(tmp_path: Path, url: str) -> None:
    """Who runs a server of one's own puts another model on it when one likes."""
    kept(tmp_path, Listed("one"), at=place(url))
    assert Catalogue(tmp_path).today("lab", place(url)) is None
    assert "lab/one" in names(tmp_path)


def test_each_server_but_a_vendors_is_asked_each_time(tmp_path: Path) -> None:
    answers = {"*": {"data": [{"id": "one"}]}}
    with lists(answers) as (url, asked):
        assert gathered(tmp_path, {"lab": place(url)}) == {"lab": ["one"]}
        answers["*"] = {"data": [{"id": "two"}]}
        assert gathered(tmp_path, {"lab": place(url)}) == {"lab": ["two"]}
        assert len(asked) == 2
    assert "lab/two" in names(tmp_path)
    assert "lab/one" not in names(tmp_path)


def test_what_cannot_be_asked_is_kept_too(tmp_path: Path) -> None:
    with lists({"*": {"data": [{"id": "chat"}, {"id": "text-embedding-3-small"}]}}) as (url, _):
        assert gathered(tmp_path, {"lab": place(url)}) == {"lab": ["chat", "text-embedding-3-small"]}
    assert "lab/text-embedding-3-small" not in names(tmp_path)


def test_one_provider(tmp_path: Path) -> None:
    with lists({"*": {"data": [{"id": "chat"}, {"id": "text-embedding-3-small"}]}}) as (url, _):
        assert [model.id for model in asyncio.run(listed("lab", place(url), tmp_path))] == ["chat"]
    assert "lab/chat" in names(tmp_path)
    with pytest.raises(ProviderError):
        asyncio.run(listed("lab", place("http://127.0.0.1:1"), tmp_path))


def test_the_dead_cost_no_more_than_their_time(tmp_path: Path) -> None:
    with lists({"*": {"data": [{"id": "one"}]}}) as (url, _), listener(None) as (silent, _), listener(b"x") as (odd, _):
        began = monotonic()
        places = {
            "silent": place(f"http://127.0.0.1:{silent}"),
            "lab": place(url),
            "odd": place(f"http://127.0.0.1:{odd}"),
            "gone": place("http://127.0.0.1:1"),
        }
        found = gathered(tmp_path, places, patience=0.5)
        assert monotonic() - began < 2
    assert list(found) == ["silent", "lab", "odd", "gone"]
    assert found["lab"] == ["one"]
    assert {found[name] for name in ("silent", "odd", "gone")} <= {"unreachable", "protocol", "cut"}


def test_they_are_asked_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    class Late(dict[str, Any]):
        def get(self, *_: object) -> Any:
            together.wait(10)
            return {"data": [{"id": "one"}]}

    with lists(Late()) as (url, _):
        assert gathered(tmp_path, {"a": place(url), "b": place(f"{url}/v1")}) == {"a": ["one"], "b": ["one"]}
