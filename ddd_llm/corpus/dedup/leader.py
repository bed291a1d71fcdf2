"""Deduplication of a corpus: every document kept, or dropped for a kept one that it verifiably resembles.

Here: the policy, the keep order, and the decision table. Not here: signatures, candidates and similarities themselves.

The method is greedy leader clustering (J. Hartigan, Clustering Algorithms, 1975, chapter 3): documents are visited in
keep order, and one is dropped if and only if a document already kept is a candidate of exact similarity at or above the
threshold. Chains of similar documents therefore never drop a document that resembles none of the kept ones, as
connected components do.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.corpus.dedup.blocks import Texts
from ddd_llm.corpus.dedup.candidates import band_keys, fewest_matches, rare_buckets, share_a_band
from ddd_llm.corpus.dedup.jaccard import Election, ShingleSets, elect, shingle_sets
from ddd_llm.corpus.dedup.signatures import SignatureConfig, signature_values

Criterion = Literal["batch", "source", "longest", "shortest", "locator"]

DECISIONS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("locator", pa.string()),
        ("batch", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("kept_id", pa.string()),
        ("kept_source", pa.string()),
        ("kept_locator", pa.string()),
        ("jaccard", pa.float64()),
    ]
)


class DedupPolicy(BaseModel):
    """What counts as a duplicate, and which of two duplicates stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(default=0.8, gt=0, le=1, description="Least exact Jaccard similarity to the leader.")
    bands: int = Field(default=25, ge=1, description="LSH bands; more of them miss fewer duplicates, at more work.")
    rows: int = Field(default=5, ge=1, description="Signature values per band.")
    order: tuple[Criterion, ...] = Field(
        default=("batch", "source", "longest", "locator"),
        description="Who is kept first: earlier batch, source by `sources`, more or fewer bytes, lesser locator.",
    )
    sources: tuple[str, ...] = Field(default=(), description="Sources, the most trusted first; others follow by name.")
    signature: SignatureConfig = SignatureConfig()

    @model_validator(mode="after")
    def _bands_fit(self) -> "DedupPolicy":
        if self.bands * self.rows > self.signature.num_perm:
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows need {self.bands * self.rows} permutations, "
                f"and a signature has {self.signature.num_perm}"
            )
        return self


@dataclass(frozen=True)
class DedupResult:
    """`kept` has the input's columns, `decisions` (one row per input row) those of `DECISIONS`; both in keep order."""

    kept: pa.Table
    decisions: pa.Table


def deduplicate(
    documents: pa.Table,
    signatures: pa.Table,
    policy: DedupPolicy,
    batches: Sequence[str] | None = None,
    threads: int | None = None,
) -> DedupResult:
    """Keep one of each group of duplicates.

    Rows of equal `id` are one document: the first in keep order stays for it ("exact_duplicate"). Then the greedy leader
    decides ("near_duplicate"). A dropped row names the kept row it resembles most and their exact similarity, at least
    `policy.threshold`; this holds for copies of a dropped document too. A document without tokens resembles nothing.

    Args:
        documents: columns `id, source, locator, batch, text` and any others, which pass through.
        signatures: columns `id, signature, shingles` as `signatures()` makes them under `policy.signature`, at least
            a row for each id; rows beyond that do no harm.
        policy: see `DedupPolicy`.
        batches: all batch names, oldest first; by default in the order of their names.
        threads: all available CPUs by default; no effect on the result.

    Raises:
        ValueError: a column is missing or holds a null, an id stands for two texts or has no signature or one made from
            another text or configuration, or a batch is not in `batches`.
    """
    _require(documents, "documents", ("id", "source", "locator", "batch", "text"))
    _require(signatures, "signatures", ("id", "signature", "shingles"))
    documents = documents.take(_keep_order(documents, policy, batches))
    row_numbers = np.arange(len(documents))
    first = _first_of_id(documents["id"])
    copies = np.flatnonzero(first != row_numbers)
    texts = documents["text"]
    if pc.any(pc.not_equal(texts.take(pa.array(copies)), texts.take(pa.array(first[copies])))).as_py():
        raise ValueError("one document id stands for two different texts")
    rows = np.flatnonzero(first == row_numbers)
    distinct = documents.select(["id", "text"]).take(pa.array(rows))
    election = _elect_leaders(distinct["id"], distinct["text"], signatures, policy, threads)

    place = np.cumsum(first == row_numbers) - 1  # of a first row, among the distinct documents
    of_first = place[first]
    near = election.leader[of_first] >= 0
    leader = np.where(near, np.append(rows, -1)[election.leader[of_first]], first)
    dropped = leader != row_numbers
    return DedupResult(
        documents.filter(pa.array(~dropped)),
        _decisions(documents, leader, dropped, near, np.where(near, election.similarity[of_first], 1.0)),
    )


