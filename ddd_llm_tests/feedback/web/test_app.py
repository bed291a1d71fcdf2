"""The annotation page over HTTP: what is let in, what a page gives away, what becomes of answers that cannot be kept."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ddd_llm.feedback.preferences.policy import AlignmentPlan
from ddd_llm.feedback.web import Task, create_app, serve
from ddd_llm.platform.inputs import InputError
from ddd_llm_tests.feedback.samples import guideline, item
from ddd_llm_tests.feedback.web.pages import task

EVIL = "http://evil.example"
PLAN = AlignmentPlan(version=1)


class Person:
    """Somebody with a browser."""

    def __init__(self, of: Task, journals: Path, name: str = "ada") -> None:
        self.client = TestClient(
            create_app(of, journals, PLAN), base_url="http://127.0.0.1:8788", follow_redirects=False
        )
        self.item = of.items[0].id
        self.name = name
        self.client.get("/")
        self.token = self.client.cookies["ddd_llm_token"]
        self.named = self.client.post("/name", data={"name": name, "token": self.token})

    def answer(self, **changes: Any) -> dict[str, Any]:
        return {"annotator": self.name, "value": {"choice": "right"}, "sections": [], "seconds": 1.5} | changes

    def send(self, body: Any, item_id: str | None = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"x-csrf-token": self.token} | {name.replace("_", "-"): text for name, text in headers.items()}
        return self.client.post(f"/items/{item_id or self.item}", content=data, headers=headers)

    def page(self) -> str:
        return self.client.get(f"/items/{self.item}").text


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(task("choice"), tmp_path / "journals")


def test_an_answer_is_on_disk_when_the_next_address_is_told(person: Person, tmp_path: Path) -> None:
    said = person.send(person.answer())
    assert said.status_code == 200
    assert said.json()["next"] != f"/items/{person.item}"
    (journal,) = (tmp_path / "journals").iterdir()
    assert json.loads(journal.read_bytes())["label"]["item_id"] == person.item


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:8788@evil.example", "[::1]", ""])
def test_another_hosts_name_is_refused(person: Person, host: str) -> None:
    assert person.client.get("/", headers={"host": host}).status_code == 421
    assert person.client.get("/", headers={"host": "localhost:8788"}).status_code != 421


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x_csrf_token": ""}, "wrong_token"),
        ({"x_csrf_token": "guessed"}, "wrong_token"),
        ({"origin": EVIL}, "foreign_origin"),
        ({"origin": "null"}, "foreign_origin"),
        ({"origin": "http://127.0.0.1:9999"}, "foreign_origin"),
    ],
)
def test_another_sites_request_is_refused(person: Person, tmp_path: Path, headers: dict[str, str], reason: str) -> None:
    said = person.send(person.answer(), **headers)
    assert (said.status_code, said.json()["reason"]) == (403, reason)
    assert not (tmp_path / "journals").exists()
    renamed = person.client.post("/name", data={"name": "eve", "token": "guessed"})
    assert renamed.status_code == 403


def test_every_response_forbids_what_is_not_ours(person: Person) -> None:
    for path in ("/", "/overview", f"/items/{person.item}", "/static/page.js", "/nothing"):
        headers = person.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert "HttpOnly" in person.named.headers["set-cookie"] and "SameSite=strict" in person.named.headers["set-cookie"]


@pytest.mark.parametrize("kind", ["choice", "preference", "spans"])
def test_pages_have_nothing_inline_that_the_policy_would_stop_and_fetch_nothing_from_elsewhere(
    tmp_path: Path, kind: str
) -> None:
    page = Person(task(kind), tmp_path).page()
    scripts = re.findall(r"<script([^>]*)>", page)
    assert scripts and all("application/json" in attributes or "src=" in attributes for attributes in scripts)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert all(address.startswith(("/", "#")) for address in re.findall(r'(?:src|href|action)="([^"]*)"', page))


def test_a_gold_question_looks_like_any_other(tmp_path: Path) -> None:
    hidden = {"gold": '{"choice":"wrong"}', "slice": "hidden-slice", "source_ids": ("hidden-source",)}
    pages = []
    for n, changes in enumerate(({}, hidden)):
        person = Person(Task(guideline(), (item(**changes),)), tmp_path / str(n))
        pages.append(person.page().replace(person.token, "TOKEN"))
    assert pages[0] == pages[1]
    assert "hidden" not in re.sub(r'type="hidden"|\bhidden>', "", pages[1])


def test_what_wrote_a_response_and_its_place_in_the_item_are_not_told(tmp_path: Path) -> None:
    of = Task(guideline("preference"), (item("preference", source_ids=("model-x",)),))
    shown = set()
    for name in ("ada", "ben", "cyd", "dan", "eve"):
        content = re.search(r'id="content">(.*?)</script>', Person(of, tmp_path, name).page())
        assert content is not None
        told = json.loads(content[1])
        assert set(told["item"]) == {"id", "prompt", "passage", "responses"}
        shown.add(tuple(told["item"]["responses"]))
    assert shown == {of.items[0].responses, of.items[0].responses[::-1]}


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\x1b[31m", "a\u202eb"])
def test_what_is_no_name_is_asked_for_again(tmp_path: Path, name: str) -> None:
    person = Person(task("choice"), tmp_path, name)
    assert person.named.status_code == 422
    assert "Write a name" in person.named.text
    assert person.client.get(f"/items/{person.item}").headers["location"] == "/"


def test_a_name_is_one_person_however_it_is_typed(tmp_path: Path) -> None:
    person = Person(task("choice"), tmp_path, "  Zoe\u0308   B. ")
    assert person.send(person.answer(annotator="Zo\u00eb B.")).status_code == 200


def test_a_page_made_for_somebody_else_saves_nothing(person: Person, tmp_path: Path) -> None:
    said = person.send(person.answer(annotator="ben"))
    assert (said.status_code, said.json()["reason"]) == (409, "other_annotator")
    assert not (tmp_path / "journals").exists()


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("choice", {"value": {"choice": "maybe"}}, "unknown_choice"),
        ("choice", {"value": {}}, "invalid_value"),
        ("choice", {"value": "right"}, "invalid_answer"),
        ("choice", {"sections": ["nowhere"]}, "unknown_section"),
        ("choice", {"seconds": -1}, "invalid_answer"),
        ("choice", {"origin": "demo"}, "invalid_answer"),
        ("preference", {"value": {"preferred": "first", "rubrics": {}}}, "invalid_compared"),
        ("preference", {"value": {"preferred": "a", "rubrics": {"safety": [1, 5]}}}, "missing_rubric"),
        (
            "preference",
            {"value": {"preferred": "a", "rubrics": {"safety": [0, 5], "tone": [1, 1]}}},
            "score_out_of_range",
        ),
        ("spans", {"value": {"spans": [{"start": 0, "end": 999, "type": "irrelevant"}]}}, "span_outside_text"),
        ("spans", {"value": {"spans": [{"start": 0, "end": 1, "type": "irrelevant"}]}}, "span_splits_character"),
        ("spans", {"value": {"corrected": "\ud800"}}, "lone_surrogate"),
        ("spans", {"value": {}, "rationale": "\ud800"}, "lone_surrogate"),
        ("spans", {"value": {"corrected": "x" * (1 << 20)}}, "body_too_large"),
        ("spans", {"value": {"corrected": "x" * ((1 << 20) - 200)}}, "too_long"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_refused_with_its_reason(
    tmp_path: Path, kind: str, changes: dict[str, Any], reason: str
) -> None:
    person = Person(task(kind), tmp_path / "journals")
    said = person.send(person.answer(**changes))
    assert said.status_code in (413, 422)
    assert said.json()["reason"] == reason
    assert not (tmp_path / "journals").exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "invalid_json"), (b"\xff", "invalid_utf8"), (b"[" * 99, "too_deep"), (b"[]", "invalid_answer")],
)
def test_what_is_no_answer_is_refused(person: Person, body: bytes, reason: str) -> None:
    said = person.send(body)
    assert (said.status_code, said.json()["reason"]) == (422, reason)


def test_an_item_that_is_gone_is_refused_and_leads_to_the_others(person: Person) -> None:
    assert person.send(person.answer(), item_id="0" * 64).json()["reason"] == "unknown_item"
    assert person.client.get(f"/items/{'0' * 64}").headers["location"] == "/overview"


def test_a_disk_that_takes_nothing_is_told_to_the_person(tmp_path: Path) -> None:
    (tmp_path / "journals").write_text("a file where the folder should be")
    person = Person(task("choice"), tmp_path / "journals")
    said = person.send(person.answer())
    assert (said.status_code, said.json()["reason"]) == (507, "not_written")


def test_a_guidelines_markdown_is_drawn_and_its_html_is_not(tmp_path: Path) -> None:
    text = "**bold** <script>alert(1)</script> [x](javascript:alert(1)) ![y](http://evil.example/y.png)"
    sections = [section.model_dump() | {"text": text} for section in guideline().sections]
    page = Person(Task(guideline(sections=sections), (item(),)), tmp_path).page()
    assert "<strong>bold</strong> &lt;script&gt;" in page
    assert "javascript:alert(1))" in page and 'href="javascript' not in page and "<img" not in page


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used"):
            serve(task("choice"), tmp_path, port)


def test_who_fails_the_gold_questions_gets_only_these_until_they_do_better(tmp_path: Path) -> None:
    gold = [item(prompt=f"Known {n}?", gold='{"choice":"right"}') for n in range(8)]
    others = [item(prompt=f"Unknown {n}?") for n in range(8)]
    ada = Person(Task(guideline(), (*gold, *others)), tmp_path / "journals")
    for of in gold:
        ada.send(ada.answer(value={"choice": "wrong"}), of.id)
    page = ada.client.get("/overview").text
    assert "0 of 8 gold answers right" in page
    assert all(of.id in page for of in gold) and not any(of.id in page for of in others)
    assert ada.client.get("/").headers["location"] == "/overview"
    assert ada.client.get(f"/items/{others[0].id}").headers["location"] == "/overview"
    for of in gold:
        said = ada.send(ada.answer(), of.id).json()["next"]
    assert said.removeprefix("/items/") in {of.id for of in others}
    assert "gold answers" not in ada.client.get("/overview").text
