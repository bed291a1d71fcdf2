"""Gold questions, Dawid and Skene, and the causes of disagreement, on annotators whose habits are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ddd_llm.feedback.adjudication import of_calibrated
from ddd_llm.feedback.agreement.dawid_skene import dawid_skene
from ddd_llm.feedback.agreement.disagreement import explain
from ddd_llm.feedback.agreement.gold import GoldPolicy, calibrate
from ddd_llm.feedback.agreement.measure import Rating, measure
from ddd_llm.feedback.agreement.ratings import Ratings
from ddd_llm.feedback.measures import annotators_table, confusion_table, measure_labels
from ddd_llm.feedback.preferences.policy import AlignmentPlan
from ddd_llm_tests.feedback.samples import VALUES, guideline, item, label

PLAN = AlignmentPlan(version=1)

CONFUSIONS = {
    "good": [[0.95, 0.03, 0.02], [0.03, 0.94, 0.03], [0.02, 0.03, 0.95]],
    "fair": [[0.80, 0.10, 0.10], [0.10, 0.80, 0.10], [0.10, 0.10, 0.80]],
    "lazy": [[0.90, 0.05, 0.05], [0.60, 0.35, 0.05], [0.55, 0.05, 0.40]],  # says the first class
    "swap": [[0.10, 0.85, 0.05], [0.85, 0.10, 0.05], [0.05, 0.05, 0.90]],  # has two classes exchanged
}


def simulated(items: int = 600, seed: int = 0) -> tuple[Ratings, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.choice(3, items, p=[0.5, 0.3, 0.2])
    rows = [
        (f"i{i:04}", name, str(random.choice(3, p=table[truth[i]])))
        for i in range(items)
        for name, table in CONFUSIONS.items()
        if random.random() < 0.9
    ]
    return Ratings.from_rows(rows, ["0", "1", "2"]), truth


def test_dawid_skene_finds_habits_and_truth() -> None:
    ratings, truth = simulated()
    found = dawid_skene(ratings)
    assert found.converged
    for i, name in enumerate(ratings.annotators):
        assert np.abs(found.confusion[i] - np.array(CONFUSIONS[name])).max() < 0.12, name
    right = (found.posterior.argmax(1) == truth).mean()
    majority = (ratings.counts.argmax(1) == truth).mean()
    assert right > 0.93 > majority
    assert found.prior == pytest.approx([0.5, 0.3, 0.2], abs=0.06)
    assert found.posterior.sum(1) == pytest.approx(np.ones(len(truth)))


def test_what_it_settles_on_explains_the_labels_best() -> None:
    """Independent oracle: the likelihood of labels, summed over classes directly, is lower for neighbouring parameters."""
    ratings, _ = simulated(120)
    found = dawid_skene(ratings, smoothing=1e-9, tolerance=1e-10)

    def likelihood(prior: np.ndarray, confusion: np.ndarray) -> float:
        total = 0.0
        for row in ratings.codes:
            total += float(
                np.log(
                    sum(prior[t] * np.prod([confusion[a, t, g] for a, g in enumerate(row) if g >= 0]) for t in range(3))
                )
            )
        return total

    best = likelihood(found.prior, found.confusion)
    assert best == pytest.approx(found.log_likelihood, abs=1e-3)
    random = np.random.default_rng(1)
    for _ in range(20):
        moved = found.confusion * np.exp(random.normal(0, 0.05, found.confusion.shape))
        prior = found.prior * np.exp(random.normal(0, 0.05, 3))
        assert likelihood(prior / prior.sum(), moved / moved.sum(2, keepdims=True)) < best


def test_nothing_to_estimate_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no labels"):
        dawid_skene(Ratings.from_rows([], ["x"]))


def test_gold_answers_decide_who_may_label() -> None:
    gold = {f"g{i}": "yes" if i % 2 else "no" for i in range(20)}
    labels = [(item, "sure", value) for item, value in gold.items()]
    labels += [(item, "guess", "yes") for item in gold]
    labels += [("g0", "new", "no"), ("other", "silent", "yes")]
    rows = {row.annotator: row for row in calibrate(labels, gold, GoldPolicy())}
    assert {name: row.assignable for name, row in rows.items()} == {
        "sure": True, "guess": False, "new": False, "silent": False,
    }  # fmt: skip
    assert (rows["guess"].right, rows["guess"].answers) == (10, 20)
    assert rows["guess"].confusion == {("yes", "yes"): 10, ("no", "yes"): 10}
    assert "lower bound 0.30 is under 0.60" in rows["guess"].why
    assert "too few gold answers to tell: 1 of 8" in rows["new"].why
    assert (rows["silent"].low, rows["silent"].high) == (0.0, 1.0)
    assert rows["sure"].low == pytest.approx(0.839, abs=1e-3)  # Wilson interval of 20 of 20


def test_a_part_of_two_items_is_insufficient_and_no_error() -> None:
    rows = [Rating(f"i{n}", who, "yes", slice="large" if n < 6 else "small") for n in range(8) for who in "abc"]
    found = {part.scope: part for part in measure(rows, ["no", "yes"])}
    assert (found["slice small"].alpha.items, found["slice large"].alpha.items) == (2, 6)
    assert measure(rows[-6:], ["no", "yes"])[0].annotators == 3


def test_marked_spans_are_told_by_slice_and_without_each_annotator() -> None:
    shown = [item("spans", prompt=f"{n}?", slice="ab"[n % 2]) for n in range(8)]
    far = {"spans": [{"start": 0, "end": 3, "type": "irrelevant"}]}
    given = [label(of, who) for of in shown for who in ("ada", "ben")]
    given += [label(of, "cyd", far if of.slice == "b" else None) for of in shown]
    (found,) = measure_labels(given, {of.id: of for of in shown}, {"by-spans": guideline("spans")}, PLAN)
    parts = {part.scope: part.alpha.value for part in found.agreement}
    everything = parts["all"]
    assert parts["slice a"] == 1.0 and everything is not None and (parts["slice b"] or 0) < everything < 1
    without = {row.annotator: row for row in found.left_out}
    assert without["cyd"].alpha == 1.0 and without["cyd"].change == pytest.approx(1 - everything)
    assert (without["ada"].change or 0) < 0 and without["ada"].labels == 8


def test_what_is_taken_for_what_is_told_by_gold_and_by_all_labels() -> None:
    shown = [item(prompt=f"{n}?", gold='{"choice":"right"}' if n < 8 else None) for n in range(40)]
    truth = ["right" if n % 2 or n < 8 else "wrong" for n in range(40)]
    given = [label(of, who, {"choice": said}) for of, said in zip(shown, truth, strict=True) for who in ("ada", "ben")]
    given += [label(of, "cyd", {"choice": "right"}) for of in shown]
    (found,) = measure_labels(given, {of.id: of for of in shown}, {"by-choice": guideline()}, PLAN)
    rows = {(r["annotator"], r["against"], r["known"], r["given"]): r for r in confusion_table([found]).to_pylist()}
    assert rows["cyd", "gold", "right", "right"]["times"] == 8
    assert rows["cyd", "dawid_skene", "wrong", "right"]["share"] > 0.9
    assert rows["ada", "dawid_skene", "wrong", "wrong"]["share"] > 0.9


def test_marked_spans_are_held_against_known_ones() -> None:
    gold = json.dumps(VALUES["spans"])
    shown = [item("spans", prompt=f"{n}?", gold=gold) for n in range(10)]
    far = {"spans": [{"start": 0, "end": 3, "type": "irrelevant"}]}
    given = [label(of, who, value) for of in shown for who, value in (("sure", VALUES["spans"]), ("off", far))]
    (found,) = measure_labels(given, {of.id: of for of in shown}, {"by-spans": guideline("spans")}, PLAN)
    assert {c.annotator: (c.right, c.answers, c.assignable) for c in found.calibration} == {
        "sure": (10, 10, True),
        "off": (0, 10, False),
    }
    judged = annotators_table([found]).to_pylist()
    assert of_calibrated(given, judged) == [one for one in given if one.annotator == "sure"], "they do not count"
    told = {
        (r["annotator"], r["known"], r["given"]): (r["share"], r["times"]) for r in confusion_table([found]).to_pylist()
    }
    assert told == {("sure", "agrees", "agrees"): (1.0, 10), ("off", "agrees", "differs"): (1.0, 10)}
    few = measure_labels(given[:4], {of.id: of for of in shown}, {"by-spans": guideline("spans")}, PLAN)
    assert len(of_calibrated(given[:4], annotators_table(few).to_pylist())) == 4, "two answers show nothing"


def test_disagreement_is_split_by_cause_and_named_by_section() -> None:
    rows, sections = [], {}
    for i in range(60):
        value = "yes" if i % 2 else "no"
        for name in ("a", "b", "c", "d"):
            said = value
            if i < 8:  # two against two: nobody can tell
                said = "yes" if name in "ab" else "no"
                sections[f"i{i:02}", name] = ("edge-case",)
            elif name == "d" and i % 5 == 0:
                said = "no" if value == "yes" else "yes"
                sections[f"i{i:02}", name] = ("definition",)
            rows.append((f"i{i:02}", name, said))
    found = explain(Ratings.from_rows(rows), sections)
    ambiguous = {item.item for item in found.items if item.cause == "ambiguous_item"}
    erring = {item.item: item.erring for item in found.items if item.cause == "annotator_error"}
    assert ambiguous <= {f"i{i:02}" for i in range(8)}
    assert {f"i{i:02}" for i in range(10, 60, 5)} <= erring.keys()
    assert all(erring[f"i{i:02}"] == ("d",) for i in range(10, 60, 5))
    assert found.compared == 60
    assert found.errors["d"][0] >= 10 > found.errors["a"][0]
    worst = found.sections[0]
    assert {row.section for row in found.sections} == {"edge-case", "definition"}
    assert worst.labels >= worst.ambiguous + worst.errors > 0
    definition = next(row for row in found.sections if row.section == "definition")
    assert (definition.labels, definition.errors, definition.rate) == (10, 10, 1.0)


def test_no_two_labels_no_disagreement() -> None:
    found = explain(Ratings.from_rows([("i", "a", "x"), ("j", "b", "y")]))
    assert (found.items, found.compared, found.estimates) == ((), 0, None)
