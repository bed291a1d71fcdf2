"""Licence expressions: the judgement agrees with a truth table, lists keep their order of strength, approvals their bounds."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.rights.licences import LicencePolicy, Verdict, canonical_licence

LEAVES = [
    "MIT",
    "Apache-2.0",
    "GPL-3.0-only",
    "MPL-2.0",
    "CC-BY-NC-4.0",
    "LicenseRef-Ours",
    "Apache-2.0 WITH LLVM-exception",
]
DAY = date(2026, 6, 1)


def policy(**lists: Any) -> LicencePolicy:
    return LicencePolicy.model_validate(lists)


def expressions() -> st.SearchStrategy[str]:
    def join(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        made = st.tuples(st.sampled_from([" AND ", " OR "]), st.lists(parts, min_size=2, max_size=3))
        return made.map(lambda pair: "(" + pair[0].join(pair[1]) + ")")

    return st.recursive(st.sampled_from(LEAVES), join, max_leaves=8)


def truth(expression: str, true: set[str]) -> bool:
    """Python's own and/or over the leaves: what an expression is worth if these leaves are granted."""
    names = "|".join(re.escape(leaf) for leaf in sorted(LEAVES, key=len, reverse=True))
    code = re.sub(names, lambda found: str(found.group() in true), expression)
    return bool(eval(code.replace("AND", "and").replace("OR", "or")))


verdicts = st.sampled_from(["allow", "deny", "review", None])


@given(expressions(), st.fixed_dictionaries(dict.fromkeys(LEAVES, verdicts)))
def test_the_judgement_is_that_of_a_truth_table(expression: str, said: dict[str, str | None]) -> None:
    lists = {name: [leaf for leaf, verdict in said.items() if verdict == name] for name in ("allow", "deny", "review")}
    plain = said["Apache-2.0"]
    if (
        said["Apache-2.0 WITH LLVM-exception"] is None
    ):  # the licence decides, and an unseen exception is at best in review
        said = said | {"Apache-2.0 WITH LLVM-exception": "deny" if plain == "deny" else "review"}
    allowed = {leaf for leaf, verdict in said.items() if verdict == "allow"}
    not_denied = {leaf for leaf, verdict in said.items() if verdict != "deny"}
    decision = policy(**lists).decide(expression, "s", DAY)
    assert (decision.verdict is Verdict.ALLOWED) == truth(expression, allowed)
    assert (decision.verdict is Verdict.DENIED) == (not truth(expression, not_denied))
    if decision.verdict is Verdict.ALLOWED:
        # What is relied upon is allowed, and enough for the whole.
        assert set(decision.chosen) <= allowed
        assert truth(expression, set(decision.chosen))
        assert decision.open == ()
    else:
        assert decision.open
        assert not set(decision.open) & allowed


