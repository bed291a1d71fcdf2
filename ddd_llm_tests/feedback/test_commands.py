"""`ddd-llm annotate` as people type it: out, back in, and what it says about bad files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ddd_llm.feedback.adjudication import AdjudicationPolicy, adjudicate
from ddd_llm.feedback.corrections import conversations
from ddd_llm.feedback.records import line_of
from ddd_llm.feedback.span_feedback import from_people
from ddd_llm.feedback.splits import Splits
from ddd_llm.instructions.prompts import compose
from ddd_llm.platform.settings import CHECKOUT
from ddd_llm_tests.feedback.samples import item, label
from ddd_llm_tests.feedback.test_qa_feedback import record as qa_record


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    shutil.copytree(CHECKOUT / "assets" / "guidelines", folder / "guidelines")
    shutil.copytree(CHECKOUT / "assets" / "annotations", folder / "annotations")
    shutil.copytree(CHECKOUT / "assets" / "policies", folder / "policies")
    return folder


def run(assets: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DDD_LLM_")}
    environ = {**kept, "DDD_LLM_ASSETS": str(assets), "DDD_LLM_HOME": str(assets.parent / "home")}
    command = [sys.executable, "-c", "from ddd_llm.cli import main; main()", "annotate", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=assets.parent)


def status(assets: Path) -> dict:
    done = run(assets, "status", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_labels_go_out_to_label_studio_and_come_back(assets: Path) -> None:
    before = status(assets)
    out = assets.parent / "tasks.json"
    done = run(assets, "export", str(out), "--guideline", "answer-preference", "--label-studio", "--labels")
    assert done.returncode == 0, done.stderr
    assert "24 items, 72 labels" in done.stdout
    assert "<Rating" in out.with_suffix(".xml").read_text()
    tasks = json.loads(out.read_text())
    tasks[0]["annotations"][0]["completed_by"] = {"email": "new@example.org"}
    tasks[0]["annotations"][1]["result"] = []
    out.write_text(json.dumps(tasks))
    done = run(assets, "import", str(out), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["labels"], said["refused"]) == (1, 1)
    assert said["first"][0][2] == "incomplete_answer"
    after = status(assets)
    assert after["quarantined"] == {"incomplete_answer": 1}
    assert sum(r["labels"] for r in after["guidelines"]) == sum(r["labels"] for r in before["guidelines"]) + 1
    assert (
        "is there already" in run(assets, "import", str(out)).stderr
        or "nothing in it" in run(assets, "import", str(out)).stderr
    )


def test_lines_go_out_and_come_back_as_they_were(assets: Path) -> None:
    out = assets.parent / "items.jsonl"
    assert run(assets, "export", str(out), "--guideline", "answer-verdict", "--labels").returncode == 0
    before = status(assets)
    shutil.rmtree(assets / "annotations")
    done = run(assets, "import", str(out))
    assert done.returncode == 0, done.stderr
    after = status(assets)
    assert [r for r in after["guidelines"] if r["guideline"] == "answer-verdict"] == [
        r for r in before["guidelines"] if r["guideline"] == "answer-verdict"
    ]


def test_a_changed_guideline_shows_as_stale_labels(assets: Path) -> None:
    path = assets / "guidelines" / "answer-verdict.md"
    (assets / "guidelines" / "earlier").mkdir()
    shutil.copyfile(path, assets / "guidelines" / "earlier" / "answer-verdict.v1.md")
    text = path.read_text().replace("version: 1", "version: 2", 1)
    path.write_text(
        text.replace("The answer says that it cannot be answered", "The answer only says that it cannot be answered")
    )
    (row,) = [r for r in status(assets)["guidelines"] if r["guideline"] == "answer-verdict"]
    assert row["version"] == 2
    assert 0 < row["stale"] < row["labels"], "only labels that the reworded section concerns"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "the name must end with .jsonl or .json"),
        ("a.jsonl", b"{\n", "line 1: invalid_json"),
        ("a.json", b"{}", "file: wrong_shape"),
        ("a.jsonl", line_of(label(item())), "line 1: unknown_item"),
        ("gone.jsonl", None, "there is no file"),
    ],
)
def test_a_file_in_which_nothing_can_be_kept_is_refused_whole(
    assets: Path, name: str, content: bytes | None, said: str
) -> None:
    path = assets.parent / name
    if content is not None:
        path.write_bytes(content)
    done = run(assets, "import", str(path))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (assets.parent / "home" / "annotations").exists()


def test_qa_feedback_comes_in_and_goes_out(assets: Path) -> None:
    file = assets.parent / "qa.json"
    file.write_text(json.dumps([qa_record()]))
    done = run(assets, "import", str(file), "--qa-feedback", "crowd-1", "--json")
    assert done.returncode == 0, done.stderr
    said = {"labels": 1, "items": 1, "decisions": 0, "refused": 0, "source": "own-annotators", "first": []}
    assert json.loads(done.stdout) == said
    assert any(row["annotator"] == "crowd-1" for row in status(assets)["annotators"])
    out = assets.parent / "out.json"
    assert run(assets, "export", str(out), "--guideline", "answer-errors", "--qa-feedback").returncode == 0
    questions = [row["question"] for row in json.loads(out.read_text())]
    assert qa_record()["question"] in questions and len(questions) > 1
    assert (
        "no span labels" in run(assets, "export", str(out), "--guideline", "answer-preference", "--qa-feedback").stderr
    )
    file.write_text('[{"question": "?"}]')
    assert "record 1 is not in the schema" in run(assets, "import", str(file), "--qa-feedback", "crowd-1").stderr


def test_an_unknown_guideline_is_named(assets: Path) -> None:
    done = run(assets, "export", "x.jsonl", "--guideline", "nothing")
    assert done.returncode == 2
    assert "there are answer-errors, answer-preference, answer-verdict" in done.stderr


def test_the_page_is_served_and_its_answers_are_read(assets: Path) -> None:
    """What a person answers in the page counts in `status` at once."""
    import re
    import urllib.request
    from http.cookiejar import CookieJar

    kept = {name: value for name, value in os.environ.items() if not name.startswith("DDD_LLM_")}
    environ = {
        **kept,
        "DDD_LLM_ASSETS": str(assets),
        "DDD_LLM_HOME": str(assets.parent / "home"),
        "PYTHONUNBUFFERED": "1",
    }
    words = ["annotate", "serve", "--guideline", "answer-verdict", "--port", "0"]
    command = [sys.executable, "-c", "from ddd_llm.cli import main; main()", *words]
    server = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        token = re.search(r'name="token" value="([^"]+)"', browser.open(address).read().decode())
        assert token is not None
        browser.open(f"{address}/name", f"token={token[1]}&name=Zoe".encode())
        item_address = browser.open(address).geturl()
        answer = {"annotator": "Zoe", "value": {"choice": "wrong"}, "sections": ["wrong"], "seconds": 4.5}
        headers = {"X-CSRF-Token": token[1], "Content-Type": "application/json"}
        browser.open(urllib.request.Request(item_address, json.dumps(answer).encode(), headers))
    finally:
        server.terminate()
        server.wait(20)
    (mine,) = [row for row in status(assets)["annotators"] if row["annotator"] == "Zoe"]
    assert (mine["labels"], mine["origin"], mine["guideline"]) == (1, "people", "answer-verdict")


def test_only_settled_corrections_are_handed_out(assets: Path) -> None:
    done = run(assets, "export", "fixed.jsonl", "--guideline", "answer-errors", "--corrected")
    assert done.returncode == 2 and "span_feedback was never materialised" in done.stderr


def test_corrections_name_documents_and_guideline_and_none_is_held_out() -> None:
    mended = item("spans", source_ids=("d1", "d2"))
    same, tested, empty = (item("spans", prompt=f"{n}?", source_ids=(n,)) for n in ("same", "tested", "empty"))
    said = ((mended, " New. "), (same, same.responses[0]), (tested, "Better."), (empty, " "))
    given = [
        label(of, who, {"spans": [], "corrected": text}, guideline_version=version)
        for of, text in said
        for who, version in (("ada", "9"), ("ben", "10"))
    ]
    settled = adjudicate(given, [], AdjudicationPolicy()).settled
    items = {of.id: of for of, _ in said}
    rows = from_people(settled, items, Splits(0, {}, frozenset({"tested"})))
    (line,) = conversations(items, given, rows)
    made = json.loads(line)
    assert [m["content"] for m in made["messages"]] == [compose(mended.passage, mended.prompt), "New."]
    assert (made["source_ids"], made["guideline"]) == (["d1", "d2"], "by-spans 10")
