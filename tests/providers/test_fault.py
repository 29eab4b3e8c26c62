"""What servers mean by their errors."""

from __future__ import annotations

import json

import pytest

from agentcli.core.provider import ProviderError
from agentcli.errors import Exit
from agentcli.providers.fault import FinalError, Said, again, fault_of, reported
from agentcli.providers.http.fault import refused
from agentcli.providers.openai_chat.answer import Answer


def fault(status: int, body: object = None, *, has_key: bool = True, **headers: str) -> tuple[str, str, str, bool]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    error = refused("lab", status, names, raw, key="LAB_KEY", has_key=has_key)
    assert error.status == status
    return error.kind, error.message, error.hint, again(error)


@pytest.mark.parametrize(
    ("status", "kind", "retried"),
    [
        (400, "bad_request", False), (401, "auth", False), (402, "auth", False), (403, "auth", False),
        (404, "not_found", False), (405, "not_found", False), (408, "server", True), (409, "server", True),
        (413, "too_large", False), (418, "bad_request", False), (422, "bad_request", False), (429, "rate_limit", True),
        (500, "server", True), (501, "server", True), (502, "server", True), (503, "overloaded", True),
        (504, "server", True), (529, "overloaded", True), (599, "server", True),
    ],
)  # fmt: skip
def test_every_status(status: int, kind: str, retried: bool) -> None:
    found, message, _, does = fault(status, {"error": {"message": "no such luck"}})
    assert (found, does) == (kind, retried)
    assert str(status) in message
    assert "no such luck" in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "one", "type": "t", "code": "c"}}, "one"),
        ({"error": "two"}, "two"),
        ({"message": "three"}, "three"),
        ({"detail": "four"}, "four"),
        ({"detail": [{"loc": ["body"], "msg": "five"}]}, "five"),
        ([{"error": {"code": 400, "message": "six", "status": "INVALID_ARGUMENT"}}], "six"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "seven"}}, "seven"),
        ({"code": "x", "error": "eight"}, "eight"),
        (b"nine\n  lines", "nine lines"),
        (b"<!DOCTYPE html><html><title>502 Bad Gateway</title><body>", "502 Bad Gateway"),
        (b"<html><p>no title", ""),
        (b"\x00\x01\x02binary", ""),
        (b"", ""),
        ({"error": {}}, '{"error": {}}'),
        ({"odd": 1}, '{"odd": 1}'),
        (b"[" * 100000, "[" * 100000),
    ],
)
def test_the_servers_own_words(body: object, words: str) -> None:
    assert Said.in_body(body if isinstance(body, bytes) else json.dumps(body).encode()).words == words


@pytest.mark.parametrize(
    ("status", "codes", "words", "kind"),
    [
        (None, "", "", "server"),
        (None, "rate_limit_error", "", "rate_limit"),
        (None, "insufficient_quota", "", "auth"),
        (None, "invalid_request_error model_not_found", "", "not_found"),
        (None, "", "maximum context length is 5", "context_length"),
        (400, "authentication_error", "", "auth"),
        (400, "rate_limit", "", "bad_request"),  # a request that is wrong does not become right by waiting
        (404, "invalid_request_error", "", "not_found"),
        (429, "invalid_request_error", "", "rate_limit"),
        (500, "invalid_request_error", "", "server"),
        (500, "overloaded_error", "", "overloaded"),
        (500, "exceed_context_size_error", "", "context_length"),
        (500, "", "no context window", "server"),
        (502, "", "", "server"),
        (504, "", "", "server"),
        (None, "RESOURCE_EXHAUSTED", "", "rate_limit"),
        (400, "INVALID_ARGUMENT API_KEY_INVALID", "API key not valid.", "auth"),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
            "context_length",
        ),
        (400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed 1048576.", "context_length"),
        (429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: generate_content_input_token_count, limit: 1000000", "rate_limit"),
        (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", "too_large"),
    ],
)
def test_what_status_codes_and_words_mean_together(status: int | None, codes: str, words: str, kind: str) -> None:
    assert fault_of(status, codes, words) == kind


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529])
def test_a_status_means_the_same_in_an_answer_as_before_one(status: int) -> None:
    assert reported({"message": "no", "code": status}).kind == fault(status, {"error": {"message": "no"}})[0]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "no", "code": "context_length_exceeded"},
        {"message": "no", "type": "exceed_context_size_error"},
        {"message": "This model's maximum context length is 8192 tokens."},
        {"message": "prompt is too long: 250000 tokens > 200000 maximum"},
    ],
)
def test_too_long_a_conversation(error: dict[str, str]) -> None:
    assert fault(400, {"error": error})[0] == "context_length"


