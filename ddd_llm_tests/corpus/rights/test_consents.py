"""Consents: states by day, parties, withdrawals that nothing earlier survives."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.rights.consents import (
    Consent,
    ConsentRegister,
    Purpose,
    State,
    last_change,
    missing_consent,
    withdrawal,
)

START = date(2026, 1, 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


def consent(number: int = 0, **fields: Any) -> Consent:
    given: dict[str, Any] = {
        "id": f"C-{number}", "sources": ["letters"], "purposes": ["training"], "given_on": day(0), "evidence": "form",
    }  # fmt: skip
    return Consent.model_validate({**given, **fields})


@pytest.mark.parametrize(
    ("as_of", "state"),
    [
        (None, State.NOT_YET_GIVEN),
        (day(9), State.NOT_YET_GIVEN),
        (day(10), State.LIVE),
        (day(19), State.LIVE),
        (day(20), State.WITHDRAWN),
        (day(40), State.WITHDRAWN),
    ],
)
def test_states(as_of: date | None, state: State) -> None:
    assert consent(given_on=day(10), withdrawn_on=day(20), expires_on=day(30)).state(as_of) is state


def test_it_expires_on_its_day() -> None:
    one = consent(expires_on=day(5))
    assert [one.state(day(number)) for number in (4, 5)] == [State.LIVE, State.EXPIRED]


@pytest.mark.parametrize(
    ("entries", "as_of", "reason"),
    [
        ([], day(5), "no_consent"),
        ([consent()], None, "consent_not_yet_given"),
        ([consent(given_on=day(6))], day(5), "consent_not_yet_given"),
        ([consent()], day(0), None),
        ([consent(purposes=["evaluation", "research"])], day(5), "consent_not_for_training"),
        ([consent(expires_on=day(5))], day(5), "consent_expired"),
        ([consent(expires_on=day(5)), consent(1, given_on=day(5))], day(5), None),  # renewed
        ([consent(withdrawn_on=day(5))], day(5), "consent_withdrawn"),
        ([consent(withdrawn_on=day(6))], day(5), None),
        ([consent(withdrawn_on=day(5)), consent(1, given_on=day(7))], day(8), None),  # given anew
        ([consent(withdrawn_on=day(5)), consent(1, given_on=day(3))], day(8), "consent_withdrawn"),
        ([consent(withdrawn_on=day(5)), consent(1, given_on=day(5))], day(8), "consent_withdrawn"),
        ([consent(withdrawn_on=day(5), purposes=["retrieval"]), consent(1)], day(8), None),
        # Two people in one document: each has a say.
        ([consent(subject="a"), consent(1, subject="b")], day(1), None),
        ([consent(subject="a"), consent(1, subject="b", withdrawn_on=day(1))], day(1), "consent_withdrawn"),
        ([consent(subject="a"), consent(1, subject="b", expires_on=day(1))], day(1), "consent_expired"),
        ([consent(), consent(1, subject="b", purposes=["retrieval"])], day(1), "consent_not_for_training"),
    ],
)
def test_what_several_entries_add_up_to(entries: list[Consent], as_of: date | None, reason: str | None) -> None:
    found = missing_consent(entries, as_of)
    assert (found[0] if found else None) == reason
    assert (withdrawal(entries, as_of) is not None) == (reason == "consent_withdrawn")


spans = st.tuples(
    st.integers(0, 8), st.none() | st.integers(0, 8), st.none() | st.integers(0, 8), st.sampled_from(["a", "b", None])
)


def entries_of(spans: list[tuple[int, int | None, int | None, str | None]]) -> list[Consent]:
    return [
        consent(
            number,
            given_on=day(begin),
            expires_on=None if lasts is None else day(begin + lasts),
            withdrawn_on=None if until is None else day(begin + until),
            subject=subject,
        )
        for number, (begin, lasts, until, subject) in enumerate(spans)
    ]


@given(st.lists(spans, max_size=4), st.integers(0, 20))
def test_the_judgement_agrees_with_the_rules_written_out(
    spans: list[tuple[int, int | None, int | None, str | None]], number: int
) -> None:
    today = day(number)
    entries = entries_of(spans)
    permitted = bool(entries)
    for subject in {entry.subject for entry in entries}:
        own = [entry for entry in entries if entry.subject == subject]
        withdrawals = [e.withdrawn_on for e in own if e.withdrawn_on is not None and e.withdrawn_on <= today]
        running = [
            e
            for e in own
            if e.given_on <= today
            and (e.expires_on is None or today < e.expires_on)
            and (e.withdrawn_on is None or today < e.withdrawn_on)
            and all(e.given_on > ended for ended in withdrawals)
        ]
        permitted = permitted and bool(running)
    assert (missing_consent(entries, today) is None) == permitted


@given(st.lists(spans, max_size=4), st.integers(0, 20))
def test_between_two_changes_of_state_nothing_differs(
    spans: list[tuple[int, int | None, int | None, str | None]], number: int
) -> None:
    entries = entries_of(spans)
    changes = [one for entry in entries for one in entry.days()]
    as_of = last_change(changes, day(number))
    assert missing_consent(entries, as_of) == missing_consent(entries, day(number))
    assert [entry.state(as_of) for entry in entries] == [entry.state(day(number)) for entry in entries]
    assert as_of is None or as_of <= day(number)


@pytest.mark.parametrize(
    "wrong",
    [
        {"given_on": day(5), "withdrawn_on": day(4)},
        {"given_on": day(5), "expires_on": day(4)},
        {"given_on": None},
        {"given_on": 20260101},
        {"given_on": "01.02.2026"},
        {"sources": []},
        {"locators": []},
        {"locators": ["/etc/*"]},
        {"purposes": []},
        {"purposes": ["profit"]},
        {"evidence": " "},
        {"id": "jane@example.org"},
        {"surprise": 1},
    ],
)
def test_an_entry_that_is_ill_formed_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        consent(**wrong)


def test_ids_are_unique() -> None:
    with pytest.raises(ValidationError, match="share the id C-0"):
        ConsentRegister(version=1, consents=(consent(), consent(purposes=[Purpose.RESEARCH])))
