"""Identifiers in feedback: texts change as documents do, and what was marked stays marked."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser, Replacement
from ddd_llm.feedback.labels import Item, Label, SpansValue
from ddd_llm.feedback.masking import without_identifiers
from ddd_llm.feedback.reading import read_feedback
from ddd_llm.feedback.records import Adjudication, checked, line_of
from ddd_llm_tests.feedback.samples import VERSIONS, item, items, label, labels

ADDRESS = re.compile(r"[a-z]+@[a-z]+")


class Shorter:
    """Addresses to a token that is sometimes shorter and sometimes longer than they are."""

    def apply(self, text: str) -> tuple[str, list[Replacement]]:
        found = [Replacement("EMAIL", *one.span()) for one in ADDRESS.finditer(text)]
        return ADDRESS.sub("<AT_5>", text), found


words = st.lists(st.sampled_from(["a@b", "long.a@bcdefgh", "and", "x", "¶ é"]), max_size=8)


@st.composite
def marked(draw: st.DrawFn) -> tuple[Item, Label]:
    text = draw(st.sampled_from([" ", ""])).join(draw(words)) + "."
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    of = item("spans", responses=(text,), passage=text)
    value = {
        "spans": [{"start": start, "end": end, "type": "irrelevant", "note": "by a@b"}],
        "missing": [{"type": "missing-minor", "text": "ask a@b", "where": [start, end]}],
        "corrected": "a@b.",
    }
    return of, label(of, value=value, rationale="a@b says so")


@given(marked())
def test_what_was_marked_stays_marked(given_: tuple[Item, Label]) -> None:
    of, made = given_
    (first, second), _ = without_identifiers([("f", "1", of), ("f", "2", made)], Shorter())
    changed, after = first[2], second[2]
    assert isinstance(changed, Item) and isinstance(after, Label) and isinstance(made.value, SpansValue)
    assert isinstance(after.value, SpansValue)
    assert after.item_id == changed.id
    old, new = of.responses[0], changed.responses[0]
    assert new == changed.passage == ADDRESS.sub("<AT_5>", old)
    (before,), (span,) = made.value.spans, after.value.spans
    # The oracle: widen the old stretch to whole addresses, then replace within it and before it.
    start, end = before.start, before.end
    for one in ADDRESS.finditer(old):
        if one.start() < end and start < one.end():
            start, end = min(start, one.start()), max(end, one.end())
    assert (span.start, span.end) == (
        len(ADDRESS.sub("<AT_5>", old[:start])),
        len(ADDRESS.sub("<AT_5>", old[:start])) + len(ADDRESS.sub("<AT_5>", old[start:end])),
    )
    assert after.value.missing[0].where == (span.start, span.end)
    told = [span.note, after.value.missing[0].text, after.value.corrected, after.rationale]
    assert told == ["by <AT_5>", "ask <AT_5>", "<AT_5>.", "<AT_5> says so"]


@given(st.data())
def test_feedback_without_identifiers_stays_as_it_is(data: st.DataObject) -> None:
    of = data.draw(items())
    entries = [("f", "1", of), ("f", "2", data.draw(labels(of)))]
    assert without_identifiers(entries, Nothing()) == (entries, 0)


class Nothing:
    def apply(self, text: str) -> tuple[str, list[Replacement]]:
        return text, []


@pytest.mark.parametrize(("start", "end"), [(-3, 2), (0, 99), (4, 4), (6, 5), (50, 60)])
def test_a_span_that_marks_nothing_is_refused_as_before(start: int, end: int, tmp_path) -> None:
    of = item("spans", responses=("ask a@b now",))
    made = label(of, value={"spans": [{"start": start, "end": end, "type": "irrelevant"}]})
    path = tmp_path / "a.jsonl"
    path.write_bytes(line_of(of) + line_of(made))
    plain, masked = (read_feedback([path], VERSIONS, masks=masks) for masks in (None, Shorter()))
    assert [row[2] for row in plain.quarantine] == [row[2] for row in masked.quarantine] != []
    assert plain.labels == masked.labels == []


def test_labels_of_items_that_are_elsewhere_are_masked_too_and_parts_of_one_identifier_become_one(tmp_path) -> None:
    of = item("spans", responses=("ask ab@cd ef@gh now",))
    both = label(
        of,
        value={
            "spans": [
                {"start": 4, "end": 6, "type": "irrelevant", "note": "name"},
                {"start": 13, "end": 14, "type": "irrelevant", "note": "end"},
                {"start": 7, "end": 12, "type": "irrelevant", "note": "middle"},
            ],
            "corrected": "ask a@b",
        },
    )
    path = tmp_path / "a.jsonl"
    path.write_bytes(line_of(of) + line_of(both))
    found = read_feedback([path], VERSIONS, masks=Shorter())
    assert found.quarantine == []
    (made,) = found.labels
    assert isinstance(made.value, SpansValue)
    ((start, end, note),) = [(one.start, one.end, one.note) for one in made.value.spans]
    assert (start, end, note) == (4, 17, "name; end; middle")
    ((_, _, alone),), _ = without_identifiers([("f", "1", both)], Shorter())
    assert isinstance(alone, Label) and isinstance(alone.value, SpansValue)
    assert (alone.item_id, alone.value.corrected) == (of.id, "ask <AT_5>")
    assert [(one.start, one.end) for one in alone.value.spans] == [(4, 6), (13, 14), (7, 12)]


def test_gold_answers_decisions_and_repeated_items_follow(tmp_path) -> None:
    gold = '{"spans":[{"start":4,"end":7,"type":"irrelevant"}],"missing":[],"corrected":null}'
    plain = item("spans", responses=("ask a@b now",))
    known = plain.model_copy(update={"gold": gold})
    decided = checked(
        Adjudication,
        {
            "item_id": plain.id, "guideline": "by-spans", "guideline_version": "1", "kind": "spans", "adjudicator": "olga",
            "value": {"spans": [{"start": 4, "end": 11, "type": "irrelevant"}]}, "rationale": "a@b",
        },
    )  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(map(line_of, (known, plain, decided))))
    found = read_feedback([path], VERSIONS, masks=Shorter())
    (one,) = found.items.values()
    assert (one.responses, found.identifiers, found.quarantine) == (("ask <AT_5> now",), 1, [])
    assert isinstance(one.known, SpansValue) and (one.known.spans[0].start, one.known.spans[0].end) == (4, 10)
    (decision,) = found.decisions
    assert isinstance(decision.value, SpansValue)
    assert (decision.item_id, decision.rationale) == (one.id, "<AT_5>")
    assert (decision.value.spans[0].start, decision.value.spans[0].end) == (4, 14)


def test_the_product_s_own_pseudonyms(tmp_path) -> None:
    of = item("spans", responses=("Write to ada.lovelace@example.org, or call +44 20 7946 0958.",))
    made = label(of, value={"spans": [{"start": 9, "end": 33, "type": "irrelevant"}]})
    path = tmp_path / "a.jsonl"
    path.write_bytes(line_of(of) + line_of(made))
    found = read_feedback([path], VERSIONS, masks=Pseudonymiser(b"k" * 32))
    (one,), (told,) = found.items.values(), found.labels
    assert isinstance(told.value, SpansValue)
    span = told.value.spans[0]
    assert re.fullmatch(r"Write to <EMAIL_\w{10}>, or call <PHONE_\w{10}>\.", one.responses[0])
    assert re.fullmatch(r"<EMAIL_\w{10}>", one.responses[0][span.start : span.end])
    assert found.identifiers == 2
