"""Corrected answers as supervised examples: feedback that teaches without reinforcement learning.

Belongs here: which corrections are used, and their form. Does not: training on them (a recipe's `dataset.own_examples`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ddd_llm.feedback.labels import Item, Label
from ddd_llm.instructions.prompts import compose


def conversations(items: Mapping[str, Item], labels: Iterable[Label], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line of JSON per corrected item, as `instructions.own` reads them: the prompt as it was shown, the corrected answer,
    the documents that the item shows, so that the example goes with them, and the guideline it was corrected under.

    Nothing that is held out, and no answer whose correction is empty or is the answer itself.

    Args:
        items: by id.
        labels: those that the rows rest on; the latest version of the guideline among an answer's is the one named.
        rows: settled span feedback of people; columns item_id, response, value, label_ids and split are read.
    """
    versions = {label.id: label.guideline_version for label in labels}
    lines = {}
    for row in rows:
        corrected = (json.loads(row["value"])["corrected"] or "").strip()
        if row["split"] != "train" or corrected in ("", row["response"].strip()):
            continue
        item = items[row["item_id"]]
        version = max((int(versions[name]) for name in row["label_ids"]), default=None)
        said = {
            "messages": [
                {"role": "user", "content": compose(item.passage, item.prompt)},
                {"role": "assistant", "content": corrected},
            ],
            "source_ids": list(item.source_ids),
            "guideline": f"{item.guideline} {version}",
        }
        lines[row["item_id"]] = json.dumps(said, ensure_ascii=False)
    return [lines[name] for name in sorted(lines)]
