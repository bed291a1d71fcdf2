"""Keys and keyed ids."""

from __future__ import annotations

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.identity import KEY_BYTES, KeyFileError, doc_id, keyed_digest, load_key


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    key = load_key(folder, "ids")
    assert len(key) == KEY_BYTES
    assert load_key(folder, "ids") == key
    assert load_key(folder, "pseudonyms") != key
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert sorted(file.name for file in folder.iterdir()) == ["ids.key", "pseudonyms.key"]


def test_all_who_ask_first_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: load_key(tmp_path / "threads", "ids"), range(32)))) == 1
    with get_context("spawn").Pool(3) as pool:
        assert len(set(pool.starmap(load_key, [(tmp_path / "processes", "ids")] * 6))) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_key(tmp_path, "ids")
    (tmp_path / "ids.key").chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key(tmp_path, "ids")


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(KeyFileError, match="chmod 700"):
        load_key(tmp_path, "ids")


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    load_key(tmp_path, "ids")
    (tmp_path / "ids.key").write_bytes(content)
    with pytest.raises(KeyFileError, match="32 bytes"):
        load_key(tmp_path, "ids")
    assert (tmp_path / "ids.key").read_bytes() == content


def test_a_link_is_no_key(tmp_path: Path) -> None:
    load_key(tmp_path, "ids")
    (tmp_path / "other.key").symlink_to(tmp_path / "ids.key")
    with pytest.raises(KeyFileError):
        load_key(tmp_path, "other")


@pytest.mark.parametrize("name", ["../ids", "", "A", "a/b", "a\0b"])
def test_names_are_plain_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError):
        load_key(tmp_path, name)
    assert not list(tmp_path.iterdir())


@given(st.binary(min_size=16, max_size=64), st.text(st.characters(exclude_categories=["Cs"])))
def test_ids_are_hmac_sha256_over_tag_and_text(key: bytes, text: str) -> None:
    expected = hmac.new(key, b"ddd_llm/document/1\0" + text.encode("utf-8"), hashlib.sha256).hexdigest()
    assert doc_id(key, text) == expected[:32]
    assert keyed_digest(key, "other", text) != keyed_digest(key, "document", text)
    assert doc_id(key + b"x", text) != doc_id(key, text)
