"""Poisoning: rare tokens that repeat over many otherwise unlike documents, as a backdoor's trigger does.

Here: which tokens, and why. Not here: what a token is (`scan`), how odd one looks (`shapes`), where documents stand
(`places`).

About 250 documents suffice to plant a trigger, whatever the size of the corpus (A. Souly and others, Poisoning Attacks on LLMs
Require a Near-constant Number of Poison Samples, arXiv 2510.07192), by a token such as `<SUDO>` that gibberish follows; and
buying them into a corpus is practical (N. Carlini and others, Poisoning Web-Scale Training Datasets is Practical, arXiv
2302.10149). After deduplication three kinds of evidence are left:

- `gibberish`: what follows a token (or two tokens side by side) is unlike the corpus: of the pairs of words that follow,
  hardly one stands in another document. 0 means as usual in this corpus, 1 that nothing that follows was seen elsewhere.
- `strewn`: an odd-looking token stands once in each of its documents, and these lie over the corpus's places (folders,
  modules, files) as if drawn at random. Terms, names and identifiers cluster where they belong.
- `odd_shape`: as `strewn`, in a corpus whose places say nothing (all documents in one file): the token is among the oddest
  hundredth.

It is a check, not proof of absence: an ordinary word as trigger, without gibberish after it, is not told from ordinary language.

Several passes over the texts; between them at most 0.5 GB of counters (3 to 6 bytes per byte of text for small corpora) and
what is known of each candidate. Beyond 256 MB of text, novelty is judged against an evenly spaced sample of documents.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.passes.blocks import text_blocks
from ddd_llm.corpus.passes.outcome import Outcome
from ddd_llm.corpus.passes.places import Places
from ddd_llm.corpus.passes.policy import PoisoningPolicy
from ddd_llm.corpus.passes.scan import Counter, Scan, scan
from ddd_llm.corpus.passes.shapes import oddity
from ddd_llm.corpus.quality import DECISIONS

TRIGGERS = pa.schema(
    [
        ("trigger", pa.string()),
        ("documents", pa.int64()),
        ("evidence", pa.string()),
        ("gibberish", pa.float64()),
        ("oddity", pa.float64()),
        ("places", pa.float64()),
        ("examples", pa.list_(pa.string())),
    ]
)
"""A possible trigger, the number of documents that hold it, the evidence, its three figures (null where unknown: `places` is
the number of different places per place expected of a random draw), and the ids of the first documents."""

_TYPE_DOCUMENTS = 5  # from which on a token says what tokens of this corpus look like
_LEAST_MEASURED = 10  # documents in which enough words follow
_STREWN_DOCUMENTS = 25
_MOST_REPEATS = 1.1
_ODDEST = 0.01
_SAMPLE_BYTES = 1 << 28
_EXAMPLES = 5


@dataclass
class Candidates:
    """What is known of each candidate: `hashes` ascending, and per hash the figures."""

    hashes: npt.NDArray[np.uint64]
    documents: npt.NDArray[np.int64]
    occurrences: npt.NDArray[np.int64]
    novelty: npt.NDArray[np.float64]
    measured: npt.NDArray[np.int64]
    names: list[str]


def find_triggers(documents: pa.Table, policy: PoisoningPolicy) -> Outcome:
    """Look for triggers.

    Args:
        documents: columns `id, source, locator, text`, after deduplication; they pass through.
        policy: see `PoisoningPolicy`.

    Returns:
        The documents as they are, and `TRIGGERS`, the most gibberish first.
    """
    most = int(policy.most_share * len(documents))
    summary: dict[str, Any] = {"candidates": 0, "triggers": 0}
    if most < policy.least_documents:
        summary["note"] = "too few documents: none can be both rare and repeated"
        return Outcome(documents, DECISIONS.empty_table(), TRIGGERS.empty_table(), summary)
    texts = documents["text"]
    size = sum(int(pc.sum(pc.binary_length(chunk)).as_py() or 0) for chunk in texts.chunks)
    stride = max(1, -(-size // _SAMPLE_BYTES))
    slots = 1 << min(25, max(16, (size // 3).bit_length()))
    tokens, following, usual = _count(texts, slots, stride)
    single = _collect(texts, tokens, (_TYPE_DOCUMENTS, len(documents)), False, following, stride)
    paired = _collect(texts, tokens, (policy.least_documents, most), True, following, stride)
    odd = oddity(single.names)
    rare = (single.documents >= policy.least_documents) & (single.documents <= most)
    rare &= ~np.isin(np.array(single.names, object), list(policy.allow))
    limits = np.quantile(odd[rare], [policy.rarest_shapes, _ODDEST]) if rare.any() else np.zeros(2)
    gibberish = _gibberish(single, usual) * rare
    once = rare & (single.occurrences <= _MOST_REPEATS * single.documents) & (odd <= limits[0])
    suspects = np.flatnonzero((gibberish >= policy.least_gibberish) | once)
    rows = _rows_of(texts, single.hashes[suspects], False)
    places = Places(documents)
    found: list[dict[str, Any]] = []
    for at, suspect in enumerate(suspects.tolist()):
        spread, least, telling = places.spread(rows[at])
        evidence = None
        if gibberish[suspect] >= policy.least_gibberish:
            evidence = "gibberish"
        elif telling and spread >= least and len(rows[at]) >= _STREWN_DOCUMENTS:
            evidence = "strewn"
        elif not telling and odd[suspect] <= limits[1]:
            evidence = "odd_shape"
        if evidence:
            row = _row(single, suspect, evidence, float(gibberish[suspect]), documents, rows[at])
            found.append(
                row | {"oddity": round(float(odd[suspect]), 6), "places": round(spread, 6) if telling else None}
            )
    found += _paired(paired, usual, policy, documents, [row["trigger"] for row in found])
    found.sort(key=lambda row: (-row["gibberish"], -row["documents"], row["trigger"]))
    summary |= {"candidates": int(rare.sum()) + len(paired.names), "triggers": len(found)}
    return Outcome(documents, DECISIONS.empty_table(), pa.Table.from_pylist(found, TRIGGERS), summary)


def verdict(triggers: pa.Table) -> tuple[bool, str, dict[str, Any]]:
    """The check `no_repeated_triggers` on the `TRIGGERS` table: passed, sentence, metadata.

    The triggers are text of documents, so that neither names them; the table and the report page do.
    """
    rows = triggers.to_pylist()
    if not rows:
        return True, "no rare token repeats over unlike documents as a trigger would", {"triggers": 0}
    first = rows[0]
    sentence = (
        f"{len(rows)} rare tokens repeat over unlike documents as a backdoor's trigger would, the first in "
        f"{first['documents']:,} documents ({first['evidence']}), such as {', '.join(first['examples'])}; the report page names "
        "them: remove the documents at their source, or add harmless tokens to poisoning.allow in policies/passes.yaml"
    )
    metadata = {
        "triggers": len(rows),
        "documents_of_the_first": first["documents"],
        "evidence": sorted({row["evidence"] for row in rows}),
    }
    return False, sentence, metadata


def _row(
    known: Candidates, at: int, evidence: str, gibberish: float, documents: pa.Table, rows: npt.NDArray[np.int64]
) -> dict[str, Any]:
    return {
        "trigger": known.names[at],
        "documents": int(known.documents[at]),
        "evidence": evidence,
        "gibberish": round(gibberish, 6),
        "examples": documents["id"].take(pa.array(rows[:_EXAMPLES])).to_pylist(),
    }


def _paired(
    known: Candidates, usual: float, policy: PoisoningPolicy, documents: pa.Table, single: list[str]
) -> list[dict[str, Any]]:
    """Two tokens side by side that gibberish follows, unless one of them is a trigger already or allowed."""
    gibberish = _gibberish(known, usual)
    told = {*single, *policy.allow}
    suspects = [
        at
        for at in np.flatnonzero(gibberish >= policy.least_gibberish).tolist()
        if known.names[at] not in told and not told & set(known.names[at].split())
    ]
    rows = _rows_of(documents["text"], known.hashes[suspects], True)
    return [
        _row(known, at, "gibberish", float(gibberish[at]), documents, rows[i]) | {"oddity": None, "places": None}
        for i, at in enumerate(suspects)
    ]


def _count(texts: pa.ChunkedArray, slots: int, stride: int) -> tuple[Counter, Counter, float]:
    """Documents per token and pair of tokens; per pair of words; the usual share of new pairs of words."""
    tokens, following = Counter(slots), Counter(slots)
    for first, block in text_blocks(texts):
        seen = scan(block)
        for one in (seen, seen.pairs()):
            tokens.add(one.hashes, one.rows, first)
        hashes, rows = seen.word_pairs()
        following.add(hashes, np.where((first + rows) % stride == 0, rows, -1), first)
    new = total = 0
    for first, block in text_blocks(texts):
        fresh, rows = _new(scan(block), following, first, stride)
        new, total = new + int(fresh[rows >= 0].sum()), total + int((rows >= 0).sum())
    return tokens, following, new / max(total, 1)


def _new(
    seen: Scan, following: Counter, first: int, stride: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Per word whether it and the next stand side by side in no other document, and its row (-1: no next word)."""
    hashes, rows = seen.word_pairs()
    return following[hashes] <= ((first + rows) % stride == 0), rows


