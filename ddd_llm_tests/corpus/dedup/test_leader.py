"""Deduplication: what must hold of every result, and who is kept."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

import random
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.dedup.memory import DedupResult, deduplicate
from ddd_llm.corpus.dedup.policy import DECISIONS, DedupPolicy
from ddd_llm.corpus.dedup.signatures import SignatureConfig
from ddd_llm_tests.corpus.dedup.strategies import corpus, set_similarity, similar_texts, small_text, tricky_text

POLICY = DedupPolicy()

documents = st.lists(
    st.tuples(small_text | similar_texts() | tricky_text, st.sampled_from("st"), st.sampled_from(["b1", "b2"])),
    max_size=20,
).map(lambda rows: corpus(*(list(column) for column in zip(*rows, strict=True))) if rows else corpus([]))


def run(table: pa.Table, policy: DedupPolicy = POLICY, **options) -> DedupResult:
    return deduplicate(table, policy, **options)


def exhaustive(**fields) -> DedupPolicy:
    """A policy that misses no pair: texts with one shingle in common share a band of one value almost surely."""
    return DedupPolicy(signature=SignatureConfig(bands=128, rows=1, shared_bands=1), **fields)


def dropped(result: DedupResult) -> list[dict]:
    return [row for row in result.decisions.to_pylist() if row["verdict"] == "dropped"]


@settings(max_examples=200)
@given(documents, st.sampled_from([0.5, 0.8, 1.0]))
def test_every_drop_is_verified_and_every_row_counted(table: pa.Table, threshold: float) -> None:
    result = run(table, exhaustive(threshold=threshold))
    text_of = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    decisions = result.decisions.to_pylist()
    kept = [row for row in decisions if row["verdict"] == "kept"]
    assert result.decisions.schema == DECISIONS
    assert sorted((row["locator"], row["id"]) for row in decisions) == sorted(
        zip(table["locator"].to_pylist(), table["id"].to_pylist(), strict=True)
    )
    assert [row["locator"] for row in kept] == result.kept["locator"].to_pylist()
    assert result.kept.schema == table.schema
    assert all(row["reason"] is row["kept_id"] is row["kept_locator"] is row["jaccard"] is None for row in kept)
    places = {(row["kept_id"], row["kept_source"], row["kept_locator"]) for row in dropped(result)}
    assert places <= {(row["id"], row["source"], row["locator"]) for row in kept}
    for row in dropped(result):
        if row["reason"] == "exact_duplicate":
            assert row["kept_id"] == row["id"] and row["jaccard"] == 1
        else:
            assert row["reason"] == "near_duplicate"
            assert row["jaccard"] == set_similarity(text_of[row["id"]], text_of[row["kept_id"]]) >= threshold


@given(documents)
def test_is_the_greedy_leader(table: pa.Table) -> None:
    result = run(table, exhaustive())
    leaders: list[dict] = []
    rows = result.decisions.to_pylist()
    for row in sorted(rows, key=lambda row: (row["batch"], row["source"], -len(row["id"].encode()), row["locator"])):
        row["text"] = row["id"].removeprefix("id-")
        same = [leader for leader in leaders if leader["id"] == row["id"]]
        scores = [set_similarity(row["text"], leader["text"]) for leader in leaders]
        if same:
            assert (row["reason"], row["kept_locator"], row["jaccard"]) == ("exact_duplicate", same[0]["locator"], 1.0)
        elif scores and max(scores) >= 0.8:
            assert (row["verdict"], row["reason"]) == ("dropped", "near_duplicate")
            assert row["jaccard"] >= 0.8
        else:
            assert row["verdict"] == "kept"
            leaders.append(row)


@given(documents, st.randoms(use_true_random=False), st.integers(1, 3))
def test_rows_chunks_and_threads_change_nothing(table: pa.Table, shuffler: random.Random, threads: int) -> None:
    expected = run(table, threads=1)
    rows = list(range(len(table)))
    shuffler.shuffle(rows)
    cut = shuffler.randint(0, len(rows))
    shuffled = pa.concat_tables([table.take(pa.array(part, pa.int64())) for part in (rows[:cut], rows[cut:])])
    result = run(shuffled, threads=threads)
    keys = [(name, "ascending") for name in ("locator", "id")]
    assert result.kept.sort_by(keys).equals(expected.kept.sort_by(keys))
    assert result.decisions.sort_by(keys).equals(expected.decisions.sort_by(keys))


@given(documents)
def test_history_stays(table: pa.Table) -> None:
    history = table.filter(pc.equal(table["batch"], "b1"))
    before, after = run(history).kept["locator"].to_pylist(), run(table).kept
    assert after.filter(pc.equal(after["batch"], "b1"))["locator"].to_pylist() == before


WORDS = [f"word{i}" for i in range(60)]
BASE, LONGER = " ".join(WORDS[:50]), " ".join(WORDS[:52])


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (DedupPolicy(), "00002"),  # of the three sources the first by name
        (DedupPolicy(sources=("b", "c")), "00001"),
        (DedupPolicy(sources=("c",)), "00000"),
        (DedupPolicy(order=("longest", "source"), sources=("c",)), "00002"),
        (DedupPolicy(order=("shortest",), sources=("b",)), "00000"),
        (DedupPolicy(order=("locator",), sources=("b",)), "00000"),
    ],
)
def test_keep_order(policy: DedupPolicy, kept: str) -> None:
    table = corpus([BASE, BASE + " more", LONGER], ["c", "b", "a"])
    assert run(table, policy).kept["locator"].to_pylist() == [kept]


def test_history_first_in_the_given_order_of_batches() -> None:
    table = corpus([BASE, LONGER], batches=["ten", "nine"])
    assert run(table).kept["batch"].to_pylist() == ["nine"]
    assert run(table, batches=["eight", "ten", "nine"]).kept["batch"].to_pylist() == ["ten"]


def test_chain_drops_no_text_that_resembles_no_kept_one() -> None:
    # Each resembles its neighbour at 0.8 or more; the first and the last share little.
    texts = [" ".join(f"w{i}" for i in range(shift, shift + 60)) for shift in range(0, 60, 5)]
    result = run(corpus(texts), DedupPolicy(order=("locator",)))
    assert 1 < result.kept.num_rows < len(texts)
    for row in dropped(result):
        assert (
            set_similarity(row["id"].removeprefix("id-"), row["kept_id"].removeprefix("id-")) == row["jaccard"] >= 0.8
        )


def test_copies_of_a_dropped_document_name_the_leader() -> None:
    result = run(corpus([LONGER, BASE, BASE]))
    assert [(row["kept_locator"], row["reason"]) for row in dropped(result)] == [("00000", "near_duplicate")] * 2


def test_short_and_empty_documents() -> None:
    texts = [
        "Returns self.",
        "returns SELF",
        "Returns it.",
        "",
        "...",
        "",
        "重复的文档内容一二三四",
        "重复的文档内容一二三四。",
        "别的文档",
    ]
    result = run(corpus(texts), DedupPolicy(order=("locator",)))
    assert [(row["locator"], row["reason"], row["kept_locator"]) for row in dropped(result)] == [
        ("00001", "near_duplicate", "00000"),
        ("00005", "exact_duplicate", "00003"),
        ("00007", "near_duplicate", "00006"),
    ]


def test_thousands_of_copies_of_a_template() -> None:
    words = [f"w{i}" for i in range(200)]
    texts = [" ".join([*words, str(i)]) for i in range(3000)]
    result = run(corpus(texts))
    assert result.kept.num_rows == 1
    assert {row["jaccard"] for row in dropped(result)} == {196 / 198}


def test_almost_no_duplicate_survives() -> None:
    # 500 originals with a copy each at a similarity just above the threshold.
    texts = [" ".join(f"{n}w{i}" for i in range(104)) for n in range(500)]
    copies = [text.replace("w50", "x").replace("w80", "y") for text in texts]
    assert 0.8 <= set_similarity(texts[0], copies[0]) <= 0.84
    result = run(corpus(texts + copies), DedupPolicy(order=("locator",)))
    assert len(dropped(result)) >= 0.99 * len(copies)


def test_bad_input_is_refused() -> None:
    table = corpus(["a b", "c d"])
    with pytest.raises(ValueError, match="two different texts"):
        deduplicate(table.set_column(0, "id", pa.array(["x", "x"])), POLICY)
    with pytest.raises(ValueError, match="no column 'text'"):
        deduplicate(table.drop_columns(["text"]), POLICY)
    with pytest.raises(ValueError, match="nulls"):
        deduplicate(table.set_column(1, "source", pa.array([None, "s"])), POLICY)
    with pytest.raises(ValueError, match="2 documents are of a batch"):
        deduplicate(table, POLICY, batches=["other"])


def test_policy_is_checked() -> None:
    with pytest.raises(ValidationError):
        DedupPolicy(order=("loudest",))  # type: ignore[arg-type]


def test_no_documents() -> None:
    result = run(corpus([]))
    assert result.kept.num_rows == result.decisions.num_rows == 0


@pytest.mark.parametrize(
    ("order", "kept"),
    [(("quality",), "00001"), (("newest",), "00002"), (("oldest",), "00000"), (("quality", "oldest"), "00001")],
)
def test_keep_order_by_score_and_date(order: tuple, kept: str) -> None:
    table = corpus([BASE, BASE + " more", LONGER, BASE + " end"])
    table = table.append_column("quality", pa.array([0.5, 0.9, None, 0.1]))
    table = table.append_column("date", pa.array(["2020-01-01", None, "2026-05-01", "2021-01-01"]))
    assert run(table, DedupPolicy(order=order)).kept["locator"].to_pylist() == [kept]


def test_composed_and_decomposed_letters_are_as_they_are_given() -> None:
    # Ingest normalises to NFC; what comes here unnormalised is other text and not wrongly merged.
    words = " ".join(f"caf\u00e9{i} na\u00efve{i}" for i in range(40))
    result = run(corpus([words, unicodedata.normalize("NFD", words), unicodedata.normalize("NFC", words)]))
    assert [row["verdict"] for row in result.decisions.to_pylist()].count("kept") == 2
    assert {row["reason"] for row in dropped(result)} == {"exact_duplicate"}
