"""Agreement on spans against a character-by-character count; the table of agreement; the gate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.agreement.alpha import Estimate, Level, alpha
from ddd_llm.feedback.agreement.gate import AgreementPolicy, decide
from ddd_llm.feedback.agreement.measure import Rating, leave_one_out, measure, ratings_of
from ddd_llm.feedback.agreement.ratings import Ratings
from ddd_llm.feedback.agreement.spans import Marked, character_f1, span_alpha, span_f1

KINDS = ("wrong", "idle")
LENGTH = 12
span = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, LENGTH), st.sampled_from(KINDS)).filter(
    lambda s: s[0] < s[1]
)
annotation = st.lists(span, max_size=3)


def texts(annotations: list[list[list[tuple[int, int, str]]]]) -> list[Marked]:
    return [
        Marked(f"t{i}", f"a{j}", LENGTH, tuple(spans))
        for i, text in enumerate(annotations)
        for j, spans in enumerate(text)
    ]


@settings(max_examples=100)
@given(st.lists(st.lists(annotation, min_size=2, max_size=3), min_size=1, max_size=4), st.sampled_from([None, *KINDS]))
def test_span_alpha_is_alpha_over_characters(annotations: list, kind: str | None) -> None:
    rows = [
        (f"{m.item}:{at:02}", m.annotator, str(any(s <= at < e and kind in (None, k) for s, e, k in m.spans)))
        for m in texts(annotations)
        for at in range(LENGTH)
    ]
    expected = alpha(Ratings.from_rows(rows, ["False", "True"]), resamples=0).value
    found = span_alpha(texts(annotations), kind, resamples=0)
    assert found.items == len(annotations)
    if expected is None:
        assert found.value is None
    else:
        assert found.value == pytest.approx(expected, abs=1e-9)


@given(annotation, annotation)
def test_character_f1_counts_characters(one: list[tuple[int, int, str]], two: list[tuple[int, int, str]]) -> None:
    first, second = ({(at, kind) for start, end, kind in side for at in range(start, end)} for side in (one, two))
    expected = 2 * len(first & second) / (len(first) + len(second)) if first or second else 1.0
    assert character_f1(one, two) == pytest.approx(expected)
    assert character_f1(two, one) == pytest.approx(expected)


def test_exact_overlapping_and_missed_spans() -> None:
    pairs = [
        [[(0, 4, "wrong")], [(0, 4, "wrong")]],
        [[(0, 4, "wrong")], [(2, 6, "wrong")]],
        [[], []],
        [[(0, 2, "idle")], []],
    ]
    found = span_f1(texts(pairs))
    assert found.pairs == 4
    assert found.exact == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert found.overlap == pytest.approx((1 + 1 + 1 + 0) / 4)
    assert found.characters == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert span_f1(texts(pairs), "idle").exact == pytest.approx(3 / 4)
    assert span_f1([]).characters is None


def test_the_interval_resamples_texts() -> None:
    same = [[[(0, 5, "wrong")], [(0, 5, "wrong")]] for _ in range(10)] + [
        [[(0, 5, "wrong")], [(5, 10, "wrong")]] for _ in range(10)
    ]
    found = span_alpha(texts(same))
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.high - found.low > 0.3, "twenty texts, not two hundred and forty characters"


def labels() -> list[Rating]:
    rows = []
    for i in range(40):
        truth = ("good", "bad", "mixed")[i % 3]
        for name in ("ada", "ben", "cyd"):
            value = "good" if name == "cyd" and i % 4 == 0 else truth
            rows.append(Rating(f"i{i:02}", name, value, "1" if i < 20 else "2", "code" if i % 2 else "prose"))
    return rows


def test_the_table_has_a_row_for_everything_and_for_each_part() -> None:
    found = {row.scope: row for row in measure(labels(), resamples=100)}
    assert list(found) == [
        "all", "value bad", "value good", "value mixed", "version 1", "version 2", "slice code", "slice prose",
    ]  # fmt: skip
    assert found["all"].alpha.items == 40
    assert found["version 1"].alpha.items == found["slice code"].alpha.items == 20
    assert found["all"].annotators == 3
    for row in found.values():
        assert row.alpha.value is not None and row.alpha.low is not None
        assert row.alpha.low <= row.alpha.value
        assert row.fleiss is not None and row.cohen is not None
    assert found["slice code"].alpha.value == 1.0


def test_of_two_versions_of_a_label_the_later_counts() -> None:
    rows = [Rating("i", "a", "x", "9"), Rating("i", "a", "y", "10"), Rating("i", "b", "y", "9")]
    made = ratings_of(rows)
    assert [made.values[code] for code in made.codes[0]] == ["y", "y"]


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_leaving_out_whoever_disagrees_raises_agreement(level: Level) -> None:
    made = ratings_of(labels())
    found = {row.annotator: row for row in leave_one_out(made, level, resamples=200)}
    assert found["cyd"].change is not None and found["cyd"].low is not None
    assert found["cyd"].alpha == 1.0
    assert found["cyd"].change > 0 and found["cyd"].low > 0
    assert found["cyd"].labels == 40 and found["cyd"].items == 0
    rest = alpha(made.without("ada"), level, resamples=0).value
    assert rest is not None
    assert found["ada"].alpha == pytest.approx(rest)
    assert found["ada"].change is not None and found["ada"].change < 0


@pytest.mark.parametrize(
    ("estimate", "outcome", "said"),
    [
        (Estimate(0.8, 0.7, 0.9, 50, 100), "pass", "lower bound 0.700 on 50 items"),
        (Estimate(0.8, 0.59, 0.9, 50, 100), "fail", "asked: 95% lower bound of at least 0.60"),
        (Estimate(0.9, 0.8, 1.0, 29, 58), "insufficient", "29 items have two labels or more, 30 are needed"),
        (Estimate(None, None, None, 50, 100), "insufficient", "undefined on 50 items"),
        (Estimate(None, None, None, 0, 0), "insufficient", "0 items"),
        (Estimate(1.0, None, None, 50, 100), "insufficient", "undefined"),
    ],
)
def test_only_a_clear_pass_passes(estimate: Estimate, outcome: str, said: str) -> None:
    verdict = decide(estimate, AgreementPolicy())
    assert verdict.outcome == outcome
    assert verdict.passed == (outcome == "pass")
    assert said in verdict.sentence
