"""The pages of curation and of the profile: what they show, and that no document text leaves them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from ddd_llm.corpus.fairness import slice_rates
from ddd_llm.corpus.filters.policy import CurationPolicy
from ddd_llm.corpus.profile import profile
from ddd_llm.corpus.quality import judge
from ddd_llm.corpus.reports.curated import report_curated
from ddd_llm.corpus.reports.profile import report_profile
from ddd_llm.platform.step import Step

POLICY = CurationPolicy.model_validate(
    {"version": 1, "rules": [{"rule": "too_few_words", "least": 20}, {"rule": "lorem_ipsum"}]}
)


class Shown:
    """Where a step's report goes: the four things that reports use of a step."""

    def __init__(self) -> None:
        self.config = POLICY.model_dump(mode="json")
        self.settings = SimpleNamespace(assets=Path("."))
        self.summary: dict[str, Any] = {}
        self.pictures: dict[str, bytes] = {}
        self.html = ""

    def put_picture(self, name: str, png: bytes) -> None:
        assert len(png) < 120_000
        self.pictures[name] = png

    def put_report(self, html: str) -> None:
        self.html = html


def documents(texts: list[str]) -> pa.Table:
    number = len(texts)
    columns: dict[str, list[str]] = {
        "id": [f"id{i}" for i in range(number)],
        "source": [f"source{i % 2}" for i in range(number)],
        "locator": [f"place{i}" for i in range(number)],
        "batch": ["b"] * number,
        "media_type": ["text/plain"] * number,
        "language": ["en"] * number,
        "licence": ["MIT"] * number,
        "text": texts,
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


TEXTS = [f"secret{i} " + "word " * (n - 1) for i, n in enumerate([3, 10, 19, 20, 21, 60, 100])]
TEXTS.append("secret7 lorem ipsum " + "word " * 30 + "<script>alert(1)</script>")


def curated(texts: list[str], **more: Any) -> Shown:
    table, shown = documents(texts), Shown()
    found = judge(table, POLICY)
    rates = slice_rates(table, found.decisions, POLICY.fairness)
    report_curated(cast(Step, shown), found.kept, found.decisions, table, POLICY, found, rates, **more)
    return shown


def test_the_page_shows_rules_samples_and_fairness() -> None:
    shown = curated(TEXTS)
    for said in (
        "Nobody has approved version 1",
        POLICY.digest,
        "Gopher (50 words)",
        "Fairness of curation",
        "too few to tell",
    ):
        assert said in shown.html
    # Dropped (3 words), just failed (19), just passed (20, 21); not what is clearly kept (60, 100).
    for number, there in enumerate([True, True, True, True, True, False, False, True]):
        assert (f"secret{number} " in shown.html) == there
    assert "19 at a limit of 20" in shown.html
    assert "<script>" not in shown.html
    assert shown.summary["dropped_by_reason"] == {"too_few_words": 3, "lorem_ipsum": 1}
    assert shown.summary["borderline_documents"] == 3
    assert shown.summary["curation_standard"] == "version 1, not approved"
    assert {"funnel", "dropped_by_rule_and_source", "value_of_too_few_words"} <= set(shown.pictures)
    assert "secret" not in str(shown.summary)


def test_the_same_corpus_gives_the_same_page() -> None:
    assert curated(TEXTS).html == curated(TEXTS).html


@pytest.mark.parametrize("texts", [[], TEXTS[:1], TEXTS[5:6]])
def test_corpora_of_nothing_or_one(texts: list[str]) -> None:
    shown = curated(texts)
    assert shown.summary["documents_in"] == len(texts)


def test_documents_that_another_pass_dropped_are_counted() -> None:
    table, shown = documents(TEXTS), Shown()
    found = judge(table.slice(1), POLICY)
    first = pa.Table.from_pylist(
        [{**found.decisions.slice(0, 1).to_pylist()[0], "id": "id0", "verdict": "dropped", "reason": "contaminated"}],
        found.decisions.schema,
    )
    decisions = pa.concat_tables([first, found.decisions])
    rates = slice_rates(table, decisions, POLICY.fairness)
    report_curated(
        cast(Step, shown), found.kept, decisions, table, POLICY, found, rates, lambda page: page.heading("Another pass")
    )
    assert "Another pass" in shown.html
    assert shown.summary["dropped_by_reason"]["contaminated"] == 1


@pytest.mark.parametrize("texts", [[], TEXTS, [""]])
def test_profile_page(texts: list[str]) -> None:
    table, shown = documents(texts), Shown()
    report_profile(cast(Step, shown), profile(table), table)
    assert "secret" not in shown.html + str(shown.summary)
    assert shown.summary["documents"] == len(texts)
    assert ("lengths_by_source" in shown.pictures) == bool(texts)
