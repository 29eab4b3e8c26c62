"""Attachments: kept once, outside the document, and never silently lost."""

from __future__ import annotations

import os

import pytest

from agentcli.core.message import Blob, user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.blobs import LARGEST_INLINE
from agentcli.store.threads import Store


def only(thread: Thread) -> Blob:
    (blob,) = (part for message in thread.messages for part in message.parts if isinstance(part, Blob))
    return blob


def test_a_large_attachment_is_kept_once_and_outside(store: Store) -> None:
    data = os.urandom(LARGEST_INLINE + 1)
    threads = [Thread.of(user("look", Blob("image/png", data, name="cat.png"))) for _ in range(2)]
    for thread in threads:
        thread.unknown[("x",)] = {}
        thread.unknown[()] = {"note": 1}
        store.save(thread)
        assert only(thread).data == data  # memory keeps it
    assert len(os.listdir(store.blobs.folder)) == 1
    assert store.path(threads[0].id).stat().st_size < 2000
    opened = store.open(threads[1].id)
    assert opened.unknown[()] == {"note": 1}
    assert only(opened).data is None
    assert only(opened).name == "cat.png"
    assert store.bytes_of(only(opened)) == data
    store.load_blobs(opened)
    assert only(opened).data == data
    store.save(opened)
    assert store.path(opened.id).stat().st_size < 2000


def test_a_small_one_stays_in_the_document(store: Store) -> None:
    thread = Thread.of(user("look", Blob("image/png", b"x" * LARGEST_INLINE)))
    store.save(thread)
    assert only(store.open(thread.id)).data == b"x" * LARGEST_INLINE
    assert not store.blobs.folder.exists()


@pytest.mark.parametrize("ref", [None, "", "../../../etc/passwd", "/etc/passwd", "0" * 63, "0" * 64, "A" * 64])
def test_a_missing_or_evil_ref_is_said(store: Store, ref: str | None) -> None:
    thread = Thread.of(user("look", Blob("image/png", ref=ref, name="cat.png")))
    store.save(thread)
    for action in (lambda: store.load_blobs(thread), lambda: store.bytes_of(only(thread))):
        with pytest.raises(UserError, match=r"cat\.png") as error:
            action()
        assert error.value.exit_code == 65


def test_bytes_that_changed_are_not_given(store: Store) -> None:
    ref = store.blobs.put(b"x" * 100)
    (store.blobs.folder / ref).write_bytes(b"y" * 100)
    with pytest.raises(UserError, match="content has changed"):
        store.bytes_of(Blob("image/png", ref=ref))
