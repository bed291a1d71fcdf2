"""The election against a walk in plain Python, whatever the blocks and however candidates are found."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup import election
from ddd_llm.corpus.dedup.candidates import group
from ddd_llm.corpus.dedup.election import elect
from ddd_llm.corpus.dedup.sets import TextSets
from ddd_llm.corpus.dedup.signatures import SignatureConfig, sketch
from ddd_llm_tests.corpus.dedup.strategies import set_similarity, similar_texts, small_text

CONFIG = SignatureConfig(bands=42, rows=3)
texts = st.lists(similar_texts() | small_text.filter(bool), min_size=1, max_size=25)


def oracle(
    texts: list[str], kept_before: int, bands: np.ndarray, threshold: float, least: int
) -> list[tuple[int, float]]:
    """(leader or -1, similarity) of each text from `kept_before` on."""
    kept, found = list(range(kept_before)), []
    for row in range(kept_before, len(texts)):
        near = [
            (-set_similarity(texts[row], texts[other]), other)
            for other in kept
            if int((bands[row] == bands[other]).sum()) >= least
        ]
        best = min(near, default=(0.0, -1))
        if -best[0] >= threshold:
            found.append((best[1], -best[0]))
        else:
            kept.append(row)
            found.append((-1, float("nan")))
    return found


@settings(max_examples=150)  # the first call compiles
@given(
    texts, st.integers(0, 5), st.sampled_from([0.5, 0.8, 1.0]), st.integers(1, 3), st.sampled_from([1, 2, 4, 2048]),
    st.sampled_from([1, 2, 3, 64]),
)  # fmt: skip
def test_is_the_greedy_leader(
    texts: list[str], history: int, threshold: float, least: int, block: int, large: int
) -> None:
    made = sketch(pa.array(texts), CONFIG)
    history = min(history, len(texts))
    rows = np.arange(len(texts) - history)
    groups = group([made.bands[:history]], made.bands[history:], rows, rows + history, least)
    earlier = int(np.searchsorted(groups.members, history))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(election, "_MOST_SETS", 2)  # so that blocks are cut
        found = elect(groups, earlier, TextSets(pa.array(texts), 5, 1), threshold, least, block, large)
    got = [(-1, float("nan"))] * len(texts)
    for place, member in enumerate(groups.members.tolist()):
        if found.leader[place] >= 0:
            got[member] = (int(groups.members[found.leader[place]]), float(found.similarity[place]))
    assert repr(got[history:]) == repr(oracle(texts, history, made.bands, threshold, least))


def test_copies_of_a_template_below_the_threshold_are_not_compared_pair_by_pair() -> None:
    template = [f"w{i}" for i in range(150)]
    texts = []
    for number in range(4000):
        words = list(template)
        for slot in range(0, 150, 12):
            words[slot] = f"x{number}y{slot}"
        texts.append(" ".join(words))
    asked: list[int] = []
    source = TextSets(pa.array(texts), 5, 1)

    def counting(rows: np.ndarray):
        asked.append(len(rows))
        return source(rows)

    made = sketch(pa.array(texts), SignatureConfig())
    groups = group([], made.bands, np.arange(len(texts)), np.arange(len(texts)))
    found = elect(groups, 0, counting, 0.8)
    assert groups.sizes.max() > 1000
    assert (found.leader == -1).all()
    assert sum(asked) <= 2.1 * len(texts)  # counted once, walked once
