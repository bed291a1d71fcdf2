"""Files of feedback: what is kept, superseded, quarantined; journals that survive a kill; decisions and their rules."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.adjudication import AdjudicationPolicy, adjudicate, standing
from ddd_llm.feedback.journal import append
from ddd_llm.feedback.labels import Item, Label, SpansValue
from ddd_llm.feedback.reading import Feedback, feedback_files, read_feedback
from ddd_llm.feedback.records import Adjudication, checked, entry_of, line_of
from ddd_llm_tests.feedback.samples import SECTIONS, VALUES, VERSIONS, guideline, item, items, label, labels

NOON, LATER = "2026-11-26T12:00:00+00:00", "2026-11-26T13:00:00+00:00"


def decision(of: Item, by: str = "olga", **changes: object) -> Adjudication:
    content = {
        "item_id": of.id,
        "guideline": of.guideline,
        "guideline_version": "1",
        "kind": of.kind,
        "adjudicator": by,
        "value": VALUES[of.kind],
        "rationale": "Section examples says so.",
    }
    return checked(Adjudication, content | changes)


def read(folder: Path, *entries: Item | Label | Adjudication | bytes) -> Feedback:
    lines = [entry if isinstance(entry, bytes) else line_of(entry) for entry in entries]
    (folder / "a.jsonl").write_bytes(b"".join(lines))
    return read_feedback(feedback_files([folder]), VERSIONS)


def reasons(found: Feedback) -> list[str]:
    return [reason for _, _, reason, _ in found.quarantine]


def test_good_lines_survive_bad_neighbours(tmp_path: Path) -> None:
    of = item()
    good = label(of)
    wrong = label(of, "ben").model_copy(update={"guideline_version": "9"})
    found = read(
        tmp_path,
        line_of(of),
        b'{"label": {"item_id"\n',
        b'{"item": 1, "label": 2}\n',
        b'{"label": {"a": 1, "a": 2}}\n',
        b"\n",
        b"\xff\n",
        line_of(label(item(prompt="Unknown?"), "cyd")),
        line_of(wrong),
        line_of(label(of, "dan", {"choice": "maybe"})),
        line_of(good),
        line_of(good),
        line_of(good)[:-9],
    )
    assert found.labels == [good]
    assert found.items == {of.id: of}
    assert found.passed_over == {"repeated": 1}
    assert sorted(reasons(found)) == sorted(
        [
            "invalid_json", "wrong_shape", "duplicate_key", "empty_line", "invalid_utf8", "unknown_item",
            "unknown_guideline", "unknown_choice", "truncated_line",
        ]
    )  # fmt: skip
    places = {reason: place for _, place, reason, _ in found.quarantine}
    assert places["invalid_json"] == "line 2"
    assert places["truncated_line"] == "line 12"
    assert "Is it?" not in str(found.quarantine)


def test_an_annotator_twice_on_an_item(tmp_path: Path) -> None:
    of = item()
    first = label(of, value={"choice": "right"}, labelled_at=NOON)
    second = label(of, value={"choice": "wrong"}, labelled_at=LATER)
    found = read(tmp_path, of, second, first)
    assert (found.labels, found.superseded, found.quarantine) == ([second], [first], [])
    found = read(tmp_path, of, second, label(of, value={"choice": "right"}))
    assert (found.labels, reasons(found)) == ([], ["annotator_twice", "annotator_twice"])


def test_times_are_compared_as_times(tmp_path: Path) -> None:
    of = item()
    early = label(of, value={"choice": "right"}, labelled_at="2026-11-26T10:00:00+02:00")
    late = label(of, value={"choice": "wrong"}, labelled_at="2026-11-26T09:30:00Z")
    found = read(tmp_path, of, early, late)
    assert (found.labels, found.superseded) == ([late], [early])
    written = [decision(of, decided_at=time, value={"choice": c}) for time, c in ((NOON, "wrong"), (LATER, "right"))]
    east = decision(of, decided_at="2026-11-26T15:30:00+03:00")  # between the two
    assert read(tmp_path, of, written[1], east, written[0]).decisions == [written[1]]
    line = line_of(early).replace(b"2026-11-26T10:00:00+02:00", b"yesterday")
    assert reasons(read(tmp_path, of, line)) == ["invalid_label"]


@pytest.mark.parametrize("gold", ["correct", '"correct"', '{"preferred":"first"}'])
def test_gold_that_is_no_answer_is_refused_with_its_item(tmp_path: Path, gold: str) -> None:
    line = line_of(item()).replace(b'"gold":null', b'"gold":' + json.dumps(gold).encode())
    found = read(tmp_path, line, item(prompt="Sound?"))
    assert (reasons(found), len(found.items)) == (["invalid_item"], 1)


def test_half_a_character_costs_its_line_alone(tmp_path: Path) -> None:
    of, good = item("spans"), item("spans", prompt="Sound?")
    made = line_of(label(of, value={"corrected": "HERE"})).replace(b"HERE", b"\\ud83d")
    shown = line_of(item(prompt="HERE")).replace(b"HERE", b"\\ud83d")
    found = read(tmp_path, of, made, shown, good, label(good))
    assert len(found.labels) == 1 and len(found.items) == 2
    assert len(reasons(found)) == 2 and found.labels_table().num_rows == 1
    assert "\ud83d" not in str(found.quarantine)


def test_files_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("[{]")
    (tmp_path / "c.json").write_text('{"not": "a list"}')
    (tmp_path / "d.txt").write_text("ignored")
    (tmp_path / "e.jsonl").write_text("")
    found = read_feedback([*feedback_files([tmp_path, tmp_path / "absent"]), tmp_path / "gone.jsonl"], VERSIONS)
    assert reasons(found) == ["invalid_json", "wrong_shape", "unreadable_file"]


@settings(max_examples=30)
@given(data=st.data())
def test_nothing_is_lost_in_tables(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shown = data.draw(st.lists(items(), min_size=1, max_size=4, unique_by=lambda i: i.id))
    given_ = [data.draw(labels(of)) for of in shown]
    found = read(tmp_path_factory.mktemp("feedback"), *shown, *given_)
    assert sorted(found.labels, key=lambda x: x.id) == sorted(given_, key=lambda x: x.id)
    assert found.labels_table().num_rows == len(given_)
    assert found.items_table().num_rows == len(shown)
    assert found.quarantine == []


def test_a_decision_counts_only_from_whom_the_guideline_names(tmp_path: Path) -> None:
    of, other = item(), item(prompt="Was it?")
    found = read(
        tmp_path,
        of,
        other,
        label(of, "ada"),
        label(other, "olga"),
        decision(of),
        decision(other),
        decision(of, "ben"),
        decision(of, value={"choice": "wrong"}),
        decision(of, value={"choice": "odd"}),
    )
    assert [d.item_id for d in found.decisions] == [of.id]
    assert reasons(found) == ["adjudicator_is_annotator", "not_an_adjudicator", "decided_twice", "unknown_choice"]
    later = decision(of, value={"choice": "wrong"}, decided_at=LATER)
    found = read(tmp_path, of, decision(of, decided_at=NOON), later)
    assert found.decisions == [later]
    with pytest.raises(ValueError, match="needs its reason"):
        decision(of, rationale="  ")


def test_agreed_decided_and_open_items(tmp_path: Path) -> None:
    one, two, three = (item(prompt=f"Is it {i}?") for i in range(3))
    found = read(
        tmp_path, one, two, three,
        label(one, "ada"), label(one, "ben"),
        label(two, "ada"), label(two, "ben", {"choice": "wrong"}), decision(two, value={"choice": "wrong"}),
        label(three, "ada"),
    )  # fmt: skip
    result = adjudicate(found.labels, found.decisions, AdjudicationPolicy())
    rows = {row["item_id"]: row for row in result.settled.to_pylist()}
    assert rows[one.id]["by"] == "agreement"
    assert rows[one.id]["annotators"] == ["ada", "ben"]
    assert json.loads(rows[two.id]["value"]) == {"choice": "wrong"}
    assert (rows[two.id]["adjudicator"], rows[two.id]["rationale"]) == ("olga", "Section examples says so.")
    assert result.open.to_pylist() == [
        {"item_id": three.id, "guideline": "by-choice", "reason": "too_few_labels", "annotators": ["ada"]}
    ]
    assert len(found.labels) == 5, "raw labels stay"


def test_decisions_go_stale_as_labels_do() -> None:
    versions = {("by-choice", n): guideline(version=n) for n in (9, 10)}
    of = item()
    made = [decision(of, guideline_version=n, value={"choice": c}) for n, c in (("10", "right"), ("9", "wrong"))]
    assert standing(made, versions) == ([made[0]], [made[1]]), "the later version counts, not the later string"
    assert standing(made[1:], versions) == (made[1:], []), "nothing changed that concerns it"
    changed = [{**section, "text": "On something else."} for section in SECTIONS]
    versions["by-choice", 10] = guideline(version=10, sections=changed)
    assert standing(made[1:], versions) == ([], made[1:])


def spans(*marked: tuple[int, int]) -> dict[str, object]:
    return {"spans": [{"start": a, "end": b, "type": "irrelevant"} for a, b in marked]}


def test_spans_and_preferences_agree_by_what_they_say() -> None:
    text, pair = item("spans"), item("preference")
    close = [label(text, n, spans(s)) for n, s in (("a", (0, 10)), ("b", (0, 11)), ("c", (1, 10)))]
    settled = adjudicate(close, [], AdjudicationPolicy()).settled.to_pylist()
    kept = SpansValue.model_validate_json(settled[0]["value"])
    assert [(s.start, s.end) for s in kept.spans] == [(0, 10)], "the one that agrees best with the others"
    apart = [label(text, "a", spans((0, 10))), label(text, "b", spans((10, 20)))]
    assert adjudicate(apart, [], AdjudicationPolicy()).open.num_rows == 1
    gap = [label(text, "a", {}), label(text, "b", {"missing": [{"type": "missing-answer"}]})]
    assert adjudicate(gap, [], AdjudicationPolicy()).open.num_rows == 1
    scores = [
        label(pair, n, {"preferred": "first", "rubrics": {"safety": [s, 1], "tone": [3, 3]}})
        for n, s in (("a", 5), ("b", 4), ("c", 4))
    ]
    value = json.loads(adjudicate(scores, [], AdjudicationPolicy()).settled["value"][0].as_py())
    assert value == {"preferred": "first", "rubrics": {"safety": [4, 1], "tone": [3, 3]}}


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    of = item()
    path = tmp_path / "ada.jsonl"
    append(path, of)
    with path.open("ab") as file:
        file.write(line_of(label(of))[:40])
    append(path, label(of, "ben"))
    found = read_feedback([path], VERSIONS)
    assert [x.annotator for x in found.labels] == ["ben"]
    assert reasons(found) == ["invalid_json"]
    assert path.stat().st_mode & 0o777 == 0o600


WRITER = """
import sys
from pathlib import Path
from ddd_llm.feedback.journal import append
from ddd_llm_tests.feedback.samples import item, label
of, name = item(), sys.argv[2]
for i in range(int(sys.argv[3])):
    append(Path(sys.argv[1]), label(of, f"{name}{i}"))
    print(i, flush=True)
"""


def test_two_processes_append_at_once_and_a_killed_one_loses_nothing_it_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    one = subprocess.Popen([*command, "a", "300"], stdout=subprocess.PIPE, text=True)
    two = subprocess.Popen([*command, "b", "100000"], stdout=subprocess.PIPE, text=True)
    assert one.stdout is not None and two.stdout is not None
    one.communicate()
    time.sleep(0.05)
    os.kill(two.pid, signal.SIGKILL)
    confirmed = [int(line) for line in two.communicate()[0].splitlines()]
    entries = [entry_of(line + b"\n") for line in path.read_bytes().split(b"\n")[:-1]]
    names = {entry.annotator for entry in entries if isinstance(entry, Label)}
    assert {f"a{i}" for i in range(300)} <= names
    assert {f"b{i}" for i in confirmed} <= names
    assert len(entries) == len(names)