def test_the_first_of_equal_alternatives_is_relied_upon() -> None:
    lists = policy(allow=["MIT", "Apache-2.0"], deny=["GPL-*"])
    assert lists.decide("GPL-3.0-only OR Apache-2.0 OR MIT", "s", DAY).chosen == ("Apache-2.0",)
    assert lists.decide("MIT AND (GPL-3.0-only OR Apache-2.0)", "s", DAY).chosen == ("MIT", "Apache-2.0")


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("MIT", Verdict.ALLOWED),
        ("mit", Verdict.ALLOWED),
        ("CC-BY-4.0", Verdict.ALLOWED),
        ("CC-BY-NC-4.0", Verdict.DENIED),
        ("CC-BY-NC-SA-3.0-IGO", Verdict.DENIED),
        ("CC-BY-SA-4.0", Verdict.REVIEW),
        ("GPL-2.0+", Verdict.DENIED),
        ("GPL-2.0", Verdict.DENIED),
        ("LicenseRef-Ours", Verdict.REVIEW),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Verdict.ALLOWED),
        ("GPL-3.0-only WITH Classpath-exception-2.0", Verdict.DENIED),
        ("MIT WITH LLVM-exception", Verdict.DENIED),
        ("Apache-2.0 WITH LLVM-exception", Verdict.DENIED),
        ("BSD-2-Clause", Verdict.ALLOWED),
        ("BSD-4-Clause", Verdict.DENIED),
        ("BSD-3-Clause-Clear", Verdict.REVIEW),
    ],
)
def test_lists_wildcards_and_exceptions(licence: str, verdict: Verdict) -> None:
    lists = policy(
        allow=["MIT", "CC-BY-4.0", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", "BSD-*"],
        deny=["CC-BY-NC-*", "GPL-*", "* WITH LLVM-exception", "BSD-4-Clause"],
        review=["BSD-3-Clause-Clear"],
    )
    assert lists.decide(licence, "s", DAY).verdict is verdict


def test_an_exception_nobody_looked_at_needs_review_and_never_mends_a_denial() -> None:
    lists = policy(allow=["MIT", "GPL-2.0-only"], deny=["GPL-3.0-only"])
    assert lists.decide("GPL-2.0-only WITH Classpath-exception-2.0", "s", DAY).verdict is Verdict.REVIEW
    assert lists.decide("GPL-3.0-only WITH GCC-exception-3.1", "s", DAY).verdict is Verdict.DENIED


def test_deny_is_stronger_than_allow_whatever_is_more_exact() -> None:
    assert policy(allow=["GPL-3.0-only"], deny=["GPL-*"]).decide("GPL-3.0-only", "s", DAY).verdict is Verdict.DENIED
    assert policy(allow=["MIT"], review=["MIT"]).decide("MIT", "s", DAY).verdict is Verdict.REVIEW


def test_an_empty_policy_allows_nothing() -> None:
    assert policy().decide("MIT OR CC0-1.0", "s", DAY).verdict is Verdict.REVIEW


APPROVAL = {
    "id": "A-1", "licence": "MPL-2.0", "sources": ["handbook"], "approved_by": "somebody", "approved_on": "2026-03-01",
    "expires_on": "2026-09-01", "evidence": "memo 7",
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "day", "verdict"),
    [
        ("handbook", date(2026, 2, 28), Verdict.REVIEW),
        ("handbook", date(2026, 3, 1), Verdict.ALLOWED),
        ("handbook", date(2026, 8, 31), Verdict.ALLOWED),
        ("handbook", date(2026, 9, 1), Verdict.REVIEW),
        ("handbook", None, Verdict.REVIEW),
        ("another", date(2026, 3, 1), Verdict.REVIEW),
    ],
)
def test_an_approval_counts_for_its_sources_and_days(source: str, day: date | None, verdict: Verdict) -> None:
    lists = policy(allow=["MIT"], review=["MPL-2.0"], approvals=[APPROVAL])
    decision = lists.decide("MIT AND MPL-2.0", source, day)
    assert decision.verdict is verdict
    assert decision.approvals == (("A-1",) if verdict is Verdict.ALLOWED else ())


def test_an_approval_never_lifts_a_denial() -> None:
    lists = policy(deny=["MPL-2.0"], approvals=[APPROVAL])
    assert lists.decide("MPL-2.0", "handbook", DAY).verdict is Verdict.DENIED


@pytest.mark.parametrize(
    "wrong",
    [
        {"allow": ["*"]},
        {"allow": ["M*"]},
        {"allow": ["LicenseRef-*"]},
        {"allow": ["Apache-2.0 WITH *"]},
        {"allow": ["MIT OR Apache-2.0"]},
        {"allow": ["MITT"]},
        {"deny": ["CC-BY-NX-*"]},
        {"deny": ["(a)*"]},
        {"review": [""]},
        {"approvals": [APPROVAL | {"licence": "MPL-*"}]},
        {"approvals": [APPROVAL | {"evidence": " "}]},
        {"approvals": [APPROVAL | {"approved_on": 20260301}]},
        {"approvals": [APPROVAL | {"sources": []}]},
        {"approvals": [APPROVAL, APPROVAL]},
    ],
)
def test_what_is_too_wide_misspelt_or_without_evidence_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "BSD",
        "MIT AND",
        "(MIT",
        "",
        "  ",
        "Apache-2.0+",
        "MIT WITH MIT",
        "NONE",
        "NOASSERTION",
        "MIT OR " * 2000 + "MIT",
    ],
)
def test_what_is_no_spdx_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="SPDX"):
        canonical_licence(wrong)


def test_deep_nesting_is_judged() -> None:
    deep = "(" * 900 + "MIT" + ")" * 900
    assert policy(allow=["MIT"]).decide(deep, "s", DAY).verdict is Verdict.ALLOWED
    chain = "MIT AND (MIT OR (" * 120 + "MIT" + "))" * 120
    assert policy(allow=["MIT"]).decide(chain, "s", DAY).verdict is Verdict.ALLOWED