def test_no_money_is_not_retried() -> None:
    kind, message, _, retried = fault(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    assert (kind, retried) == ("auth", False)
    assert "paid" in message


def test_the_hint_names_the_key() -> None:
    assert "LAB_KEY" in fault(401)[2]
    assert fault(401, has_key=False)[2] == "Set LAB_KEY."
    assert "LAB_KEY" in fault(403)[2]


def test_a_wait_that_is_too_long_is_a_refusal() -> None:
    error = refused("lab", 503, {"retry-after": "7200"}, b"", key="", has_key=True)
    assert isinstance(error, FinalError)
    assert (error.kind, error.exit_code, error.retry_after) == ("rate_limit", Exit.TRY_LATER, 7200)
    assert "2 hours" in error.hint
    assert fault(429, retry_after="120")[3]
    assert not fault(429, retry_after="121")[3]


def google(*details: object, code: int = 429) -> dict[str, object]:
    """An error as Google's servers send it."""
    return {"error": {"code": code, "message": "You exceeded your quota.", "status": "RESOURCE_EXHAUSTED", "details": list(details)}}


def retry_info(delay: object) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota(quota_id: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": "x", "quotaId": quota_id}]}


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("26s", 26.0), ("0.5s", 0.5), ("48.939935699s", 48.939935699), ("0s", 0.0), ("26", None), ("-1s", None), ("x", None), (26, None)],
)
def test_google_says_in_the_body_how_long_to_wait(delay: object, seconds: float | None) -> None:
    body = google({"@type": "type.googleapis.com/google.rpc.Help", "links": []}, retry_info(delay))
    for one in (body, [body]):
        assert refused("lab", 429, {}, json.dumps(one).encode(), key="", has_key=True).retry_after == seconds
        assert reported(one).retry_after == seconds
        assert again(reported(one))


def test_a_header_counts_more_than_the_body() -> None:
    body = json.dumps(google(retry_info("26s"))).encode()
    assert refused("lab", 429, {"retry-after": "3"}, body, key="", has_key=True).retry_after == 3


def test_a_wait_that_is_too_long_is_a_refusal_in_mid_answer_too() -> None:
    error = reported(google(retry_info("7200s"), code=503))
    assert isinstance(error, FinalError)
    assert (error.kind, error.exit_code, error.retry_after) == ("rate_limit", Exit.TRY_LATER, 7200)
    assert "2 hours" in error.hint


def test_a_quota_of_the_day_is_not_asked_for_again() -> None:
    of_the_day = google(retry_info("34s"), quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"))
    kind, _, hint, retried = fault(429, of_the_day)
    assert (kind, retried) == ("rate_limit", False)
    assert "day" in hint
    assert fault(429, google(retry_info("34s"), quota("GenerateRequestsPerMinutePerProjectPerModel")))[3]


@pytest.mark.parametrize("details", [None, "x", 5, {}, [None, 5, "x", [], {"violations": [None, {"quotaId": 5}], "reason": 5}]])
def test_details_may_be_anything(details: object) -> None:
    assert fault(429, {"error": {"message": "no", "details": details}})[0] == "rate_limit"


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://user:secret@other.test:8/x?y", "other.test:8"),
        ("/v2", "another address"),
        ("", "another address"),
        ("http://[", "another"),
    ],
)
def test_a_redirect_names_only_the_host(location: str, says: str) -> None:
    kind, message, hint, retried = fault(307, location=location)
    assert (kind, retried) == ("redirect", False)
    assert says in message
    assert "secret" not in message + hint


@pytest.mark.parametrize("depth", [*range(100, 1100, 50), 100_000])
def test_deep_errors_are_errors(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for error in (deep, f'{{"error": {{"odd": {deep}}}}}', f'{{"error": {{"message": {deep}, "code": {deep}}}}}'):
        assert fault(500, error.encode())[0] == "server"
        answer = Answer()
        with pytest.raises(ProviderError):
            list(answer.feed(f'data: {{"error": {error}}}\n\n'.encode()))
