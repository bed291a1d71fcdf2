"""Does a finished dataset leak from one split into another?

Here belongs the independent check: it reads the dataset's rows alone, knows nothing of how splits were made, and counts
similarity in its own plain way (an inverted index, every count exact), so that a fault of the splitter or of its search
for near-duplicates cannot hide. Only the form of a prompt (`prompts.passage_of`) is shared. Here does not belong any
mending.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from ddd_llm.instructions.prompts import passage_of

Kind = Literal["same_module", "same_source", "same_component", "same_prompt", "near_duplicate_passage"]

_COLUMNS = ["id", "split", "module", "component", "source_ids", "messages"]
_SHINGLE = 5


@dataclass(frozen=True)
class Finding:
    """Two examples of different splits that share what they must not, and how much of it (1.0 unless a similarity)."""

    kind: Kind
    left_id: str
    left_split: str
    right_id: str
    right_split: str
    similarity: float = 1.0


def find_leaks(examples: pa.Table, threshold: float = 0.5) -> list[Finding]:
    """Look for leaks between splits.

    Checked: a module, a source document, a component or a whole prompt that occurs in two splits; and passages (for
        prompts
    of another form: the prompt's text) with word 5-gram Jaccard similarity >= `threshold`. Closed-book prompts have no
    passage and are compared as whole prompts only, as their wording is shared by design.

    Args:
        examples: columns `id, split, slice, module, component, source_ids, messages, generator`.
        threshold: similarity from which passages count as near-duplicates.

    Returns:
        Findings, one per shared thing and pair of splits (naming the first two examples by id) or per pair of passages,
        sorted; empty if there is no leak.
    """
    rows = sorted(examples.select([*_COLUMNS, "slice", "generator"]).to_pylist(), key=lambda row: row["id"])
    prompts = [_prompt(row["messages"]) for row in rows]
    findings = [
        *_shared("same_module", ((row["module"], row) for row in rows)),
        *_shared("same_component", ((row["component"], row) for row in rows)),
        *_shared("same_source", ((source, row) for row in rows for source in row["source_ids"])),
        *_shared("same_prompt", ((prompt, row) for prompt, row in zip(prompts, rows, strict=True))),
        *_near_duplicates(rows, prompts, threshold),
    ]
    return sorted(set(findings), key=lambda f: (f.kind, f.left_id, f.right_id))


def _prompt(messages: str) -> str:
    return "\n".join(message["content"] for message in json.loads(messages)[:-1])


def _shared(kind: Kind, keyed: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Finding]:
    first: dict[str, dict[str, str]] = defaultdict(dict)
    for key, row in keyed:
        first[key].setdefault(row["split"], row["id"])
    found = []
    for splits in first.values():
        (one, example), *others = splits.items()
        found += [Finding(kind, example, one, other_example, other) for other, other_example in others]
    return found


def _near_duplicates(rows: list[dict[str, Any]], prompts: list[str], threshold: float) -> list[Finding]:
    """Exact Jaccard of every pair of passages of different splits that share a 5-gram.

    Splits are taken from the smallest to the largest; each is looked up in an index of those before it, so the index
    stays small and the largest split is only read.
    """
    passages: dict[str, dict[str, str]] = defaultdict(dict)
    for row, prompt in zip(rows, prompts, strict=True):
        passage = passage_of(prompt)
        if passage is None and (row["slice"] == "open_book" or not _is_generated(row)):
            passage = prompt
        if passage is not None:
            passages[row["split"]].setdefault(passage, row["id"])
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    known: list[tuple[str, str, int]] = []
    found: list[Finding] = []
    for split in sorted(passages, key=lambda name: (len(passages[name]), name)):
        grams = [(example, _grams(passage)) for passage, example in passages[split].items()]
        for example, own in grams:
            shared = Counter(place for gram in own for place in index.get(gram, ()))
            for place, count in shared.items():
                other, other_split, size = known[place]
                similarity = count / (len(own) + size - count)
                if similarity >= threshold:
                    found.append(_ordered(example, split, other, other_split, similarity))
        for example, own in grams:
            for gram in own:
                index[gram].append(len(known))
            known.append((example, split, len(own)))
    return found


def _is_generated(row: Mapping[str, Any]) -> bool:
    return row["generator"] != "own"


def _ordered(left: str, left_split: str, right: str, right_split: str, similarity: float) -> Finding:
    if left > right:
        left, left_split, right, right_split = right, right_split, left, left_split
    return Finding("near_duplicate_passage", left, left_split, right, right_split, similarity)


def _grams(passage: str) -> set[tuple[str, ...]]:
    tokens = re.findall(r"\w+", passage.lower())
    if len(tokens) < _SHINGLE:
        return {tuple(tokens)} if tokens else set()
    return set(zip(*(tokens[offset:] for offset in range(_SHINGLE)), strict=False))
