"""Boilerplate: paragraphs that many documents share are taken out of all but the first of them.

Here: which paragraphs are boilerplate, and the documents without them. Not here: what a paragraph is (`paragraphs`).

Two passes over the documents; between them 12 bytes per paragraph stay in memory. A paragraph found by its hash is compared in
full before it goes. The first paragraph of a docstring document is its signature, made by machine: it counts as
no text. Paragraph-level deduplication as in C. Raffel and others (JMLR 21, 2020, section 2.2) and CCNet (G. Wenzek and others,
LREC 2020, section 3.1), with a threshold so that text which few documents share stays.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.filters.document import DOCSTRING
from ddd_llm.corpus.passes.blocks import text_blocks
from ddd_llm.corpus.passes.outcome import Outcome, drop
from ddd_llm.corpus.passes.paragraphs import code, hashes, key, spans
from ddd_llm.corpus.passes.policy import BoilerplatePolicy
from ddd_llm.corpus.text import normalise

RULE = "boilerplate/1"
REASON = "only_boilerplate"
CLEANING = pa.schema([("id", pa.string()), ("rules", pa.list_(pa.string())), ("paragraphs", pa.int32())])
"""One row per document whose text changed: the rules that changed it, in order, and how many paragraphs went."""


def remove_boilerplate(documents: pa.Table, policy: BoilerplatePolicy) -> Outcome:
    """Take shared paragraphs out of all documents but the first.

    Args:
        documents: columns `id, source, locator, batch, media_type, text` and any others, which pass through.
        policy: see `BoilerplatePolicy`.

    Returns:
        The documents, those with nothing left but boilerplate dropped (`only_boilerplate`), and `CLEANING`. Texts in which
        nothing was found are the same bytes as before; of others all that stays is.
    """
    signature = pc.fill_null(pc.equal(documents["media_type"], DOCSTRING), False).to_numpy()
    shared, kinds = _shared(documents, signature, policy)
    seen: dict[int, tuple[str, int]] = {}
    texts: list[pa.Array] = []
    dropped = np.zeros(len(documents), np.bool_)
    changed: list[tuple[int, int]] = []
    for first, block in text_blocks(documents["text"]):
        new: dict[int, str | None] = {}
        for row, marked in _marked(block, shared):
            place = first + row
            text = block[row].as_py()
            new_text, removed = _cleaned(text, place, marked, bool(signature[place]), seen, policy)
            if new_text is None:
                dropped[place] = True
            elif removed:
                changed.append((place, removed))
                new[row] = new_text
        texts.append(_replaced(block, new))
    column = pa.chunked_array(texts, pa.large_string()).cast(documents.schema.field("text").type)
    cleaned = documents.set_column(documents.column_names.index("text"), documents.schema.field("text"), column)
    kept, decisions = drop(cleaned, dropped, REASON)
    ids = documents["id"].take(pa.array([place for place, _ in changed], pa.int64()))
    rows = {"id": ids, "rules": [[RULE]] * len(changed), "paragraphs": [count for _, count in changed]}
    summary = {
        "paragraphs": kinds,
        "shared_paragraphs": len(shared),
        "documents_changed": len(changed),
        "paragraphs_removed": sum(count for _, count in changed),
        "documents_dropped": int(dropped.sum()),
        "samples": [
            words[:300] for words in sorted((words for words, _ in seen.values()), key=lambda w: (-len(w), w))[:12]
        ],
    }
    return Outcome(kept, decisions, pa.table(rows, CLEANING), summary)


def _shared(
    documents: pa.Table, signature: npt.NDArray[np.bool_], policy: BoilerplatePolicy
) -> tuple[npt.NDArray[np.uint64], int]:
    """The hashes of paragraphs that the policy calls boilerplate, ascending, and the number of different paragraphs."""
    source_of = pc.index_in(documents["source"], value_set=documents["source"].unique()).to_numpy()
    parts, sources = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for first, block in text_blocks(documents["text"]):
        found, sizes, rows, places = hashes(block)
        counted = (sizes >= policy.least_characters) & ~((places == 0) & signature[first + rows])
        once = _distinct(rows[counted], found[counted])
        parts.append(found[counted][once])
        sources.append(source_of[first + rows[counted][once]].astype(np.int32))
    found, source = np.concatenate(parts), np.concatenate(sources)
    values, counts = np.unique(found, return_counts=True)
    often = counts > policy.more_than_documents
    values_often, counts_often = values[often], counts[often]
    member = _is_in(found, values_often)
    pairs = np.unique(np.stack([np.searchsorted(values_often, found[member]), source[member].astype(np.int64)]), axis=1)
    source_counts = np.bincount(pairs[0], minlength=len(values_often))
    wide = (source_counts >= policy.least_sources) | (counts_often >= policy.least_share * len(documents))
    return values_often[wide], len(values)


def _distinct(rows: npt.NDArray[np.int64], found: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Positions of each paragraph's first occurrence in its document, ascending."""
    order = np.lexsort((found, rows))
    same = (np.diff(rows[order]) == 0) & (found[order][1:] == found[order][:-1])
    return np.sort(order[np.concatenate(([True], ~same))]) if len(order) else order


def _is_in(found: npt.NDArray[np.uint64], ascending: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(found), np.bool_)
    return ascending[np.minimum(np.searchsorted(ascending, found), len(ascending) - 1)] == found


def _marked(block: pa.Array, shared: npt.NDArray[np.uint64]) -> list[tuple[int, dict[int, int]]]:
    """Rows that hold a shared paragraph, ascending, each with place -> hash of its shared paragraphs."""
    found, _, rows, places = hashes(block)
    marked: dict[int, dict[int, int]] = {}
    for i in np.flatnonzero(_is_in(found, shared)).tolist():
        marked.setdefault(int(rows[i]), {})[int(places[i])] = int(found[i])
    return sorted(marked.items())


def _cleaned(
    text: str,
    document: int,
    marked: dict[int, int],
    has_signature: bool,
    seen: dict[int, tuple[str, int]],
    policy: BoilerplatePolicy,
) -> tuple[str | None, int]:
    """The text without its shared paragraphs (None: nothing else was in it), and how many went.

    `seen` is carried from document to document: the words of each shared paragraph, and the document it stood in first.
    """
    paragraphs = spans(text)
    is_code = code(text, paragraphs) if policy.exempt_code else [False] * len(paragraphs)
    gone: set[int] = set()
    for place, found in sorted(marked.items()):
        if is_code[place] or (has_signature and place == 0):
            continue
        words = key(text[slice(*paragraphs[place])])
        known, first = seen.setdefault(found, (words, document))
        if known == words and not (policy.keep == "first" and first == document):
            gone.add(place)
    if not gone:
        return text, 0
    left = [i for i in range(len(paragraphs)) if i not in gone]
    if not [i for i in left if not (has_signature and i == 0)]:
        return None, len(gone)
    # Each paragraph goes together with the blank lines after it.
    begins = [begin for begin, _ in paragraphs] + [len(text)]
    return normalise("".join(text[begins[i] : begins[i + 1]] for i in left)), len(gone)


def _replaced(block: pa.Array, new: dict[int, str | None]) -> pa.Array:
    if not new:
        return block
    mask = np.zeros(len(block), np.bool_)
    mask[list(new)] = True
    return pc.replace_with_mask(block, pa.array(mask), pa.array([new[row] for row in sorted(new)], pa.large_string()))
