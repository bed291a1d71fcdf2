"""Folders that Hugging Face `datasets` saved, written by the library itself."""

from __future__ import annotations

import json
import shutil
import struct
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddd_llm.corpus.ingest import read_source
from ddd_llm.corpus.scan import scan
from ddd_llm.corpus.sources import HfDataset
from ddd_llm_tests.corpus.helpers import KEY, RIGHTS, reasons, texts


def source(**fields: object) -> HfDataset:
    return HfDataset(**{"name": "hf", "kind": "hf_dataset", "path": ".", **RIGHTS, **fields})  # type: ignore[arg-type]


def read(root: Path, **fields: object) -> tuple[pa.Table, pa.Table]:
    documents, held_back, *_ = read_source(source(**fields), root, KEY)
    return documents, held_back


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from datasets import Dataset, DatasetDict

    root = tmp_path_factory.mktemp("saved")
    rows = {
        "body": ["one", "two", None, "four"],
        "key": [1, 2, 3, 4],
        "day": [date(2024, 3, 5), None, None, date(2025, 1, 2)],
        "score": [0.25, None, 1.0, float("nan")],
    }
    train = Dataset.from_dict(rows)
    DatasetDict(train=train, test=Dataset.from_dict({k: v[:1] for k, v in rows.items()})).save_to_disk(
        root / "dict", num_shards={"train": 2, "test": 1}
    )
    train.save_to_disk(root / "one")
    return root


FIELDS = {"text_field": "body", "id_field": "key", "date_field": "day", "quality_field": "score"}


def test_a_saved_dataset_dict_is_read_split_by_split(saved: Path) -> None:
    documents, held_back = read(saved / "dict", **FIELDS)
    first, second = "train/data-00000-of-00002.arrow", "train/data-00001-of-00002.arrow"
    test = "test/data-00000-of-00001.arrow"
    assert texts(documents) == {f"{test}#id=1": "one", f"{first}#id=1": "one", f"{first}#id=2": "two"}
    assert documents["date"].to_pylist() == ["2024-03-05", "2024-03-05", None]
    assert documents["quality"].to_pylist() == [0.25, 0.25, None]
    assert reasons(held_back) == [(f"{second}#row=0", "missing_text"), (f"{second}#row=1", "quality_not_finite")]
    only, _ = read(saved / "dict", splits=["test"], **FIELDS)
    assert list(texts(only)) == [f"{test}#id=1"]
    _, wrong = read(saved / "dict", splits=["dev"], **FIELDS)
    assert reasons(wrong) == [("", "no_such_split")]


def test_a_saved_dataset_is_read_by_row(saved: Path) -> None:
    documents, held_back = read(saved / "one", text_field="body")
    name = "data-00000-of-00001.arrow"
    assert texts(documents) == {f"{name}#row=0": "one", f"{name}#row=1": "two", f"{name}#row=3": "four"}
    assert reasons(held_back) == [(f"{name}#row=2", "missing_text")]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_cut_shard_is_held_back_whole(saved: Path, tmp_path: Path, share: float) -> None:
    shutil.copytree(saved / "dict", tmp_path / "dict")
    shard = tmp_path / "dict" / "train" / "data-00000-of-00002.arrow"
    data = shard.read_bytes()
    shard.write_bytes(data[: int(share * len(data))])
    documents, held_back = read(tmp_path / "dict", text_field="body")
    assert not any("00000-of-00002" in locator for locator in texts(documents))
    first = ("train/data-00000-of-00002.arrow", "truncated" if share else "empty_file")
    assert reasons(held_back)[0] == first
    assert held_back["offset"].to_pylist()[0] == int(share * len(data))


def test_a_shard_with_offsets_that_point_anywhere_is_refused(tmp_path: Path) -> None:
    table = pa.table({"text": ["one", "two"]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = (tmp_path / "a.arrow").read_bytes()
    good, bad = struct.pack("<iii", 0, 3, 6), struct.pack("<iii", 0, 2**30, 2**31 - 1)
    assert data.count(good) == 1
    (tmp_path / "a.arrow").write_bytes(data.replace(good, bad))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a.arrow"}]}))
    documents, held_back = read(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.arrow", "corrupt_arrow")]


def test_shards_outside_the_folder_and_missing_ones_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.arrow").write_bytes(b"x")
    (root / "link.arrow").symlink_to(tmp_path / "secret.arrow")
    for names in (
        ["gone.arrow", "link.arrow"],
        ["gone.arrow", "../secret.arrow"],
        ["/etc/passwd"],
        [7],
        ["a.arrow"] * 2,
    ):
        (root / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
        documents, held_back = read(root)
        assert documents.num_rows == 0
        if "link.arrow" in names:
            assert reasons(held_back) == [("gone.arrow", "missing_file"), ("link.arrow", "symlink_outside_root")]
        else:
            assert reasons(held_back) == [("", "unsafe_shard_name")]


def test_nothing_in_the_folder_is_run(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "one", tmp_path / "one")
    (tmp_path / "one" / "one.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    read(tmp_path / "one", text_field="body")
    assert not (tmp_path / "ran").exists()


def test_plain_parquet_shards_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        pq.write_table(pa.table({"text": [name]}), tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "README.md").write_text("not a shard")
    documents, held_back = read(tmp_path)
    assert (documents.num_rows, held_back.num_rows) == (3, 0)
    documents, _ = read(tmp_path, splits=["test"])
    assert list(texts(documents)) == ["data/test-00000-of-00001.parquet#row=0"]
    assert reasons(read(tmp_path, splits=["test", "dev"])[1]) == [("", "no_such_split")]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "not_a_dataset"),
        ({"dataset_dict.json": "{}"}, "not_a_dataset"),
        ({"dataset_dict.json": '{"splits": ["../up"]}'}, "not_a_dataset"),
        ({"state.json": "[" * 100_000}, "not_a_dataset"),
    ],
)
def test_a_folder_that_is_no_dataset_is_said(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert reasons(read(tmp_path)[1]) == [("", reason)]
    assert reasons(read(tmp_path / "gone")[1]) == [("", "folder_missing")]


def test_scan_follows_shards_splits_and_fields(saved: Path, tmp_path: Path) -> None:
    root = tmp_path / "dict"
    shutil.copytree(saved / "dict", root)
    before = scan(source(), root)
    assert scan(source(owner="Another"), root) == before
    seen = {before, scan(source(splits=["test"]), root), scan(source(quality_field="score"), root)}
    shard = root / "test" / "data-00000-of-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert len({*seen, scan(source(), root)}) == 4
