"""Fairness of curation: slices, intervals against other implementations, planted disparities, and small slices."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.fairness import (
    RATES,
    TOO_FEW,
    FairnessPolicy,
    disparity_verdict,
    newcombe,
    slice_rates,
    wilson,
)
from ddd_llm.corpus.slices import slices

POLICY = FairnessPolicy()
CONFIG = POLICY.model_dump(mode="json")


def table(rows: list[tuple[str, str, str]]) -> pa.Table:
    """Rows of source, language, text."""
    source, language, text = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    columns = {"id": [str(i) for i in range(len(rows))], "source": source, "language": language, "text": text}
    return pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})


def decisions(kept: list[bool], reason: str = "a_rule") -> pa.Table:
    return pa.table(
        {
            "id": pa.array([str(i) for i in range(len(kept))], pa.string()),
            "verdict": pa.array(["kept" if k else "dropped" for k in kept], pa.string()),
            "reason": pa.array([None if k else reason for k in kept], pa.string()),
        }
    )


def by_slice(rates: pa.Table) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["dimension"], row["slice"]): row for row in rates.to_pylist()}


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("The colour is normalised.", "spelling", "British"),
        ("The color is normalized.", "spelling", "American"),
        ("The colour is normalized.", "spelling", "both"),
        ("The shade is fixed. A discolouration.", "spelling", "neither"),
        ("It ain't so.", "markers", "some"),
        ("Y’all could of known.", "markers", "some"),
        ("It is so; the saint said it.", "markers", "none"),
        ("Too short.", "readability", None),
        ("The cat sat. " * 12, "readability", "grade below 6"),
        ("Multidimensional regularisation necessitates considerable computational sophistication. " * 6, "readability",
         "grade 14 and above"),
    ],
)  # fmt: skip
def test_proxies(text: str, dimension: str, expected: str | None) -> None:
    assert slices(table([("s", "en", text)]))[dimension].to_pylist() == [expected]
    assert slices(table([("s", "de", text)]))[dimension].to_pylist() == [None]  # told of English only


def test_a_language_that_could_not_be_told_is_no_slice() -> None:
    assert slices(table([("s", "und", "x"), ("s", "de", "x")]))["language"].to_pylist() == [None, "de"]


@settings(max_examples=50)
@given(st.lists(st.text(alphabet="aeb.! \n", min_size=0, max_size=120), min_size=1, max_size=5))
def test_readability_is_flesch_kincaid(texts: list[str]) -> None:
    """Against a count by regular expressions; texts beside each other do not run into each other."""
    expected = []
    for text in texts:
        words, syllables = len(re.findall("[A-Za-z]+", text)), len(re.findall("[aeiouyAEIOUY]+", text))
        sentences = len(re.findall(r"[.!?](?=\s|$)", text))
        grade = 0.39 * words / max(1, sentences) + 11.8 * syllables / max(1, words) - 15.59
        names = ["grade below 6", "grade 6 to 10", "grade 10 to 14", "grade 14 and above"]
        expected.append(None if words < 30 else names[sum(grade >= top for top in (6, 10, 14))])
    found = slices(table([("s", "en", text) for text in texts]))
    assert found["readability"].to_pylist() == expected
    sliced = slices(table([("s", "en", "x y z. " * 20), *(("s", "en", text) for text in texts)]).slice(1))
    assert sliced["readability"].to_pylist() == expected


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_intervals_are_statsmodels(n: int, m: int, data: st.DataObject) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    z = 1.959963984540054
    interval = wilson(a, n, z)
    assert np.allclose(np.array(interval, float), proportion_confint(a, n, 0.05, "wilson"), atol=1e-9)
    gap = newcombe(a, n, b, m, z)
    assert gap[0] == a / n - b / m
    assert np.allclose(
        np.array(gap[1:], float), confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff"), atol=1e-9
    )


def planted(rest: int, rest_rate: float, slice_size: int, slice_rate: float) -> tuple[pa.Table, pa.Table]:
    """A corpus in which documents of British spelling are kept at `slice_rate`, the others at `rest_rate`."""
    rows = [(f"s{i % 3}", "en", "The color.") for i in range(rest)]
    rows += [(f"s{i % 3}", "en", "The colour.") for i in range(slice_size)]
    kept = [i < round(rest * rest_rate) for i in range(rest)]
    kept += [i < round(slice_size * slice_rate) for i in range(slice_size)]
    return table(rows), decisions(kept)


@pytest.mark.parametrize("rest_rate", [0.95, 0.8, 0.65])
def test_a_planted_slice_twenty_points_lower_is_named(rest_rate: float) -> None:
    documents, made = planted(2000, rest_rate, 120, rest_rate - 0.2)
    rates = slice_rates(documents, made, POLICY)
    row = by_slice(rates)["spelling", "British"]
    assert row["documents"] == 120 and row["verdict"] == "kept less"
    assert math.isclose(row["to_rest"], -0.2, abs_tol=0.005) and row["to_rest_high"] < 0
    passed, sentence, metadata = disparity_verdict(rates, CONFIG)
    assert not passed and "spelling British" in sentence and "a_rule" in sentence
    assert metadata["slices_kept_less"] == 1


def test_a_slice_that_is_treated_alike_is_not_named() -> None:
    documents, made = planted(2000, 0.9, 1000, 0.9)
    passed, sentence, _ = disparity_verdict(slice_rates(documents, made, POLICY), CONFIG)
    assert passed and sentence.startswith("None of ")


def test_a_small_slice_is_too_few_to_tell_and_never_fair() -> None:
    for size, rate in ((29, 0.0), (29, 0.9), (40, 0.88)):
        documents, made = planted(1000, 0.9, size, rate)
        rates = slice_rates(documents, made, POLICY)
        assert by_slice(rates)["spelling", "British"]["verdict"] == TOO_FEW
        assert "too few to tell" in disparity_verdict(rates, CONFIG)[1]


def test_where_nothing_can_be_told_the_check_fails() -> None:
    documents, made = planted(10, 0.9, 10, 0.9)
    for rates in (slice_rates(documents, made, POLICY), slice_rates(table([]), decisions([]), POLICY)):
        passed, sentence, _ = disparity_verdict(rates, CONFIG)
        assert not passed and "No slice is large enough" in sentence


def test_a_language_dropped_by_policy_is_no_disparity_of_languages_but_of_sources() -> None:
    rows = [("a", "en", "Text.")] * 500 + [("b", "es", "Texto.")] * 100
    made = decisions([True] * 500 + [False] * 100, "language_not_allowed")
    rates = by_slice(slice_rates(table(rows), made, POLICY))
    assert ("language", "es") not in rates
    assert rates["source", "b"]["verdict"] == "kept less"
    strict = FairnessPolicy(deliberate={})
    assert by_slice(slice_rates(table(rows), made, strict))["language", "es"]["verdict"] == "kept less"


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=60))
def test_rates_are_a_plain_count(rows: list[tuple[str, bool]]) -> None:
    documents = table([(source, "en", "Text.") for source, _ in rows])
    rates = slice_rates(documents, decisions([kept for _, kept in rows]), FairnessPolicy(dimensions=("source",)))
    assert rates.schema == RATES
    overall = sum(kept for _, kept in rows) / len(rows)
    assert [row["slice"] for row in rates.to_pylist()] == sorted({source for source, _ in rows})
    for row in rates.to_pylist():
        mine = [kept for source, kept in rows if source == row["slice"]]
        assert (row["documents"], row["kept"]) == (len(mine), sum(mine))
        assert math.isclose(row["rate"], sum(mine) / len(mine)) and math.isclose(row["overall"], overall)
        assert math.isclose(row["difference"], row["rate"] - overall, abs_tol=1e-12)
        assert row["verdict"] != "no disparity" or min(len(mine), len(rows) - len(mine)) >= POLICY.least_documents


def test_a_document_without_decision_is_refused() -> None:
    with pytest.raises(ValueError, match="1 documents have no decision"):
        slice_rates(table([("s", "en", "x"), ("s", "en", "y")]), decisions([True]), POLICY)
