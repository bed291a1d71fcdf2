"""What a corpus consists of, counted from its rows: for people, for the model card, and for comparing corpora later."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.tables import counts

WORD = re.compile(r"\w+")


def profile(documents: pa.Table) -> dict[str, Any]:
    """Counts, token and length quantiles, and shares per source, language, licence and media type.

    Tokens are words (`\\w+`), lengths are characters.
    """
    words = np.fromiter((len(WORD.findall(t)) for t in documents["text"].to_pylist()), np.int64, len(documents))
    characters = pc.utf8_length(documents["text"]).to_numpy()  # type: ignore[attr-defined]
    per_source: dict[str, dict[str, int]] = {}
    for name, count in counts(documents["source"]).items():
        mask = np.asarray(pc.equal(documents["source"], name))  # type: ignore[attr-defined]
        per_source[name] = {"documents": count, "words": int(words[mask].sum())}
    return {
        "documents": len(documents),
        "words": int(words.sum()),
        "characters": int(characters.sum()),
        "words_per_document": _quantiles(words),
        "sources": per_source,
        "languages": counts(documents["language"]),
        "licences": counts(documents["licence"]),
        "media_types": counts(documents["media_type"]),
    }


def _quantiles(values: np.ndarray) -> dict[str, int]:
    if not len(values):
        return {}
    return {f"p{q}": int(np.percentile(values, q)) for q in (5, 25, 50, 75, 95, 99)}