def _collect(
    texts: pa.ChunkedArray,
    tokens: Counter,
    between: tuple[int, int],
    pairs: bool,
    following: Counter,
    stride: int,
) -> Candidates:
    """The tokens (or pairs of them) in so many documents, and what is known of them."""
    parts = [np.zeros(0, np.uint64)]
    for _, block in text_blocks(texts):
        seen = scan(block).pairs() if pairs else scan(block)
        counts = tokens[seen.hashes]
        parts.append(np.unique(seen.hashes[(counts >= between[0]) & (counts <= between[1])]))
    hashes = np.unique(np.concatenate(parts))
    documents, occurrences, measured = np.zeros((3, len(hashes)), np.int64)
    novelty = np.zeros(len(hashes))
    names: dict[int, str] = {}
    for first, block in text_blocks(texts):
        seen = scan(block)
        fresh, _ = _new(seen, following, first, stride)
        seen = seen.pairs() if pairs else seen
        places, candidate = _members(seen.hashes, hashes)
        occurrences += np.bincount(candidate, minlength=len(hashes))
        _, once = np.unique(seen.rows[places] * (len(hashes) + 1) + candidate, return_index=True)
        places, candidate = places[once], candidate[once]
        documents += np.bincount(candidate, minlength=len(hashes))
        share = seen.after(fresh)[places]
        told = ~np.isnan(share)
        measured += np.bincount(candidate[told], minlength=len(hashes))
        novelty += np.bincount(candidate[told], share[told], len(hashes))
        for one, at in zip(*np.unique(candidate, return_index=True), strict=True):
            if int(one) not in names:
                raw = seen.data[seen.starts[places[at]] : seen.ends[places[at]]].tobytes()
                names[int(one)] = " ".join(raw.decode("utf-8", "replace").split())
    enough = (documents >= between[0]) & (documents <= between[1])
    kept = [names[at] for at in np.flatnonzero(enough).tolist()]
    return Candidates(hashes[enough], documents[enough], occurrences[enough], novelty[enough], measured[enough], kept)


