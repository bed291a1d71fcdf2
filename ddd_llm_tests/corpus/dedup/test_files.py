"""Deduplication of a Parquet file: the decisions of the call in memory, in the order of the file."""

import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup import files
from ddd_llm.corpus.dedup.files import deduplicate_parquet
from ddd_llm.corpus.dedup.memory import deduplicate
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm_tests.corpus.dedup.strategies import similar_texts, small_text, tricky_text

POLICY = DedupPolicy()


@settings(max_examples=60)  # the first call compiles
@given(st.lists(similar_texts() | small_text | tricky_text, max_size=14), st.randoms(use_true_random=False))
def test_decides_as_in_memory_whatever_the_ids(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], shuffler
) -> None:
    names = [f"n{number}" for number in range(len(texts))]
    shuffler.shuffle(names)
    path = tmp_path_factory.mktemp("file") / "corpus.parquet"
    pq.write_table(pa.table({"id": pa.array(names, pa.string()), "text": pa.array(texts, pa.string())}), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROWS_AT_ONCE", 5)
        found = deduplicate_parquet(path, POLICY)
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    blank = pa.array([""] * len(texts), pa.string())
    numbered = pa.array([f"{number:03}" for number in range(len(texts))], pa.string())
    same = pa.array([f"id-{text}" for text in texts], pa.string())
    table = pa.table(
        {"id": same, "source": blank, "locator": numbered, "batch": blank, "text": pa.array(texts, pa.string())}
    )
    expected = deduplicate(table, DedupPolicy(order=("locator",))).decisions
    assert found["locator"].to_pylist() == names
    for column in ("verdict", "reason", "jaccard"):
        assert found[column].to_pylist() == expected[column].to_pylist()
    kept = [None if place is None else names[int(place)] for place in expected["kept_locator"].to_pylist()]
    assert found["kept_locator"].to_pylist() == kept


def test_of_two_copies_the_first_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    text = " ".join(f"word{i}" for i in range(40))
    pq.write_table(pa.table({"name": ["z", "a", "m"], "body": [text, text, f"{text} more"]}), path)
    found = deduplicate_parquet(path, POLICY, id_column="name", text_column="body").to_pylist()
    assert [(row["locator"], row["kept_locator"]) for row in found] == [("z", None), ("a", "z"), ("m", "z")]


def test_composed_and_decomposed_letters_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    text = " ".join(f"caf\u00e9{i} na\u00efve{i}" for i in range(40))
    pq.write_table(pa.table({"id": ["a", "b"], "text": [unicodedata.normalize("NFD", text), text]}), path)
    assert deduplicate_parquet(path, POLICY)["reason"].to_pylist() == [None, "exact_duplicate"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"]}, "no column 'text'"),
        ({"id": ["a", "a"], "text": ["x", "y"]}, "1 ids are given twice"),
        ({"id": ["a", None], "text": ["x", "y"]}, "1 rows have no id"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, columns: dict, message: str) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match=message):
        deduplicate_parquet(path, POLICY)
