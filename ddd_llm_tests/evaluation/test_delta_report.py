"""The delta report shows verdict, plots, both kinds of flips and the closed book apart; its plots and numbers hold no text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ddd_llm.evaluation.delta import compare
from ddd_llm.evaluation.gate import GatePolicy, decide
from ddd_llm.evaluation.report import delta_page, delta_plot, score_plot
from ddd_llm_tests.evaluation.helpers import Item, make_answers, make_suite, read_score, strong

POLICY = GatePolicy.model_validate(
    yaml.safe_load((Path(__file__).parents[2] / "assets" / "policies" / "gate.yaml").read_text(encoding="utf-8"))
)


def _page(items: list[Item], models: tuple[str, ...] = ("base", "tuned", "champion")) -> str:
    suite, answers = make_suite(items), {name: make_answers(items, name) for name in models}
    result = compare(suite, answers, read_score, resamples=199)
    return delta_page(suite, answers, result, decide(result, POLICY))


def test_page_says_what_was_decided_and_shows_both_kinds_of_flips() -> None:
    items = [*strong(), *(replace(item, slice="closed_book") for item in strong(8))]
    page = _page(items)
    assert "The gate passed" in page
    assert "Flipped for the better" in page
    assert "Flipped for the worse" in page
    assert "Closed book, reported apart" in page
    assert "against champion" in page
    assert page.count("data:image/png;base64,") == 3
    assert len(page) < 400_000
    assert page == _page(items)


def test_a_failed_gate_is_shown_with_its_reasons() -> None:
    page = _page(strong(20), ("base", "tuned"))
    assert "The gate did not pass: nothing is registered" in page
    assert "too few to tell" in page
    assert "champion" not in page.split("</style>")[1]


def test_questions_and_answers_are_shown_as_text() -> None:
    items = strong(8)
    suite = make_suite(items)
    hostile = suite["prompt"].to_pylist()
    hostile[2] = '[{"role":"user","content":"<script>alert(1)</script>"}]'
    suite = suite.set_column(suite.column_names.index("prompt"), "prompt", [hostile])
    answers = {name: make_answers(items, name) for name in ("base", "tuned")}
    result = compare(suite, answers, read_score, resamples=99)
    page = delta_page(suite, answers, result, decide(result, POLICY))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_an_empty_comparison_still_gives_a_page_but_no_plot() -> None:
    suite, answers = make_suite([]), {name: make_answers([], name) for name in ("base", "tuned")}
    result = compare(suite, answers, read_score)
    assert "nothing was compared" in delta_page(suite, answers, result, decide(result, POLICY))
    for plot in (delta_plot, score_plot):
        with pytest.raises(ValueError):
            plot(result)


def test_plots_are_small_enough_to_inline() -> None:
    items = strong()
    answers = {name: make_answers(items, name) for name in ("base", "tuned", "champion")}
    result = compare(make_suite(items), answers, read_score, resamples=199)
    assert len(delta_plot(result)) < 60_000
    assert len(score_plot(result)) < 60_000