def _require(table: pa.Table, what: str, columns: tuple[str, ...]) -> None:
    for name in columns:
        if name not in table.column_names:
            raise ValueError(f"{what} have no column {name!r}")
        if table[name].null_count:
            raise ValueError(f"column {name!r} of {what} holds {table[name].null_count} nulls")


def _keep_order(documents: pa.Table, policy: DedupPolicy, batches: Sequence[str] | None) -> pa.Array:
    # Row numbers in keep order. Ties go by source, locator, batch and id, which no two rows have in common.
    keys: dict[str, tuple[pa.ChunkedArray | pa.Array, str]] = {}
    for criterion in policy.order:
        match criterion:
            case "batch":
                names = sorted(documents["batch"].unique().to_pylist()) if batches is None else batches
                rank = pc.index_in(documents["batch"], value_set=pa.array(names, pa.string()))
                if rank.null_count:
                    raise ValueError(f"{rank.null_count} documents are of a batch that `batches` does not name")
                keys["batch_rank"] = (rank, "ascending")
            case "source":
                trusted = pc.index_in(documents["source"], value_set=pa.array(policy.sources, pa.string()))
                keys["source_rank"] = (pc.fill_null(trusted, len(policy.sources)), "ascending")
                keys["source_name"] = (documents["source"], "ascending")
            case "longest" | "shortest":
                direction = "descending" if criterion == "longest" else "ascending"
                keys["length"] = (pc.binary_length(documents["text"]), direction)
            case "locator":
                keys["locator_name"] = (documents["locator"], "ascending")
    for name in ("source", "locator", "batch", "id"):
        keys[name] = (documents[name], "ascending")
    table = pa.table({name: column for name, (column, _) in keys.items()})
    return pc.sort_indices(table, sort_keys=[(name, direction) for name, (_, direction) in keys.items()])


def _first_of_id(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    # For each row the first row of the same id.
    codes = pc.dictionary_encode(ids).combine_chunks().indices.to_numpy(zero_copy_only=False)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _elect_leaders(
    ids: pa.ChunkedArray, texts: pa.ChunkedArray, signatures: pa.Table, policy: DedupPolicy, threads: int | None
) -> Election:
    # The election among documents of distinct ids, given in keep order.
    found = pc.index_in(ids, value_set=signatures["id"])
    if found.null_count:
        raise ValueError(f"{found.null_count} documents have no signature")
    signed = signatures.select(["signature", "shingles"]).take(found)
    values = signature_values(signed["signature"], policy.signature)
    shingles = signed["shingles"].to_numpy()
    looked_at = share_a_band(band_keys(values, policy.bands, policy.rows), shingles > 0)
    sets = _sets_of(texts, np.flatnonzero(looked_at), shingles, policy.signature.ngram, threads)
    groups = rare_buckets(sets.hashes, sets.offsets, policy.threshold)
    return elect(values, groups, sets, fewest_matches(policy.signature.num_perm, policy.threshold), policy.threshold)


def _sets_of(
    texts: Texts, rows: npt.NDArray[np.int64], shingles: npt.NDArray[np.int32], ngram: int, threads: int | None
) -> ShingleSets:
    # The sets of the given rows; the others' are left empty.
    found = shingle_sets(texts.take(pa.array(rows)), ngram, threads)
    if (found.sizes > shingles[rows]).any() or ((found.sizes == 0) != (shingles[rows] == 0)).any():
        raise ValueError("signatures were made from other texts, or with other shingles, than the documents have")
    sizes = np.zeros(len(texts) + 1, np.int64)
    sizes[rows + 1] = found.sizes
    return ShingleSets(found.hashes, np.cumsum(sizes))


def _decisions(
    documents: pa.Table,
    leader: npt.NDArray[np.int64],
    dropped: npt.NDArray[np.bool_],
    near: npt.NDArray[np.bool_],
    similarity: npt.NDArray[np.float64],
) -> pa.Table:
    is_dropped = pa.array(dropped)
    reason = np.where(near, "near_duplicate", "exact_duplicate")
    kept = documents.select(["id", "source", "locator"]).take(pa.array(leader, mask=~dropped))
    columns = {name: documents[name] for name in ("id", "source", "locator", "batch")}
    columns["verdict"] = pc.if_else(is_dropped, "dropped", "kept")
    columns["reason"] = pa.array(reason.astype(object), pa.string(), mask=~dropped)
    columns["kept_id"], columns["kept_source"], columns["kept_locator"] = kept["id"], kept["source"], kept["locator"]
    columns["jaccard"] = pa.array(similarity, mask=~dropped)
    return pa.table({name: columns[name] for name in DECISIONS.names}).cast(DECISIONS)
