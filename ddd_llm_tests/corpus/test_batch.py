"""One ingest over all sources after others: what goes, what stays although it cannot be read, what changes alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from ddd_llm.corpus.batch import Batch, ingest
from ddd_llm_tests.corpus.helpers import KEY, folder_source
from ddd_llm_tests.corpus.readers import files


def never(done: int, total: int | None = None, note: str = "") -> None:
    pass


def batch(root: Path, *history: pa.Table) -> Batch:
    return ingest([(folder_source(), root)], list(history), KEY, never)  # type: ignore[arg-type]


def ops(one: Batch) -> list[tuple[str, str]]:
    return list(zip(one.documents["locator"].to_pylist(), one.documents["op"].to_pylist(), strict=True))


def test_a_broken_file_archive_or_folder_keeps_what_it_held(tmp_path: Path) -> None:
    lines = b'{"text": "one"}\n{"text": "two"}\n'
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.zip").write_bytes(files.zipped({"x.md": b"three", "in.zip": files.zipped({"y.md": b"four"})}))
    (tmp_path / "c.md").write_text("five")
    first = batch(tmp_path)
    assert [op for _, op in ops(first)] == ["add"] * 5
    assert batch(tmp_path, first.documents).documents.num_rows == 0
    (tmp_path / "a.jsonl").write_bytes(lines[:-5])
    (tmp_path / "b.zip").write_bytes((tmp_path / "b.zip").read_bytes()[:-5])
    (tmp_path / "c.md").unlink()
    second = batch(tmp_path, first.documents)
    assert ops(second) == [("c.md", "delete")]
    (tmp_path / "a.jsonl").write_bytes(lines[: len(lines) // 2])
    (tmp_path / "b.zip").write_bytes(files.zipped({"in.zip": files.zipped({"y.md": b"four"})[:-5]}))
    third = batch(tmp_path, first.documents, second.documents)
    assert ops(third) == [("a.jsonl#line=2", "delete"), ("b.zip!x.md", "delete")]


def test_a_record_that_was_emptied_takes_its_text_out(tmp_path: Path) -> None:
    """Whether it can be named by its id, has a colon in it, or no text field at all: the other records stay."""

    def written(*texts: object) -> Batch:
        rows = [{"id": f"n:{n}", "text": text} for n, text in enumerate(texts)]
        (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return ingest([(folder_source(id_field="id"), tmp_path)], history, KEY, never)  # type: ignore[arg-type]

    history: list[pa.Table] = []
    history.append(written("one", "two", "three").documents)
    for texts in (("", "two", "three"), (None, "two", "three")):
        assert ops(written(*texts)) == [("a.jsonl#id=n:0", "delete")]
    assert written("one", "two", "three").documents.num_rows == 0


def test_what_a_source_says_about_a_text_may_change_alone(tmp_path: Path) -> None:
    """A corrected date or score, or a field that is only named now, reaches the corpus with the text that it had."""

    def written(quality: float, **fields: str) -> Batch:
        row = {"text": "one", "score": quality, "day": "2026-01-01"}
        (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n")
        found = ingest([(folder_source(**fields), tmp_path)], history, KEY, never)  # type: ignore[arg-type]
        history.append(found.documents)
        return found

    history: list[pa.Table] = []
    assert ops(written(0.5)) == [("a.jsonl#line=1", "add")]
    for quality, fields in ((0.5, {"quality_field": "score"}), (0.9, {"quality_field": "score"})):
        (row,) = written(quality, **fields).documents.to_pylist()
        assert (row["op"], row["id"], row["text"], row["quality"]) == (
            "update",
            history[0]["id"][0].as_py(),
            "one",
            quality,
        )
    assert written(0.9, quality_field="score").documents.num_rows == 0
    (row,) = written(0.9, quality_field="score", date_field="day").documents.to_pylist()
    assert (row["op"], row["date"]) == ("update", "2026-01-01")


def test_a_notice_about_a_file_does_not_keep_what_went(tmp_path: Path) -> None:
    line = "Le général a déclaré que la forêt était située près de l'hôtel, où les élèves étudiaient."
    (tmp_path / "a.csv").write_bytes(f'text\n"{line}"\n"{line} Encore."\n'.encode("latin-1"))
    first = batch(tmp_path)
    assert first.notices.to_pylist() == [True]
    (tmp_path / "a.csv").write_bytes(f'text\n"{line}"\n'.encode("latin-1"))
    assert ops(batch(tmp_path, first.documents)) == [("a.csv#row=3", "delete")]
