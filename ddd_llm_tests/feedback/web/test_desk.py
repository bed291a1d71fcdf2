"""What a person's journal holds after answers, revisions, crashes and other servers; what each person is shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.feedback.journal import append
from ddd_llm.feedback.labels import ChoiceValue, Label
from ddd_llm.feedback.reading import read_feedback
from ddd_llm.feedback.web.desk import Desk
from ddd_llm.feedback.web.forms import Answer, sent_by, value_of
from ddd_llm.feedback.web.task import Task, shown_order
from ddd_llm.platform.inputs import InputError
from ddd_llm_tests.feedback.samples import VERSIONS, guideline, item, items, label, labels
from ddd_llm_tests.feedback.web.pages import task

TASK = task("choice", 12)
FIRST, SECOND = (each.id for each in TASK.items[:2])


def answer(choice: str = "right", annotator: str = "ada", seconds: float = 2.0) -> Answer:
    return Answer(annotator=annotator, value={"choice": choice}, seconds=seconds)


def choices(desk: Desk, annotator: str = "ada") -> dict[str, str]:
    return {
        key: label.value.choice for key, label in desk.labels(annotator).items() if isinstance(label.value, ChoiceValue)
    }


def read(folder: Path) -> tuple[list[Label], list[Label], int]:
    """Standing labels, superseded ones and the count of quarantined lines, as the asset `annotations` sees them."""
    listed = folder.parent / "items.jsonl"
    if not listed.exists():
        for each in TASK.items:
            append(listed, each)
    found = read_feedback([listed, *sorted(folder.iterdir())], VERSIONS)
    return found.labels, found.superseded, len(found.quarantine)


@given(st.data())
def test_what_a_page_sends_for_a_label_gives_the_label(data: st.DataObject) -> None:
    of = data.draw(items())
    made = data.draw(labels(of))
    sent = sent_by(made)
    assert value_of(of.kind, sent["value"], made.shown or "first_second") == made.value


def test_a_second_answer_is_a_revision_and_the_same_answer_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    desk = Desk(TASK, folder)
    desk.save(FIRST, answer("right"))
    desk.save(FIRST, answer("right"))
    assert len(desk.path_of("ada").read_bytes().splitlines()) == 1
    revised = desk.save(FIRST, answer("wrong", seconds=3.0))
    assert revised.seconds == 5.0
    standing, superseded, quarantined = read(folder)
    assert (standing, len(superseded), quarantined) == ([revised], 1, 0)


def test_a_clock_that_was_set_back_makes_no_revision_the_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    desk = Desk(TASK, folder)
    ahead = label(TASK.items[0], labelled_at="2999-01-01T00:00:00+00:00")
    append(desk.path_of("ada"), ahead)
    revised = desk.save(FIRST, answer("wrong"))
    assert datetime.fromisoformat(revised.labelled_at or "") > datetime.fromisoformat(ahead.labelled_at or "")
    assert read(folder)[0] == [revised]


@given(cut=st.integers(1, 400))
def test_a_crash_in_the_middle_of_a_line_costs_that_line_alone(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("crash") / "journals"
    desk = Desk(TASK, folder)
    path = desk.path_of("ada")
    desk.save(FIRST, answer())
    whole = path.read_bytes()
    desk.save(SECOND, answer())
    both = path.read_bytes()
    path.write_bytes(both[: len(whole) + 1 + cut % (len(both) - len(whole) - 2)])
    after = Desk(TASK, folder)
    assert choices(after) == {FIRST: "right"}
    after.save(SECOND, answer("wrong"))
    assert choices(after) == choices(Desk(TASK, folder)) == {FIRST: "right", SECOND: "wrong"}
    standing, _, quarantined = read(folder)
    assert (len(standing), quarantined) == (2, 1)


def test_two_servers_over_one_folder_see_each_others_answers(tmp_path: Path) -> None:
    one, two = Desk(TASK, tmp_path), Desk(TASK, tmp_path)
    one.save(FIRST, answer("right"))
    assert choices(two) == {FIRST: "right"}
    two.save(FIRST, answer("wrong"))
    two.save(SECOND, answer("refused"))
    assert choices(one) == {FIRST: "wrong", SECOND: "refused"}


def test_a_journal_that_was_taken_away_is_not_remembered(tmp_path: Path) -> None:
    desk = Desk(TASK, tmp_path)
    desk.save(FIRST, answer())
    assert choices(desk) == {FIRST: "right"}
    desk.path_of("ada").unlink()
    assert choices(desk) == {}
    desk.save(SECOND, answer())
    assert choices(desk) == {SECOND: "right"}


def test_a_label_of_another_version_or_item_is_not_counted_as_done(tmp_path: Path) -> None:
    desk = Desk(TASK, tmp_path)
    append(desk.path_of("ada"), label(TASK.items[0], guideline_version="2"))
    append(desk.path_of("ada"), label(item(prompt="Another?")))
    assert desk.labels("ada") == {}


def test_many_people_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    desks = [Desk(TASK, folder), Desk(TASK, folder)]
    jobs = [(f"p{person}", each.id) for each in TASK.items for person in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: desks[hash(job) % 2].save(job[1], answer(annotator=job[0])), jobs))
    standing, superseded, quarantined = read(folder)
    assert {(one.annotator, one.item_id) for one in standing} == set(jobs)
    assert (len(superseded), quarantined) == (0, 0)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "Zoë", "\u4e2d\u6587", ".", "x" * 100])
def test_a_journal_lies_in_its_folder_whatever_the_name(tmp_path: Path, name: str) -> None:
    path = Desk(TASK, tmp_path).path_of(name)
    assert path.parent == tmp_path and path.suffix == ".jsonl" and len(path.name) < 200
    assert path != Desk(TASK, tmp_path).path_of(f"{name}.")


def test_each_person_goes_through_all_items_in_an_order_of_their_own() -> None:
    orders = [TASK.order(name) for name in ("ada", "ben", "cyd")]
    assert all(sorted(order) == sorted(TASK.by_id) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert TASK.order("ada") == Task(TASK.guideline, TASK.items[::-1]).order("ada")


def test_either_response_is_shown_first_about_as_often() -> None:
    for name in ("ada", "ben"):
        turned = sum(shown_order(name, str(n)) == "second_first" for n in range(2000))
        assert 900 < turned < 1100  # binomial: 4.5 standard deviations
    assert any(shown_order("ada", str(n)) != shown_order("ben", str(n)) for n in range(20))


@pytest.mark.parametrize(
    ("kinds", "said"), [([], "no items"), (["choice", "choice"], "twice"), (["spans"], "not of the guideline")]
)
def test_items_that_make_no_task_are_refused(kinds: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Task(guideline("choice"), tuple(item(kind) for kind in kinds))
