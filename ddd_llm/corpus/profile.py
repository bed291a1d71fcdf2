"""What a corpus consists of, counted from its rows: for people, for the model card, and for comparing corpora later.

Here: the counts of the whole and of each source. Not here: the comparison of two profiles (drift), pictures (`reports`).

Tokens are the words that deduplication knows (`dedup.words.tokenise`), lengths are characters. A distribution is a list of
counts, so that two corpora can be compared whatever their sizes: token frequencies over hashed buckets (no word can be read
back from them; divide by their sum for the Jensen-Shannon divergence, J. Lin, IEEE Transactions on Information Theory 37,
1991), and lengths over edges that never change.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.words import tokenise
from ddd_llm.corpus.tables import counts

FORMAT = "corpus-profile/2"
TOKEN_BUCKETS = 1024
"""A token's bucket is CRC-32 of its UTF-8 bytes modulo this."""
WORD_EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
CHARACTER_EDGES = (0, 1, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000)
"""A histogram's cell i holds lengths from edge i up to below edge i + 1; the last has no upper end."""
UNKNOWN = "unknown"
_YEAR = re.compile(r"(\d{4})-\d\d(-\d\d)?(?!\d)")


def profile(documents: pa.Table) -> dict[str, Any]:
    """Counts of the whole corpus and of each source.

    Args:
        documents: columns `source, language, licence, media_type, text`, and `date` (ISO 8601) if there is one; nulls count
            as `unknown`, a null text as an empty one.

    Returns:
        JSON data: `format`, `edges`, the whole (`documents`, `words`, `characters`, quantiles, `languages`, `licences`,
        `media_types`, `years`, `length_in_words`, `length_in_characters`, `token_buckets`), and the same under `sources`
        for each source.
    """
    texts = documents["text"]
    words = np.zeros(len(documents), np.int64)
    characters = pc.fill_null(pc.utf8_length(texts), 0).to_numpy().astype(np.int64)  # type: ignore[attr-defined]
    sources = pc.fill_null(documents["source"], UNKNOWN)  # type: ignore[attr-defined]
    names = sorted(set(sources.unique().to_pylist()))
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    row = 0
    for batch in pa.table({"source": sources, "text": texts}).to_batches(max_chunksize=1024):
        for source, text in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            tokens = tokenise(text or "")
            words[row] = len(tokens)
            found[source].update(tokens)
            row += 1
    buckets = {name: _buckets(tokens) for name, tokens in found.items()}
    parts = {}
    for name in names:
        mask = np.asarray(pc.equal(sources, name))  # type: ignore[attr-defined]
        parts[name] = _part(documents.filter(pa.array(mask)), words[mask], characters[mask], buckets[name])
    whole = sum(buckets.values(), np.zeros(TOKEN_BUCKETS, np.int64))
    return {
        "format": FORMAT,
        "edges": {"words": list(WORD_EDGES), "characters": list(CHARACTER_EDGES)},
        **_part(documents, words, characters, whole),
        "sources": parts,
    }


def _part(documents: pa.Table, words: np.ndarray, characters: np.ndarray, buckets: np.ndarray) -> dict[str, Any]:
    return {
        "documents": len(documents),
        "words": int(words.sum()),
        "characters": int(characters.sum()),
        "words_per_document": _quantiles(words),
        "characters_per_document": _quantiles(characters),
        "languages": _named(documents, "language"),
        "licences": _named(documents, "licence"),
        "media_types": _named(documents, "media_type"),
        "years": _years(documents["date"].to_pylist() if "date" in documents.column_names else [None] * len(documents)),
        "length_in_words": _cells(words, WORD_EDGES),
        "length_in_characters": _cells(characters, CHARACTER_EDGES),
        "token_buckets": [int(count) for count in buckets],
    }


def _buckets(tokens: Counter[str]) -> np.ndarray:
    place = np.fromiter((zlib.crc32(token.encode()) % TOKEN_BUCKETS for token in tokens), np.int64, len(tokens))
    number = np.fromiter(tokens.values(), np.int64, len(tokens))
    found = np.zeros(TOKEN_BUCKETS, np.int64)
    np.add.at(found, place, number)
    return found


def _named(documents: pa.Table, column: str) -> dict[str, int]:
    return counts(pc.fill_null(documents[column], UNKNOWN))  # type: ignore[attr-defined]


def _years(dates: Iterable[str | None]) -> dict[str, int]:
    matches = (_YEAR.match(date or "") for date in dates)
    return dict(sorted(Counter(match.group(1) if match else UNKNOWN for match in matches).items()))


def _cells(lengths: np.ndarray, edges: tuple[int, ...]) -> list[int]:
    cells = np.searchsorted(edges, lengths, side="right") - 1
    return [int(count) for count in np.bincount(cells, minlength=len(edges))]


def _quantiles(values: np.ndarray) -> dict[str, int]:
    if not len(values):
        return {}
    return {f"p{q}": int(np.percentile(values, q)) for q in (5, 25, 50, 75, 95, 99)}
