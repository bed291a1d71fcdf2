"""What Spark's workers run, without Spark: components decided apart, from rows in any order, are the local decisions."""

import random

import networkx as nx
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.memory import deduplicate
from ddd_llm.corpus.dedup.order import keep_order
from ddd_llm.corpus.dedup.policy import DECISIONS, DedupPolicy
from ddd_llm.corpus.dedup.signatures import SignatureConfig
from ddd_llm.corpus.dedup.spark_rows import SKETCHED, decide_rows, sketch_rows, star_rows
from ddd_llm_tests.corpus.dedup.strategies import corpus, similar_texts, small_text, tricky_text

BY = [(name, "ascending") for name in ("source", "locator", "batch", "id", "verdict")]
BATCHES = ["b2", "b1"]

documents = st.lists(
    st.tuples(small_text | similar_texts() | tricky_text, st.sampled_from("st"), st.sampled_from(BATCHES)), max_size=25
).map(lambda rows: corpus(*(list(column) for column in zip(*rows, strict=True))) if rows else corpus([]))
policies = st.builds(
    DedupPolicy,
    threshold=st.sampled_from([0.5, 0.8, 1.0]),
    order=st.sampled_from([("batch", "source", "longest"), ("shortest",), ("source", "batch"), ("batch",)]),
    sources=st.sampled_from([(), ("t",)]),
    signature=st.sampled_from([SignatureConfig(), SignatureConfig(ngram=2, bands=64, rows=2)]),
)


def completed(table: pa.Table) -> pa.Table:
    """With every column that a keep order may look at."""
    for name, kind in (("quality", pa.float64()), ("date", pa.string())):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), kind))
    lengths = [None if text is None else len(text.encode()) for text in table["text"].to_pylist()]
    return table.append_column("bytes", pa.array(lengths, pa.int64()))


def in_keep_order(table: pa.Table, policy: DedupPolicy, batches: list[str]) -> pa.Table:
    return table.take(pa.array(keep_order(completed(table), policy, batches)))


def sketched(table: pa.Table, policy: DedupPolicy, size: int = 7) -> list[pa.RecordBatch]:
    whole = completed(table).append_column("why", pa.nulls(len(table), pa.string()))
    return list(sketch_rows(whole.drop_columns(["bytes"]).to_batches(size), policy.signature))


def decided(batches: list[pa.RecordBatch], policy: DedupPolicy) -> pa.Table:
    found = list(decide_rows(batches, policy, BATCHES))
    if not found:
        return DECISIONS.empty_table().append_column("clash", pa.array([], pa.bool_()))
    return pa.Table.from_batches(found)


@settings(max_examples=50)  # the first call compiles
@given(documents, policies, st.randoms(use_true_random=False))
def test_components_apart_are_the_local_decisions(
    table: pa.Table, policy: DedupPolicy, shuffler: random.Random
) -> None:
    rows = [row.slice(i, 1) for row in sketched(table, policy) for i in range(len(row))]
    graph = nx.Graph()
    for number, row in enumerate(rows):
        graph.add_node(number)
        graph.add_edges_from((number, f"key {key}") for key in row["keys"][0].as_py())
    parts = []
    for component in nx.connected_components(graph):
        mine = [rows[node] for node in component if isinstance(node, int)]
        shuffler.shuffle(mine)
        parts.append(decided(mine, policy))
    found = pa.concat_tables([decided([], policy), *parts])
    expected = deduplicate(in_keep_order(table, policy, BATCHES), policy, BATCHES).decisions
    assert found.drop_columns(["clash"]).sort_by(BY).equals(expected.sort_by(BY))
    assert not any(found["clash"].to_pylist())


@settings(max_examples=50)
@given(documents, st.integers(1, 9))
def test_sketches_do_not_depend_on_batches(table: pa.Table, size: int) -> None:
    whole, cut = sketched(table, DedupPolicy(), 1000), sketched(table, DedupPolicy(), size)
    assert [row for batch in cut for row in batch.to_pylist()] == [row for batch in whole for row in batch.to_pylist()]
    for batch in whole:
        assert batch.schema.names[-len(SKETCHED) :] == list(SKETCHED)
        for row in batch.to_pylist():
            assert len(row["keys"]) == 1 + 25 * (row["shingles"] > 0)
            assert len(row["sets"]) % 8 == 0 and len(row["sets"]) <= 8 * row["shingles"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-5, 5)), max_size=30), st.integers(1, 8))
def test_stars_join_each_document_of_a_key_to_its_first(pairs: list[tuple[int, int]], size: int) -> None:
    table = pa.table(
        {
            "node": pa.array([node for node, _ in pairs], pa.int64()),
            "key": pa.array([key for _, key in pairs], pa.int64()),
        }
    )
    first = {key: min(node for node, other in pairs if other == key) for _, key in pairs}
    expected = {(node, first[key]) for node, key in pairs if node != first[key]}
    edges = [tuple(row.values()) for batch in star_rows(table.to_batches(size)) for row in batch.to_pylist()]
    assert sorted(edges) == sorted(expected)


def test_texts_without_tokens_share_no_key() -> None:
    # Their signatures are equal, and they resemble nothing.
    table = corpus(["", "...", "\u3000", "!"])
    keys = [key for batch in sketched(table, DedupPolicy()) for row in batch["keys"].to_pylist() for key in row]
    assert len(keys) == len(set(keys)) == 4


def test_one_id_for_two_texts_is_told() -> None:
    table = corpus(["one two three", "one two four", "five", "one two three"], batches=["b1"] * 4)
    table = table.set_column(0, "id", pa.array(["x", "x", "y", "x"]))
    found = decided(sketched(table, DedupPolicy()), DedupPolicy())
    assert np.any(found.filter(pa.array(found["id"].to_numpy() == "x"))["clash"].to_numpy())
    assert not np.any(found.filter(pa.array(found["id"].to_numpy() == "y"))["clash"].to_numpy())


def test_rows_that_are_not_current_have_no_key() -> None:
    table = corpus(["one two three four five six"] * 2).append_column("why", pa.array(["superseded", None]))
    (made,) = sketch_rows(table.combine_chunks().to_batches(), SignatureConfig())
    assert [len(keys) for keys in made["keys"].to_pylist()] == [0, 26]
    assert [len(found) for found in made["sets"].to_pylist()] == [0, 16]
    assert made["bytes"].to_pylist() == [None, 27]
