"""Corrected answers as supervised examples: feedback that teaches without reinforcement learning.

Belongs here: which corrections are used, and their form. Does not: training on them (a recipe's `dataset.own_examples`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ddd_llm.feedback.labels import Item, Label, SpansValue
from ddd_llm.instructions.prompts import compose


def conversations(items: Mapping[str, Item], labels: Iterable[Label]) -> list[str]:
    """One line of JSON per corrected item, as `instructions.own` reads them: the prompt as it was shown, the corrected answer,
    the documents that the item shows, so that the example goes with them, and the guideline it was corrected under.

    Of several corrections of an item the latest is taken, of those of one moment the one of the last annotator by name. An answer
    whose correction is empty, or is the answer itself, gives none.
    """
    latest: dict[str, Label] = {}
    for label in sorted(labels, key=lambda one: (one.labelled_at or "", one.annotator)):
        if isinstance(label.value, SpansValue) and (label.value.corrected or "").strip():
            latest[label.item_id] = label
    lines = []
    for name in sorted(latest):
        item, value = items[name], latest[name].value
        assert isinstance(value, SpansValue) and value.corrected is not None
        corrected = value.corrected.strip()
        if corrected != item.responses[0].strip():
            asked = {"role": "user", "content": compose(item.passage, item.prompt)}
            said = {
                "messages": [asked, {"role": "assistant", "content": corrected}],
                "source_ids": list(item.source_ids),
                "guideline": f"{label.guideline} {label.guideline_version}",
            }
            lines.append(json.dumps(said, ensure_ascii=False))
    return lines
