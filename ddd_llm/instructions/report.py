"""What the instruction assets show: counts, a coverage table, and a few examples of each task on the page in the store."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.tables import counts
from ddd_llm.instructions.build import BuiltDataset
from ddd_llm.instructions.candidates import Candidates
from ddd_llm.instructions.synthetic import TASK
from ddd_llm.platform.plots import funnel
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step

SHOWN = 3
SPLITS = ("train", "validation", "test")


def _samples(page: Page, rows: pa.Table) -> None:
    page.heading("Examples of each task")
    for task in sorted(counts(rows["task"])):
        some = rows.filter(pc.equal(rows["task"], task)).slice(0, SHOWN).to_pylist()  # type: ignore[attr-defined]
        page.paragraph(task)
        page.samples([example_sample(row) for row in some])


def example_sample(row: dict) -> Sample:
    """An example as a collapsible sample, its answer in the line that is always seen."""
    messages = json.loads(row["messages"])
    parts = {message["role"]: message["content"] for message in messages}
    return Sample(f"{row['module']}: {messages[-1]['content'][:90]}", {**parts, "facts": row["facts"]})


def report_candidates(step: Step, made: Candidates) -> None:
    """Summary and page of the candidates."""
    tasks = counts(made.table["task"])
    reasons = counts(made.decisions["reason"])
    kept = len(made.decisions) - sum(reasons.values())
    step.summary |= {"candidates": len(made.table), "candidates_per_task": tasks}
    step.summary |= {"documents_in": len(made.decisions), "kept": kept, "dropped": sum(reasons.values())}
    step.summary |= {"dropped_by_reason": reasons}
    picture = funnel(
        [("documents that give a question", kept, reasons)], title="Documents and the questions they answer"
    )
    step.put_picture("funnel", picture)
    page = Page("instruction_candidates", "Questions made from documents, each with an answer that a program can check")
    page.key_figures([KeyFigure("candidates", f"{len(made.table):,}"), KeyFigure("documents used", f"{kept:,}")])
    page.figure(picture, "Documents that give a question, and why others do not")
    page.table(["task", "candidates"], [[task, f"{count:,}"] for task, count in tasks.items()])
    _samples(page, made.table)
    step.put_report(page.html())


def report_dataset(step: Step, built: BuiltDataset) -> None:
    """Summary and page of the dataset."""
    table = built.table
    splits = {name: count for name in SPLITS if (count := counts(table["split"]).get(name, 0))}
    reasons = counts(built.decisions["reason"])
    kept = len(built.decisions) - sum(reasons.values())
    step.summary |= {
        "examples_per_split": splits,
        "examples_per_task": counts(table["task"]),
        "examples_per_slice": counts(table["slice"]),
        "documents_in": len(built.decisions),
        "kept": kept,
        "dropped": sum(reasons.values()),
        "dropped_by_reason": reasons,
        "own_lines_quarantined": len(built.quarantine),
        "written_by_a_model": counts(table["task"]).get(TASK, 0),
        "task_by_package_evenness": {name: round(value, 3) for name, value in built.coverage.evenness.items()},
        "empty_cells": len(built.coverage.empty),
    }
    picture = funnel([("candidates", kept, reasons)], title="Candidates chosen for the dataset", unit="candidates")
    step.put_picture("funnel", picture)
    page = Page("instruction_dataset", "Split by module and near-duplicates; every example names its documents")
    page.key_figures([KeyFigure(name, f"{count:,}", "examples") for name, count in splits.items()])
    page.figure(picture, "Candidates chosen and left out, by reason")
    page.heading("Coverage: task by package (train / validation / test)")
    cells: dict[str, dict[str, str]] = {}
    for row in built.coverage.table.to_pylist():
        cells.setdefault(row["package"], {})[row["task"]] = f"{row['train']} / {row['validation']} / {row['test']}"
    tasks = sorted({task for row in cells.values() for task in row})
    page.table(
        ["package", *tasks], [[name, *(row.get(task, "") for task in tasks)] for name, row in sorted(cells.items())]
    )
    _samples(page, table.filter(pc.equal(table["split"], "train")))  # type: ignore[attr-defined]
    step.put_report(page.html())
