"""Splits: nothing straddles, growth moves nothing."""

from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.instructions.split import SplitConfig, assign, plan_splits

CONFIG = SplitConfig(validation=0.3, test=0.3, largest_held_out=1.0)
Row = tuple[str, str, str]
Edge = tuple[str, str, float]


def documents(rows: list[Row]) -> pa.Table:
    return pa.table({name: [row[k] for row in rows] for k, name in enumerate(("id", "module", "batch"))})


def edges(rows: list[Edge]) -> pa.Table:
    types = {"left_id": pa.string(), "right_id": pa.string(), "jaccard": pa.float64()}
    return pa.table({name: pa.array([r[k] for r in rows], t) for k, (name, t) in enumerate(types.items())})


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[Row], list[Edge]]:
    count = draw(st.integers(1, 24))
    modules = draw(st.lists(st.integers(0, 11), min_size=count, max_size=count))
    batches = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    rows = [(f"d{i:02}", f"m{m}", f"b{b}") for i, (m, b) in enumerate(zip(modules, batches, strict=True))]
    names = st.sampled_from([row[0] for row in rows])
    pairs = draw(st.lists(st.tuples(names, names, st.sampled_from([0.4, 0.5, 0.9])), max_size=14))
    return rows, [(min(a, b), max(a, b), j) for a, b, j in pairs if a != b]


@given(corpora())
def test_no_module_no_pair_and_no_component_straddles(corpus: tuple[list[Row], list[Edge]]) -> None:
    rows, pairs = corpus
    plan = plan_splits(documents(rows), edges(pairs), CONFIG)
    module = {row[0]: row[1] for row in rows}
    assert set(plan.split) | set(plan.conflicts) == set(module)
    assert not set(plan.split) & set(plan.conflicts)
    assert set(plan.component) == set(plan.split)
    for key in (module, plan.component):
        assert len({(key[d], s) for d, s in plan.split.items()}) == len({key[d] for d in plan.split})
    for left, right, jaccard in pairs:
        if jaccard >= 0.5 and left in plan.split and right in plan.split:
            assert plan.split[left] == plan.split[right]
    for document, barring in plan.conflicts.items():
        assert barring in plan.split
        assert any({document, barring} == {a, b} and j >= 0.5 for a, b, j in pairs)


@given(corpora(), st.integers(0, 3))
def test_growth_moves_nothing(corpus: tuple[list[Row], list[Edge]], last: int) -> None:
    rows, pairs = corpus
    grown = plan_splits(documents(rows), edges(pairs), CONFIG)
    earlier = [row for row in rows if row[2] <= f"b{last}"]
    before = plan_splits(documents(earlier), edges(pairs), CONFIG)
    ids = {row[0] for row in earlier}
    assert before.split == {d: s for d, s in grown.split.items() if d in ids}
    assert before.component == {d: c for d, c in grown.component.items() if d in ids}
    assert set(before.conflicts) == set(grown.conflicts) & ids


@given(corpora(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(corpus: tuple[list[Row], list[Edge]], random: Random) -> None:
    rows, pairs = corpus
    shuffled, turned = list(rows), list(pairs)
    random.shuffle(shuffled)
    random.shuffle(turned)
    assert plan_splits(documents(rows), edges(pairs), CONFIG) == plan_splits(documents(shuffled), edges(turned), CONFIG)


def test_one_batch_keeps_every_document_and_joins_components() -> None:
    rows = [("a", "m1", "b"), ("b", "m2", "b"), ("c", "m2", "b"), ("d", "m3", "b"), ("e", "m4", "b")]
    plan = plan_splits(documents(rows), edges([("a", "b", 0.5), ("c", "d", 0.7), ("d", "e", 0.49)]), CONFIG)
    assert not plan.conflicts
    assert [plan.component[d] for d in "abcde"] == ["m1", "m1", "m1", "m1", "m4"]


def split_apart() -> tuple[str, str]:
    """Two module names that are assigned to different splits."""
    names = [f"m{i}" for i in range(50)]
    other = next(name for name in names if assign(name, CONFIG) != assign(names[0], CONFIG))
    return names[0], other


def test_a_document_that_bridges_two_splits_is_left_out_and_names_its_twin() -> None:
    one, two = split_apart()
    rows = [("a", one, "b1"), ("b", two, "b1"), ("bridge", "new", "b2"), ("free", "new", "b2")]
    plan = plan_splits(documents(rows), edges([("a", "bridge", 0.8), ("b", "bridge", 0.8)]), CONFIG)
    assert dict(plan.conflicts) == {"bridge": "b"}
    assert plan.split["free"] == plan.split["a"] == assign(one, CONFIG)


def test_batches_are_taken_in_the_order_given() -> None:
    one, two = split_apart()
    rows = [("a", one, "late"), ("b", two, "early"), ("c", "new", "x")]
    pairs = edges([("a", "c", 0.8), ("b", "c", 0.8)])
    assert "c" in plan_splits(documents(rows), pairs, CONFIG, ["early", "late", "x"]).conflicts
    joined = plan_splits(documents(rows), pairs, CONFIG, ["x", "early", "late"])
    assert len(set(joined.component.values())) == 1
    with pytest.raises(ValueError, match="late"):
        plan_splits(documents(rows), pairs, CONFIG, ["early", "x"])


def test_ratios_hold_over_many_components() -> None:
    config = SplitConfig()
    splits = [assign(f"package.module_{i}", config) for i in range(5_000)]
    assert splits.count("test") / 5_000 == pytest.approx(0.1, abs=0.015)
    assert splits.count("validation") / 5_000 == pytest.approx(0.1, abs=0.015)


def test_a_component_that_holds_most_of_the_corpus_is_not_held_out() -> None:
    config = SplitConfig(validation=0.1, test=0.8, largest_held_out=0.5)
    rows = [(f"d{i}", "big", "b") for i in range(9)] + [("other", "small", "b")]
    assert plan_splits(documents(rows), edges([]), config).split["d0"] == "train"


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="twice"):
        plan_splits(documents([("a", "m", "b"), ("a", "n", "b")]), edges([]), CONFIG)
    with pytest.raises(ValueError, match="train"):
        SplitConfig(validation=0.5, test=0.5)