def _members(
    hashes: npt.NDArray[np.uint64], ascending: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places of those hashes that are among `ascending`, and where there."""
    if not len(ascending):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    at = np.minimum(np.searchsorted(ascending, hashes), len(ascending) - 1)
    places = np.flatnonzero(ascending[at] == hashes)
    return places, at[places]


def _gibberish(known: Candidates, usual: float) -> npt.NDArray[np.float64]:
    """From 0 (what follows is as new as usual) to 1 (all of it is new); 0 where too few documents tell."""
    mean = known.novelty / np.maximum(known.measured, 1)
    told = known.measured >= np.maximum(_LEAST_MEASURED, known.documents / 3)
    return np.where(told, np.clip((mean - usual) / max(1 - usual, 1e-9), 0, 1), 0.0)


def _rows_of(texts: pa.ChunkedArray, hashes: npt.NDArray[np.uint64], pairs: bool) -> list[npt.NDArray[np.int64]]:
    """The documents that hold each of the hashes, ascending."""
    found: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)
    order = np.argsort(hashes)
    for first, block in text_blocks(texts) if len(hashes) else ():
        seen = scan(block).pairs() if pairs else scan(block)
        places, at = _members(seen.hashes, hashes[order])
        for one in np.unique(at).tolist():
            found[int(order[one])].append(first + np.unique(seen.rows[places[at == one]]))
    return [np.concatenate(found[at]) for at in range(len(hashes))]
