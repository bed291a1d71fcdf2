"""The annotation page in a real browser: choices and preferences by keyboard, a killed server, two people, hostile texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ddd_llm.feedback.labels import ChoiceValue, PreferenceValue
from ddd_llm_tests.feedback.web.browser import begin, open_item, press, ready, save
from ddd_llm_tests.feedback.web.pages import KINDS, items, kept, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_choice_is_made_changed_and_reasoned_by_keyboard(
    browser: Browser, addresses: dict[str, str], journals: dict[str, Path]
) -> None:
    page = begin(browser, addresses["choice"], "Zoë B.")
    assert page.locator("#number").inner_text() == "1 of 3"
    press(page, "Enter")
    assert "Choose one first" in page.locator("#message").inner_text()
    press(page, "2", "g", "Space", "w")
    page.keyboard.type("Because\nit is.")
    press(page, "Escape")
    save(page)
    assert page.locator("#number").inner_text() == "2 of 3"
    (label,) = kept(journals["choice"], "choice", "Zoë B.")
    assert label.value == ChoiceValue(choice="wrong")
    assert (label.sections, label.rationale) == (("definitions",), "Because\nit is.")
    assert label.seconds is not None and label.labelled_at is not None
    ready(page)
    press(page, "ArrowLeft")
    page.locator("#number", has_text="1 of 3").wait_for()
    ready(page)
    assert page.locator("input[name=choice]:checked").input_value() == "wrong"
    press(page, "1", "ArrowRight")
    assert "not saved" in page.locator("#message").inner_text(), "arrows do not leave an answer behind"
    save(page)
    (label,) = kept(journals["choice"], "choice", "Zoë B.")
    assert label.value == ChoiceValue(choice="right")
    ready(page)
    press(page, "?")
    assert page.locator("dialog").is_visible()
    press(page, "Escape")
    assert not page.locator("dialog").is_visible()
    for _ in range(2):
        ready(page)
        press(page, "3")
        save(page)
    assert page.locator("h1").inner_text() == "All 3 are answered"


def test_a_preference_is_kept_by_the_items_order_whatever_order_was_shown(
    browser: Browser, addresses: dict[str, str], journals: dict[str, Path]
) -> None:
    seen = set()
    item = items("preference")[0]
    for name in ("ben", "cyd", "dan", "eve", "fay"):
        page = begin(browser, addresses["preference"], name)
        open_item(page, addresses["preference"], item.id)
        left_first = page.locator(".response").first.inner_text() == item.responses[0]
        press(page, "a", "5", "1")
        assert page.locator("fieldset.scores:focus-within").get_attribute("data-rubric") == "tone"
        press(page, "Enter")
        assert "Score both" in page.locator("#message").inner_text()
        press(page, "4", "2")
        save(page)
        (label,) = kept(journals["preference"], "preference", name)
        seen.add(label.shown)
        assert label.shown == ("first_second" if left_first else "second_first")
        scores = {"safety": (5, 1), "tone": (4, 2)} if left_first else {"safety": (1, 5), "tone": (2, 4)}
        preferred = "first" if left_first else "second"
        assert label.value == PreferenceValue(preferred=preferred, rubrics=scores)
        open_item(page, addresses["preference"], item.id)
        assert page.locator("input[name=preferred]:checked").input_value() == "a"
        assert page.locator(".scores :checked").evaluate_all("all => all.map(one => one.value)") == ["5", "1", "4", "2"]
    assert seen == {"first_second", "second_first"}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_stay_texts(browser: Browser, addresses: dict[str, str], kind: str) -> None:
    page = begin(browser, addresses[kind], "<b onclick=x>jo</b>")
    open_item(page, addresses[kind], items(kind)[-1].id)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, header b[onclick]").count() == 0
    for place in ("#prompt", "#passage", ".response >> nth=0"):
        shown = page.locator(place).inner_text()
        assert "<script>window.hacked = 1</script>" in shown
        assert "\u202e" not in shown and "\u2426" in shown, "what turns the direction round is drawn as a sign"
        assert "\x1b" not in shown and "\u241b" in shown
    assert page.locator(".who bdi").inner_text() == "<b onclick=x>jo</b>"


def test_a_killed_server_loses_nothing(browser: Browser, tmp_path: Path) -> None:
    journals = tmp_path / "choice"
    with served("choice", journals) as (address, process):
        page = begin(browser, address, "kim")
        press(page, "1")
        save(page)
        ready(page)
        press(page, "3")
        process.kill()
        process.wait()
        press(page, "Enter")
        page.locator("#message", has_text="does not answer").wait_for()
    assert len(kept(journals, "choice", "kim")) == 1
    with served("choice", journals, int(address.rsplit(":", 1)[1])):
        save(page)
        assert page.locator("#number").inner_text() == "3 of 3"
        assert page.locator(".progress .soft").inner_text() == "2 answered"
    assert sorted(label.value.model_dump()["choice"] for label in kept(journals, "choice", "kim")) == [
        "refused",
        "right",
    ]


def test_two_people_label_at_once(browser: Browser, addresses: dict[str, str], journals: dict[str, Path]) -> None:
    pages = {name: begin(browser, addresses["choice"], name) for name in ("lea", "max")}
    for step in range(3):
        for name, page in pages.items():
            ready(page)
            press(page, "1" if (name == "lea") == (step == 0) else "2")
            save(page)
    for name, choices in {"lea": ["right", "wrong", "wrong"], "max": ["right", "right", "wrong"]}.items():
        labels = kept(journals["choice"], "choice", name)
        assert sorted(label.value.model_dump()["choice"] for label in labels) == choices


def test_only_time_in_which_the_page_can_be_seen_counts(
    browser: Browser, addresses: dict[str, str], journals: dict[str, Path]
) -> None:
    page = begin(browser, addresses["choice"], "ned")
    page.clock.install()
    page.reload()
    ready(page)
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    before = page.evaluate("performance.now()")
    turn = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    turn += "document.dispatchEvent(new Event('visibilitychange')); }"
    page.clock.run_for(10_000)
    page.evaluate(turn, True)
    page.clock.run_for(600_000)
    page.evaluate(turn, False)
    page.clock.run_for(5_000)
    press(page, "1")
    save(page)
    (label,) = kept(journals["choice"], "choice", "ned")
    assert label.seconds is not None
    assert 15 <= label.seconds <= 15 + before / 1000 + 0.1
