"""Pages that tests open: items of each kind with hostile and awkward texts, served as people get them. No assertion.

`python -m ddd_llm_tests.feedback.web.pages KIND JOURNALS PORT` serves one kind.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddd_llm.feedback.journal import append
from ddd_llm.feedback.labels import Item, Label
from ddd_llm.feedback.reading import read_feedback
from ddd_llm.feedback.web import Task, serve
from ddd_llm_tests.feedback.samples import VERSIONS, guideline, item

KINDS = ("choice", "preference", "spans")
SCIENTIST = "\U0001f469\U0001f3fd\u200d\U0001f52c"  # one character to the eye, four code points, seven UTF-16 units
AWKWARD = f"{SCIENTIST} says cafe\u0301 is 5. \U0001f600 Nobody asked."
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\u202ecba\x1b[31m\r\n\u0627\u0644\u0639"
)
_RESPONSES = {"choice": ("{}.",), "preference": ("First {}.", "Second {}."), "spans": (AWKWARD + " {}",)}


def items(kind: str, count: int = 3) -> tuple[Item, ...]:
    """Items of a kind; the last one is hostile in every text, the first one is a gold question where the kind is choice."""
    usual = [
        item(
            kind,
            prompt=f"Question {n}?",
            passage="It is. It is 4.",
            responses=tuple(text.format(n) for text in _RESPONSES[kind]),
            gold='{"choice":"right"}' if kind == "choice" and n == 0 else None,
        )
        for n in range(count - 1)
    ]
    evil = tuple(f"{HOSTILE}{n}" for n in range(len(_RESPONSES[kind])))
    return (*usual, item(kind, prompt=HOSTILE, passage=HOSTILE, responses=evil, source_ids=("secret-source",)))


def task(kind: str, count: int = 3) -> Task:
    """A task of a kind."""
    return Task(guideline(kind), items(kind, count))


@contextmanager
def served(kind: str, journals: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server of its own."""
    command = [sys.executable, "-m", __name__, kind, str(journals), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[0], process
        finally:
            process.kill()


def kept(journals: Path, kind: str, annotator: str) -> list[Label]:
    """A person's standing labels as the asset `annotations` reads them; nothing may be quarantined."""
    home = journals.parent / f"{journals.name}-items.jsonl"
    if not home.exists():
        for each in items(kind):
            append(home, each)
    found = read_feedback([home, *sorted(journals.glob("*.jsonl"))], VERSIONS)
    assert not found.quarantine
    return [label for label in found.labels if label.annotator == annotator]


if __name__ == "__main__":
    serve(task(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
