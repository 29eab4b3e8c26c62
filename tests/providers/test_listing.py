"""The models of a server: over pages, with the right key in the right header, and in time, whatever the server does instead."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentcli.core.provider import ProviderError
from agentcli.providers import Endpoint
from agentcli.providers.catalogue.listing import address, models
from agentcli.providers.catalogue.model import Listed, Rates
from agentcli.providers.catalogue.page import _Architecture, _Best, _GeminiModel, _Meta, _Model, _Offer, _Pricing, gemini_page, page
from tests.model_server import ModelServer
from tests.providers.asking import open_files
from tests.providers.listener import listener
from tests.providers.lists import lists
from tests.providers.tiny_model import TOOLS, tiny_model

RECORDINGS = Path(os.environ.get("AGENTCLI_RECORDINGS", "/nowhere")) / "models-list"


def place(url: str, kind: str = "openai-chat", key: str | None = "sk-secret", **more: Any) -> Endpoint:
    return Endpoint(kind=kind, base_url=url, key=key, key_name="LAB_KEY", **more)


def listed(endpoint: Endpoint, *, patience: float = 3.0, every: bool = False) -> list[Listed]:
    async def main() -> list[Listed]:
        try:
            return await models("lab", endpoint, patience=patience, every=every)
        finally:
            assert len(asyncio.all_tasks()) == 1

    return asyncio.run(main())


def ids(endpoint: Endpoint, **how: Any) -> list[str]:
    return [model.id for model in listed(endpoint, **how)]


def fault(endpoint: Endpoint, **how: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        listed(endpoint, **how)
    assert "sk-secret" not in f"{caught.value} {caught.value.hint}"
    return caught.value


def one(**model: Any) -> Listed:
    (found,) = page(json.dumps({"data": [{"id": "m", **model}]}).encode()).models
    return found


# --- what the wire says ---


@pytest.mark.skipif(not RECORDINGS.exists(), reason="AGENTCLI_RECORDINGS names no folder with recordings")
@pytest.mark.parametrize("folder", sorted(RECORDINGS.glob("*")), ids=lambda folder: folder.name)
def test_a_recorded_list_has_the_models_that_were_listed(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    if expected["container"] == "modelSummaries":
        pytest.skip("a list of Bedrock's own, which no kind of ours speaks")
    read = gemini_page if expected["container"] == "models" else page
    found = read((folder / "response.sse").read_bytes())
    assert [model.id for model in found.models] == [name.removeprefix("models/") for name in expected["ids"]]
    assert found.next == (expected["next"] or "")


@pytest.mark.skipif(not RECORDINGS.exists(), reason="AGENTCLI_RECORDINGS names no folder with recordings")
def test_what_cannot_be_asked_is_marked_in_recorded_lists() -> None:
    def asked(name: str) -> set[str]:
        found = (gemini_page if "google" in name else page)((RECORDINGS / name / "response.sse").read_bytes())
        return {model.id for model in found.models if model.chats}

    openai = asked("api_openai_com")
    assert openai >= {"gpt-5.4", "gpt-5.2-codex", "o3", "gpt-4o-mini", "gpt-3.5-turbo", "gpt-5-chat-latest"}
    assert not openai & {"text-embedding-3-small", "whisper-1", "tts-1-hd", "dall-e-3", "gpt-4o-transcribe", "omni-moderation-latest"}
    assert not openai & {"gpt-realtime", "gpt-audio-mini", "gpt-image-1", "chatgpt-image-latest", "sora-2", "davinci-002"}
    assert "gemini-3.5-flash" in asked("generativelanguage_googleapis_com")
    assert not asked("generativelanguage_googleapis_com") & {"gemini-embedding-001", "aqa", "imagen-4.0-generate-001"}
    assert "mistral-embed" not in asked("api_mistral_ai")
    assert len(asked("openrouter_ai")) == 353


def test_what_openrouter_says() -> None:
    found = one(
        name="Seed",
        created=1766505011,
        context_length=262144,
        architecture={"input_modalities": ["image", "text", "file"], "output_modalities": ["text"]},
        pricing={"prompt": "0.000000075", "completion": "0.0000003", "request": "0", "input_cache_read": "0.00000001"},
        top_provider={"context_length": 262144, "max_completion_tokens": 16384},
        supported_parameters=["tools", "reasoning", "top_p"],
    )
    assert found == Listed(
        "m", "Seed", 262144, 16384, 1766505011, Rates(0.075, 0.3, 0.01), ("images", "pdf", "reasoning", "tools"), "", chats=True
    )


@pytest.mark.parametrize(
    ("said", "context"),
    [
        ({"meta": {"n_ctx": 4096, "n_ctx_train": 131072}}, 4096),  # llama.cpp: what it gave room for
        ({"meta": {"n_ctx_train": 131072}}, 131072),  # llama.cpp before it said that
        ({"max_model_len": 8192}, 8192),  # vLLM
        ({"loaded_context_length": 4096, "max_context_length": 32768}, 4096),  # LM Studio
        ({"max_context_length": 131072}, 131072),  # Mistral
        ({"context_window": 131072}, 131072),  # Groq
        ({"max_input_tokens": 200_000}, 200_000),  # Anthropic
        ({"providers": [{"context_length": 163840}, {"context_length": 131072}, {}]}, 131072),  # Hugging Face: the one that fits all
        ({"context_length": 0}, None),
        ({"context_length": -1}, None),
        ({"context_length": True}, None),
        ({"context_length": "many"}, None),
        ({"context_length": 1e300}, None),
        ({}, None),
    ],
)
def test_how_much_a_model_holds(said: dict[str, Any], context: int | None) -> None:
    assert one(**said).context == context


@pytest.mark.parametrize(
    ("said", "can"),
    [
        ({"capabilities": {"completion_chat": True, "vision": True, "function_calling": False}}, ("images",)),
        ({"capabilities": {"image_input": {"supported": True}, "pdf_input": {"supported": False}}}, ("images",)),
        ({"capabilities": ["tool_use", "completion", 3], "type": "vlm"}, ("images", "tools")),
        ({"capabilities": "tools"}, ()),
        ({"providers": [{"supports_tools": False}, {"supports_tools": True}]}, ("tools",)),
        ({}, ()),
    ],
)
def test_what_a_model_can_do(said: dict[str, Any], can: tuple[str, ...]) -> None:
    assert one(**said).can == can


@pytest.mark.parametrize(
    ("pricing", "rates"),
    [
        ({"input": 10, "output": 50, "cache_read": 1, "cache_write": 12.5, "unit": "usd_per_1m_tokens"}, Rates(10, 50, 1, 12.5)),
        ({"input": 10, "output": 50}, None),  # of what?
        ({"prompt": "-1", "completion": "-1"}, None),  # it depends
        ({"prompt": "0.1"}, None),
        ({"prompt": "NaN", "completion": "1e400"}, None),
        ({"prompt": "1E+999999", "completion": "1E+999999"}, None),
        ({"prompt": "1E-999999", "completion": "0"}, Rates(0, 0)),
        ({"prompt": "0.000001", "completion": "0", "input_cache_read": "-Infinity", "request": "sNaN"}, Rates(1, 0)),
        ({"prompt": "a" * 100, "completion": "0"}, None),
        ({"prompt": 7.5e-08, "completion": 0}, Rates(0.075, 0)),
        ({"prompt": "0.000001", "completion": "0.000002", "request": "0.005"}, Rates(1, 2, request=0.005)),
        ("free", None),
    ],
)
def test_what_a_model_costs(pricing: Any, rates: Rates | None) -> None:
    assert one(pricing=pricing).rates == rates


@pytest.mark.parametrize(
    "said",
    [
        {"type": "embeddings"}, {"active": False}, {"lifecycle": "retired"}, {"architecture": {"output_modalities": ["image"]}},
        {"capabilities": {"completion_chat": False, "vision": True}}, {"capabilities": {"chat_completion": False}},
        {"id": "nomic-embed-text:latest"}, {"id": "text-embedding-3-large"}, {"id": "whisper-large-v3"}, {"id": "bge-m3"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked(said: dict[str, Any]) -> None:
    assert not one(**said).chats


@pytest.mark.parametrize(
    "name", ["llama3.2", "Qwen/Qwen3-8B", "gpt-oss:20b", "guardian", "attsie", "embedded-llama", "veomax", "imagenius"]
)
def test_what_can_be_asked(name: str) -> None:
    assert one(id=name).chats


def test_what_gemini_says() -> None:
    flash = {"name": "models/flash", "displayName": "Flash", "inputTokenLimit": 1048576, "outputTokenLimit": 65536, "thinking": True}
    body = {
        "models": [
            {**flash, "supportedGenerationMethods": ["generateContent"]},
            {"name": "models/embed", "supportedGenerationMethods": []},
        ]
    }
    found = gemini_page(json.dumps(body).encode()).models
    assert found == [Listed("flash", "Flash", 1048576, 65536, can=("reasoning",)), Listed("embed", chats=False)]


# What fields hold, and what they should hold and do not.
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["1E+999999", "1E-999999", "NaN", "sNaN", "-1", "9" * 50, "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59"]),
    st.sampled_from([10**400, -(10**400), 1e308, 1 << 63, "text", "usd_per_1m_tokens"]),
)  # fmt: skip
ANY = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6
)
INNER: dict[str, type[msgspec.Struct]] = {
    "meta": _Meta, "top_provider": _Best, "architecture": _Architecture, "pricing": _Pricing, "providers": _Offer
}  # fmt: skip


def objects(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """What is nearly the JSON of such a struct."""
    return st.fixed_dictionaries({}, optional={name: field(name) for name in kind.__struct_fields__})


def field(name: str) -> st.SearchStrategy[Any]:
    return objects(INNER[name]) | st.lists(objects(INNER[name]), max_size=2) | ANY if name in INNER else ODD | ANY


MODEL = (objects(_Model) | objects(_GeminiModel)).map(lambda model: {"id": "m", "name": "m", **model})
MODELS = st.lists(MODEL | ANY, max_size=2)
PAGE = {"data": MODELS, "models": MODELS, "has_more": ANY, "last_id": ANY, "nextPageToken": ANY}
LISTS = ANY | MODELS | st.fixed_dictionaries({}, optional=PAGE)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(LISTS)
@example({"data": [{"id": "m", "pricing": {"prompt": "1E+999999", "completion": "1"}}]})
@example({"data": [{"id": "m", "created_at": "0001-01-01T00:00:00"}]})
def test_whatever_is_said_is_a_list_or_none(said: Any) -> None:
    body = json.dumps(said).encode()
    for read_page in (page, gemini_page):
        try:
            found = read_page(body)
        except ProviderError:
            continue
        assert all(model.id and (model.context is None or model.context > 0) for model in found.models)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(found.models), type=list[Listed]) == found.models  # it can be kept


# --- how it is asked for ---


def test_openai_and_those_that_imitate_it() -> None:
    with lists({"/v1/models?key=other": {"data": [{"id": "one"}, {"id": "two"}, 3, {"id": "one"}]}}) as (url, asked):
        assert ids(place(f"{url}/v1?key=other", headers={"x-team": "search"})) == ["one", "two"]
    ((_, headers),) = asked
    assert (headers["authorization"], headers["x-team"]) == ("Bearer sk-secret", "search")


def test_without_a_key() -> None:
    with lists({"/models": [{"id": "bare"}]}) as (url, asked):
        assert ids(place(url, "openai-responses", key=None)) == ["bare"]
    assert "authorization" not in asked[0][1]


def test_anthropic_over_pages() -> None:
    first = {"data": [{"id": "a", "created_at": "2025-11-24T00:00:00Z", "max_tokens": 64000}], "has_more": True, "last_id": "a/b c"}
    last = {"data": [{"id": "b"}], "has_more": False, "last_id": "b"}
    with lists({"/v1/models?limit=1000": first, "/v1/models?limit=1000&after_id=a%2Fb%20c": last}) as (url, asked):
        assert listed(place(url, "anthropic")) == [Listed("a", output=64000, created=1763942400), Listed("b")]
    assert {headers["x-api-key"] for _, headers in asked} == {"sk-secret"}
    assert {headers["anthropic-version"] for _, headers in asked} == {"2023-06-01"}


def test_gemini_over_pages() -> None:
    first = {
        "models": [{"name": "models/a"}, {"name": "models/e", "supportedGenerationMethods": ["embedContent"]}],
        "nextPageToken": "x=",
    }
    answers = {
        "/v1beta/models?pageSize=1000": first,
        "/v1beta/models?pageSize=1000&pageToken=x%3D": {"models": [{"name": "models/b"}]},
    }
    with lists(answers) as (url, asked):
        assert ids(place(url, "gemini")) == ["a", "b"]
        assert ids(place(url, "gemini"), every=True) == ["a", "e", "b"]
    assert {headers["x-goog-api-key"] for _, headers in asked} == {"sk-secret"}
    assert not any("sk-secret" in path for path, _ in asked)


def test_pages_that_never_end() -> None:
    with lists({"*": {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}}) as (url, asked):
        assert ids(place(url, "anthropic")) == ["a"]
        assert len(asked) == 2
        assert ids(place(url)) == ["a"]
        assert len(asked) == 3


@pytest.mark.parametrize(
    ("kind", "base", "asked"),
    [
        ("anthropic", "https://h", "https://h/v1?limit=1000"),
        ("anthropic", "https://h/v1/", "https://h/v1?limit=1000"),
        ("anthropic", "https://h/proxy?key=k", "https://h/proxy/v1?key=k&limit=1000"),
        ("gemini", "https://v1", "https://v1/v1beta?pageSize=1000"),
        ("gemini", "https://h/v1beta", "https://h/v1beta?pageSize=1000"),
        ("gemini", "https://h/v1/projects/p/locations/l/publishers/google", "https://h/v1/projects/p/locations/l/publishers/google?pageSize=1000"),
        ("openai-chat", "https://h/openai/v1", "https://h/openai/v1"),
        ("openai-chat", "https://h", "https://h"),
    ],
)  # fmt: skip
def test_where_the_list_is(kind: str, base: str, asked: str) -> None:
    assert address(kind, base) == asked


def test_lm_studio_says_more_in_a_list_of_its_own() -> None:
    owner = {"object": "model", "owned_by": "organization_owner"}
    more = [{"id": "qwen", "type": "llm", "max_context_length": 32768}, {"id": "nomic", "type": "embeddings"}]
    answers = {"/v1/models": {"data": [{"id": "qwen", **owner}, {"id": "nomic", **owner}]}, "/api/v0/models": {"data": more}}
    with lists(answers) as (url, _):
        assert listed(place(f"{url}/v1")) == [Listed("qwen", context=32768)]
    with lists({"/v1/models": answers["/v1/models"]}) as (url, asked):
        assert ids(place(f"{url}/v1")) == ["qwen", "nomic"]
        assert len(asked) == 2


def test_a_list_that_is_packed_though_nobody_asked() -> None:
    body = gzip.compress(b'{"data": [{"id": "one"}]}')
    with lists({"*": body}, headers={"Content-Encoding": "gzip"}) as (url, _):
        assert ids(place(url)) == ["one"]
    with lists({"*": b"\x1f\x8bnothing"}, headers={"Content-Encoding": "gzip"}) as (url, _):
        assert fault(place(url)).kind == "protocol"
    with lists({"*": gzip.compress(b" " * (64 << 20))}, headers={"Content-Encoding": "gzip"}) as (url, _):
        assert fault(place(url)).kind == "too_large"


def test_a_script_lists_nothing() -> None:
    assert ids(Endpoint(kind="scripted")) == []


def test_a_local_provider_lists_the_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp").mkdir()  # what the extra brings
    (tmp_path / "xllamacpp" / "__init__.py").touch()
    files = {
        "tiny": tiny_model(tmp_path / "tiny.gguf", template=TOOLS, context=4096),
        "base": tiny_model(tmp_path / "base.gguf", template=None),
        "gone": tmp_path / "gone.gguf",
        "other": tmp_path / "xllamacpp" / "__init__.py",
    }
    options = {"models": {name: str(file) for name, file in files.items()}, "folder": str(tmp_path)}
    sys.path.insert(0, str(tmp_path))
    try:
        assert listed(Endpoint(kind="local", options=options)) == [Listed("tiny", context=4096, can=("tools",))]
        assert ids(Endpoint(kind="local", options=options), every=True) == ["tiny", "base"]
    finally:
        sys.path.remove(str(tmp_path))


# --- what goes wrong ---


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nothing", b"null", b"{}", b'{"data": {}}', b'{"data": null}', b"<!doctype html><p>It works!", b"[" * 100_000,
        b'{"data":' * 100_000, b"\xff\xfe\x00", b'{"error": {"message": "no"}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["openai-chat", "anthropic", "gemini"])
def test_what_is_no_list_of_models(body: bytes, kind: str) -> None:
    with lists({"*": body}) as (url, _):
        error = fault(place(url, kind))
    assert (error.kind, error.message) == ("protocol", "lab answers with something that is no list of models")


@pytest.mark.parametrize(
    "models",
    [[], [{}], [{"id": ""}], ["a"], [{"id": "a\x1b[2J"}], [{"id": "a" * 1000}], [{"id": None}], [[]], [{"id": {"a": 1}}]],
    ids=str,
)
def test_names_that_are_none(models: list[Any]) -> None:
    with lists({"*": {"data": models}}) as (url, _):
        assert ids(place(url)) == []


def test_half_of_a_character() -> None:
    with lists({"*": b'{"data": [{"id": "\\ud800"}, {"id": "b"}]}'}) as (url, _):
        assert ids(place(url))[-1] == "b"


def test_half_of_a_character_in_the_name_of_the_next_page() -> None:
    first = b'{"data": [{"id": "a"}], "models": [{"name": "a"}], "has_more": true, "last_id": "\\ud800", "nextPageToken": "\\ud800"}'
    second = {"data": [{"id": "b"}], "models": [{"name": "b"}]}
    for kind, path in (("anthropic", "/v1/models?limit=1000&after_id="), ("gemini", "/v1beta/models?pageSize=1000&pageToken=")):
        with lists({path.rpartition("&")[0]: first, f"{path}%EF%BF%BD": second}) as (url, _):
            assert ids(place(url, kind)) == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(204, "server"), (400, "bad_request"), (401, "auth"), (403, "auth"), (404, "not_found"), (429, "rate_limit"), (500, "server")],
)
def test_other_answers(status: int, kind: str) -> None:
    body = {"error": {"message": "you said Bearer sk-secret"}}
    with lists({"*": body if status != 204 else b""}, status=status) as (url, _):
        error = fault(place(url))
    if status != 204:
        assert (error.kind, error.status) == (kind, status)


def test_a_key_does_not_follow_to_another_address() -> None:
    with ModelServer() as other:
        with lists({"*": b""}, status=307, headers={"Location": f"{other.url}/models"}) as (url, _):
            assert fault(place(url)).kind == "redirect"
        assert not other.connections


@pytest.mark.parametrize(
    "answer", [b"", b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
@pytest.mark.parametrize("drip", [b"", b"1\r\n \r\n", b"x: y\r\n"])
def test_a_server_that_does_not_come_to_an_end_is_left_in_time(answer: bytes, drip: bytes) -> None:
    with listener(answer, drip=drip) as (port, _):
        began = monotonic()
        error = fault(place(f"http://127.0.0.1:{port}/v1"), patience=0.2)
        assert monotonic() - began < 2
    assert error.kind in ("unreachable", "protocol", "cut")


@pytest.mark.parametrize(
    "url", ["", "http://a b/v1", "http://", "ftp://h/v1", "http://h:x/v1", "http://127.0.0.1:1/v1", "http://h.invalid/v1"]
)
def test_addresses_that_are_none(url: str) -> None:
    assert fault(place(url), patience=1.0).kind == "unreachable"


@pytest.mark.parametrize("key", ["ключ", "a\nb"])
def test_a_key_that_cannot_be_sent(server: ModelServer, key: str) -> None:
    assert fault(place(server.url, key=key)).kind in ("auth", "unreachable")
    assert not server.requests


def test_certificates() -> None:
    with ModelServer(tls="good") as server:
        assert fault(place(server.url)).kind == "tls"
        os.environ["SSL_CERT_FILE"] = "/nowhere/ca.pem"
        assert fault(place(server.url)).kind == "tls"
        os.environ["SSL_CERT_FILE"] = server.ca
        assert ids(place(server.url)) == ["test", "other"]


def test_a_cancelled_question_leaves_nothing_open() -> None:
    async def main(url: str, asked: list[bytes]) -> None:
        task = asyncio.create_task(models("lab", place(url)))
        while not asked:  # noqa: ASYNC110  (filled by a thread)
            await asyncio.sleep(0.01)
        before = open_files()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert open_files() < before

    with listener(None) as (port, asked):
        asyncio.run(asyncio.wait_for(main(f"http://127.0.0.1:{port}/v1", asked), 10))
