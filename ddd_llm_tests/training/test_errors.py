"""How a dead worker's exit code and last words become a typed error."""

from __future__ import annotations

import pytest

from ddd_llm.training.errors import (
    BadData,
    BadRecipe,
    Crashed,
    DiskFull,
    NonFiniteLoss,
    OutOfMemory,
    Preempted,
    TrainingError,
    classify,
)

ALL: list[type[TrainingError]] = [BadData, BadRecipe, Crashed, DiskFull, NonFiniteLoss, OutOfMemory, Preempted]


@pytest.mark.parametrize("kind", ALL)
def test_last_words_survive_the_process(kind: type[TrainingError]) -> None:
    said = kind("Something happened at step 3")
    found = classify(kind.exit_code, f"noise\n{said.last_words()}\nmore noise\n")
    assert type(found) is kind
    assert found.message == said.message
    assert kind.cure in str(found)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-9, OutOfMemory),
        (137, OutOfMemory),
        (-15, Preempted),
        (143, Preempted),
        (130, Preempted),
        (-11, Crashed),
        (139, Crashed),
        (65, BadData),
        (78, BadRecipe),
        (1, Crashed),
    ],
)
def test_exit_code_alone(code: int, kind: type[TrainingError]) -> None:
    assert type(classify(code)) is kind


def test_kill_outranks_what_was_said_before() -> None:
    assert type(classify(137, BadData("rows are broken").last_words())) is OutOfMemory


def test_half_a_line_is_not_read() -> None:
    words = BadData("rows are broken").last_words()
    assert type(classify(70, words[:-10])) is Crashed


def test_only_what_can_end_well_is_retried() -> None:
    assert {kind for kind in ALL if kind.retry} == {Preempted, DiskFull}


def test_exit_codes_and_kinds_are_distinct() -> None:
    assert len({kind.exit_code for kind in ALL}) == len({kind.kind for kind in ALL}) == len(ALL)


def test_success_is_no_failure() -> None:
    with pytest.raises(ValueError, match="no failure"):
        classify(0)
