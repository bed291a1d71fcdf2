"""Deduplication: what must hold of every result, and who is kept."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.dedup.leader import DECISIONS, DedupPolicy, DedupResult, deduplicate
from ddd_llm.corpus.dedup.signatures import SignatureConfig, signatures
from ddd_llm_tests.corpus.dedup.strategies import corpus, similar_texts, small_text, tricky_text
from ddd_llm_tests.corpus.dedup.test_jaccard import set_similarity

POLICY = DedupPolicy()

documents = st.lists(
    st.tuples(small_text | similar_texts() | tricky_text, st.sampled_from("st"), st.sampled_from(["b1", "b2"])),
    max_size=20,
).map(lambda rows: corpus(*(list(column) for column in zip(*rows, strict=True))) if rows else corpus([]))


def run(table: pa.Table, policy: DedupPolicy = POLICY, **options) -> DedupResult:
    signed = signatures(table["text"], policy.signature).append_column("id", table["id"])
    return deduplicate(table, signed, policy, **options)


def dropped(result: DedupResult) -> list[dict]:
    return [row for row in result.decisions.to_pylist() if row["verdict"] == "dropped"]


@settings(max_examples=200, deadline=None)
@given(documents, st.sampled_from([0.5, 0.8, 1.0]))
def test_every_drop_is_verified_and_every_row_counted(table: pa.Table, threshold: float) -> None:
    result = run(table, DedupPolicy(threshold=threshold, bands=64, rows=2))
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


@settings(deadline=None)  # the first call compiles
@given(documents)
def test_is_the_greedy_leader(table: pa.Table) -> None:
    # With bands of one value no pair at the threshold is missed: the result is that of comparing every pair.
    result = run(table, DedupPolicy(bands=128, rows=1))
    leaders: list[dict] = []
    for row in result.decisions.to_pylist():
        row["text"] = row["id"].removeprefix("id-")
        scores = [
            1.0 if row["id"] == leader["id"] else set_similarity(row["text"], leader["text"]) for leader in leaders
        ]
        if scores and max(scores) >= 0.8:
            best = leaders[scores.index(max(scores))]
            assert (row["verdict"], row["kept_id"], row["jaccard"]) == ("dropped", best["id"], max(scores))
        else:
            assert row["verdict"] == "kept"
            leaders.append(row)


@settings(deadline=None)  # the first call compiles
@given(documents, st.randoms(use_true_random=False), st.integers(1, 3))
def test_rows_chunks_and_threads_change_nothing(table: pa.Table, shuffler: random.Random, threads: int) -> None:
    expected = run(table, threads=1)
    rows = list(range(len(table)))
    shuffler.shuffle(rows)
    cut = shuffler.randint(0, len(rows))
    shuffled = pa.concat_tables([table.take(pa.array(part, pa.int64())) for part in (rows[:cut], rows[cut:])])
    result = run(shuffled, threads=threads)
    assert result.kept.equals(expected.kept)
    assert result.decisions.equals(expected.decisions)


@settings(deadline=None)  # the first call compiles
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
    signed = signatures(table["text"], POLICY.signature).append_column("id", table["id"])
    with pytest.raises(ValueError, match="1 documents have no signature"):
        deduplicate(table, signed.slice(1), POLICY)
    with pytest.raises(ValueError, match="two different texts"):
        deduplicate(table.set_column(0, "id", pa.array(["x", "x"])), signed, POLICY)
    with pytest.raises(ValueError, match="no column 'text'"):
        deduplicate(table.drop_columns(["text"]), signed, POLICY)
    with pytest.raises(ValueError, match="nulls"):
        deduplicate(table.set_column(1, "source", pa.array([None, "s"])), signed, POLICY)
    with pytest.raises(ValueError, match="2 documents are of a batch"):
        deduplicate(table, signed, POLICY, batches=["other"])
    with pytest.raises(ValueError, match="512 bytes"):
        deduplicate(
            table, signatures(table["text"], SignatureConfig(num_perm=64)).append_column("id", table["id"]), POLICY
        )


def test_signatures_of_shorter_texts_are_noticed() -> None:
    table = corpus([BASE, LONGER])
    signed = signatures(pa.array(["a b", "a b"]), POLICY.signature).append_column("id", table["id"])
    with pytest.raises(ValueError, match="made from other texts"):
        deduplicate(table, signed, POLICY)


def test_policy_is_checked() -> None:
    with pytest.raises(ValidationError, match="need 160 permutations"):
        DedupPolicy(bands=32, rows=5)
    with pytest.raises(ValidationError):
        DedupPolicy(order=("oldest",))  # type: ignore[arg-type]
