"""What `fine_grained.py` trains on: questions about real signatures, QA-FEEDBACK, and beginnings of texts.

Belongs here: rows. Does not: training (`fine_grained`).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.feedback.labels import SpansValue
from ddd_llm.feedback.preferences.pairs import prompt_of
from ddd_llm.feedback.qa_feedback import QaRecord, comparisons_of, label_of, read_records
from ddd_llm.feedback.span_feedback import SPAN_FEEDBACK_SCHEMA
from ddd_llm.instructions.tasks import enumerate_names

EXAMPLES = pa.schema([(name, pa.string()) for name in ("id", "split", "messages", "facts", "component")])
_PAIRS = pa.schema([(name, pa.string()) for name in ("id", "prompt", "chosen", "rejected", "component", "split")])
_PACKAGES = ("numpy", "scipy.stats", "scipy.signal", "scipy.linalg", "scipy.optimize", "scipy.integrate", "scipy.interpolate",
             "scipy.ndimage", "scipy.sparse.linalg", "sklearn.cluster", "sklearn.datasets", "sklearn.decomposition",
             "sklearn.feature_selection", "sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection",
             "matplotlib.pyplot", "networkx", "sympy", "pandas", "statsmodels.api", "statsmodels.tsa.api",
             "statsmodels.stats.api", "torch.nn.functional")  # fmt: skip


def listing_examples(path: Path, fewest: int, most: int, rows_at_most: int = 800) -> Path:
    """Which parameters does it take? About functions and classes of installed packages with `fewest` to `most` parameters; a
    fifth is for validation."""
    rows = {}
    for name, names, signature in _signatures(fewest, most):
        prompt = [{"role": "user", "content": f"{signature}\n\nWhich parameters does `{name}` take?"}]
        row = _example(prompt, f"It takes {enumerate_names(names)}.", {"parameters": names})
        rows[row["id"]] = row
    chosen = sorted(rows.values(), key=lambda row: row["id"])[:rows_at_most]
    pq.write_table(pa.Table.from_pylist(chosen, schema=EXAMPLES), path)
    return path


def _signatures(fewest: int, most: int) -> Iterator[tuple[str, list[str], str]]:
    for package in _PACKAGES:
        try:
            module = importlib.import_module(package)
        except ImportError:
            continue
        for name, thing in sorted(vars(module).items()):
            if name.startswith("_") or not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            try:
                signature = inspect.signature(thing)
            except (TypeError, ValueError):  # classes written in C
                continue
            names = [p for p in signature.parameters if not p.startswith("_")]
            plain = str(signature.replace(return_annotation=inspect.Signature.empty))
            whole = fewest <= len(names) <= most and names == list(signature.parameters)
            if whole and len(plain) < 40 + 20 * len(names) and " at 0x" not in plain:
                yield name, names, f"{name}{plain}"


def qa_records(data: Path) -> list[QaRecord]:
    """The supplied part of QA-FEEDBACK."""
    records, refused = read_records(gzip.decompress((data / "qa_feedback" / "data.jsonl.gz").read_bytes()).decode())
    assert not refused, refused[:3]
    return records


def qa_tables(records: list[QaRecord], folder: Path, passage_characters: int) -> dict[str, Path]:
    """Examples (the corrected answers), span feedback and preference pairs; a quarter of the questions is held out of each.

    Passages are cut to so many characters, so that a question fits a small model.
    """
    examples, feedback, pairs = [], [], []
    for record in records:
        name = hashlib.sha256(record.question.encode()).hexdigest()[:16]
        held_out = int(name[:8], 16) % 4 == 0
        prompt = json.loads(prompt_of(record.passage()[:passage_characters], record.question))
        corrected = record.feedback.corrected or record.gold
        split = "validation" if held_out else "train"
        examples.append({**_example(prompt, corrected, {"reference": record.gold}), "split": split, "component": name})
        part = "held_out" if held_out else "train"
        _, label = label_of(record, "published", "1")
        assert isinstance(label.value, SpansValue)
        about = {"prompt": json.dumps(prompt), "component": name, "split": part}
        told = [("first", record.prediction_1, label.value)]
        if corrected and corrected != record.prediction_1:
            told.append(("corrected", corrected, SpansValue()))
        for which, answer, value in told:
            row = {"id": f"{name}-{which}", "response": answer, "value": value.model_dump_json(), "origin": "people"}
            feedback.append({**about, **row})
        for i, (better, other) in enumerate(comparisons_of(record)):
            pairs.append({**about, "id": f"{name}-{i}", "chosen": better, "rejected": other})
    tables = {"examples": (examples, EXAMPLES), "feedback": (feedback, SPAN_FEEDBACK_SCHEMA), "pairs": (pairs, _PAIRS)}
    for name, (rows, schema) in tables.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in tables}


def text_beginnings(data: Path, path: Path) -> Path:
    """The first half of each text of surge_toxicity as a line in the form of RealToxicityPrompts."""
    rows = gzip.decompress((data / "surge_toxicity" / "data.jsonl.gz").read_bytes()).decode().splitlines()
    lines = []
    for row in rows:
        words = json.loads(row)["text"].split()
        if len(words) >= 6:
            lines.append(json.dumps({"prompt": {"text": " ".join(words[: len(words) // 2])}}))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _example(prompt: list[dict[str, str]], answer: str, facts: dict[str, Any]) -> dict[str, str]:
    name = hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:16]
    split = "validation" if int(name[:8], 16) % 5 == 0 else "train"
    messages = json.dumps([*prompt, {"role": "assistant", "content": answer}])
    return {"id": name, "split": split, "messages": messages, "facts": json.dumps(facts), "component": name}
