"""Marking in a real browser: spans by keyboard and mouse, missing information, corrections, positions in awkward texts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from ddd_llm.feedback.label_rules import splits_character
from ddd_llm.feedback.labels import SpansValue
from ddd_llm_tests.feedback.web.browser import begin, open_item, press, save
from ddd_llm_tests.feedback.web.pages import AWKWARD, HOSTILE, SCIENTIST, items, kept

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_spans_missing_information_and_a_correction_are_given_by_keyboard(
    browser: Browser, addresses: dict[str, str], journals: dict[str, Path]
) -> None:
    address, item = addresses["spans"], items("spans")[0]
    page = begin(browser, address, "gil")
    open_item(page, address, item.id)
    press(page, "1")
    assert "Select the words" in page.locator("#message").inner_text()
    press(page, "e", "Shift+ArrowRight", "1")
    assert page.locator("#spans q").inner_text() == SCIENTIST, "one key press takes the whole character"
    press(page, "Control+a", "1")
    assert "overlaps" in page.locator("#message").inner_text()
    press(page, "2", "Home", *["Control+ArrowRight"] * 2, "Shift+Control+ArrowRight", "2")
    assert "overlaps" in page.locator("#message").inner_text(), "within a marked part as well as around one"
    press(page, "1")
    press(page, *["Tab"] * 7)  # past two types and two rows of two controls, into the third row's note
    page.keyboard.type("not 1")
    press(page, "Escape", "p", "Shift+ArrowDown", "m", "Tab")
    page.keyboard.type("the number")
    press(page, "Escape", "c")
    page.keyboard.insert_text("!")
    save(page, "Control+Enter")
    (label,) = kept(journals["spans"], "spans", "gil")
    assert isinstance(label.value, SpansValue)
    text = item.responses[0]
    spans = [(text[span.start : span.end], span.type, span.note) for span in label.value.spans]
    assert spans == [
        (SCIENTIST, "irrelevant", ""),
        (text, "wrong-grounding", ""),
        ("cafe\u0301", "irrelevant", "not 1"),
    ]
    (missing,) = label.value.missing
    assert (missing.type, missing.text, missing.where) == ("missing-answer", "the number", (0, len("It is.")))
    assert label.value.corrected is not None and label.value.corrected.replace("!", "", 1) == text
    open_item(page, address, item.id)
    marked = page.locator("mark.type-0").evaluate_all("all => all.map(one => one.textContent)")
    assert marked == [SCIENTIST, "cafe\u0301"]
    page.locator("#spans .remove").nth(1).click()
    save(page)
    (label,) = kept(journals["spans"], "spans", "gil")
    assert isinstance(label.value, SpansValue)
    assert [span.start for span in label.value.spans] == [0, text.index("cafe")]


def test_the_mouse_selects_whole_characters(
    browser: Browser, addresses: dict[str, str], journals: dict[str, Path]
) -> None:
    address, item = addresses["spans"], items("spans")[1]
    page = begin(browser, address, "hal")
    open_item(page, address, item.id)
    from_, to = AWKWARD.index("\U0001f600"), AWKWARD.index("asked")
    places = page.locator(".response").evaluate(
        """(element, [from, to]) => [from, to].map((at) => {
          const range = document.createRange();
          const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
          for (let node; (node = walker.nextNode()); at -= node.length)
            if (at <= node.length) { range.setStart(node, at); range.setEnd(node, at); break; }
          const box = range.getBoundingClientRect();
          return [box.x, box.y + box.height / 2];
        })""",
        [len(AWKWARD[:from_].encode("utf-16-le")) // 2, len(AWKWARD[:to].encode("utf-16-le")) // 2],
    )
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()
    page.locator("[data-type=irrelevant]").click()
    save(page)
    (label,) = kept(journals["spans"], "spans", "hal")
    assert isinstance(label.value, SpansValue)
    (span,) = label.value.spans
    assert item.responses[0][span.start : span.end] == "\U0001f600 Nobody"


def test_no_error_is_said_twice_before_it_is_kept(
    browser: Browser, addresses: dict[str, str], journals: dict[str, Path]
) -> None:
    page = begin(browser, addresses["spans"], "ida")
    press(page, "Enter")
    assert "Nothing is marked" in page.locator("#message").inner_text()
    assert kept(journals["spans"], "spans", "ida") == []
    save(page)
    (label,) = kept(journals["spans"], "spans", "ida")
    assert label.value == SpansValue()


def test_the_browser_cuts_where_the_server_allows_it(browser: Browser, addresses: dict[str, str]) -> None:
    parts = "ab \n\r\u0301\u200d\u20dd\ufe0f\u093f\u102b\u0e33\uac00\u1100\u1161\u202e"
    parts += "\U0001f468\U0001f3fb\U0001f1e9\U0001f1ea\U000e0041"
    draw = random.Random(7)
    texts = ["".join(draw.choices(parts, k=draw.randint(0, 12))) for _ in range(400)] + [AWKWARD, HOSTILE]
    page = begin(browser, addresses["choice"], "oda")
    found = page.evaluate(
        """async (texts) => {
          const { cuts, toPoint, toUnit, visible } = await import("/static/text.js");
          return texts.map((text) => {
            const units = cuts(text), points = units.map((unit) => toPoint(text, unit));
            return { points, back: points.every((p, n) => toUnit(text, p) === units[n]), length: visible(text).length };
          });
        }""",
        texts,
    )
    for text, one in zip(texts, found, strict=True):
        assert one["points"][-1] == len(text)
        assert not [at for at in one["points"] if splits_character(text, at)]
        assert one["back"] and one["length"] == len(text.encode("utf-16-le")) // 2
