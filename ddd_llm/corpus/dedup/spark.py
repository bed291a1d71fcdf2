"""Deduplication on Spark: the local engine's kernels and its decisions, over as many machines as there are.

Here: the steps between documents and decisions, as Spark sees them. Not here: sessions (`spark_session`), connected
components (`spark_components`), what runs in the Python workers (`spark_rows`).

1. Documents become sketches, partition by partition; texts go no further.
2. Documents that share an LSH band or an id are joined to the first of them: a star per key, never all pairs.
3. The connected components of these edges are found. A document that shares nothing is kept and takes part in no more.
4. Whole components, many to a bucket, are decided by the local engine's `decide_in_order`. A document is compared with
   none that it shares no band or id with, so that deciding components apart is deciding all together.

Neither partitions nor the order of rows change a decision: a worker sorts what it gets into the keep order.

Memory: a Python worker holds the sets and names of one bucket: about `BUCKET_BYTES` of sets, or those of the largest
component that it has (8 bytes per distinct shingle, so that a template with a million copies of 250 words takes
2 GB); in step 2 the keys of one partition, 16 bytes each. Java's side sorts and spills to disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.corpus.dedup.order import NEEDED
from ddd_llm.corpus.dedup.policy import DECISIONS, DedupPolicy
from ddd_llm.corpus.dedup.spark_components import connected_components, cut
from ddd_llm.corpus.dedup.spark_rows import SKETCHED, decide_rows, sketch_rows, star_rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

BUCKET_BYTES = 16 << 20  # of shingle sets: some thousands of documents, over which a call's own cost is spread
_BROADCAST_ROWS = 1_000_000  # of the components' table: below that it goes to the sketches, not they to it
_NAMES = ("id", "source", "locator", "batch")
_DECIDED = ", ".join(
    [*(f"{name} {'double' if name == 'jaccard' else 'string'}" for name in DECISIONS.names), "clash boolean"]
)


def deduplicate_on_spark(
    session: "SparkSession",
    documents: "DataFrame | Sequence[str]",
    policy: DedupPolicy,
    batches: Sequence[str] | None = None,
) -> "DataFrame":
    """A decision on every document: those of `memory.deduplicate` on the same documents.

    Args:
        session: from `spark_session`, or one with its `SETTINGS`.
        documents: Parquet files or folders (URIs that the session can read), or a data frame. Columns
            `id, source, locator, batch, text`; `quality` and `date` where the policy looks at them (taken for unknown
            where absent); `why` (string) where rows may not be current (`state.fold`; null for those that are). Others
            are not looked at. Equal ids mean equal texts.
        policy: see `DedupPolicy`.
        batches: all batch names, oldest first; by default in the order of their names.

    Returns:
        The columns of `policy.DECISIONS`, a row per document in no particular order, computed already and held by the
        session (`collected` brings them here).

    Raises:
        ValueError: no path is given, or Spark would pass one over; a column is missing or is no string; a current
            document holds a null; a batch is not in `batches`; an id stands for two texts.
    """
    frame = documents if not isinstance(documents, Sequence) else _read(session, documents)
    sketches = cut(_sketched(frame, policy))
    found = _checked(sketches, batches)
    components = connected_components(_edges(sketches))
    members = components.count()
    components = components.hint("broadcast") if members <= _BROADCAST_ROWS else components
    buckets = 1 + found.size * members // max(found.rows, 1) // BUCKET_BYTES
    decided = _decided(sketches, components, buckets, policy, found.batches)
    decisions = cut(decided.unionByName(_alone(sketches, components)))
    rows, clashes = decisions.selectExpr("count(*)", "count_if(clash)").first() or (0, 0)
    if clashes:
        raise ValueError("one document id stands for two different texts")
    if rows != found.rows:
        raise RuntimeError(
            f"Spark decided {rows} rows of {found.rows}; this is a fault of the engine, not of the documents"
        )
    return decisions.drop("clash")


def collected(decisions: "DataFrame") -> pa.Table:
    """Decisions as a table in memory (`policy.DECISIONS`), by source, locator, batch, id and verdict."""
    table = decisions.select(*DECISIONS.names).toArrow().cast(DECISIONS)
    return table.sort_by([(name, "ascending") for name in ("source", "locator", "batch", "id", "verdict")])


def write_by_batch(decisions: "DataFrame", folder: str, batches: Sequence[str]) -> None:
    """Decisions as Parquet files that the executors write, those of batch N of `batches` in the folder `number=N`.

    No more of them than one batch's need then be held here at a time (`read_batch`). A batch without rows has no folder.
    """
    from pyspark.sql import functions as fn

    number = fn.array_position(fn.array(*map(fn.lit, batches)), fn.col("batch")) - 1
    numbered = decisions.select(*DECISIONS.names, number.alias("number"))
    numbered.repartition("number").write.partitionBy("number").mode("overwrite").parquet(folder)


def read_batch(folder: Path, number: int) -> pa.Table:
    """The decisions on one batch that `write_by_batch` wrote (`policy.DECISIONS`), in no particular order."""
    files = sorted((folder / f"number={number}").glob("*.parquet"))
    parts = (pq.read_table(file, partitioning=None).cast(DECISIONS) for file in files)
    return pa.concat_tables([DECISIONS.empty_table(), *parts])


def _read(session: "SparkSession", paths: Sequence[str]) -> "DataFrame":
    if isinstance(paths, str) or not paths:
        raise ValueError("documents must be a data frame or a list of at least one Parquet path")
    for path in paths:
        if path.rstrip("/").rpartition("/")[2][:1] in ("_", "."):
            raise ValueError(f"Spark passes over files whose names begin with '_' or '.': {path}")
        # Spark 4.3 takes them for patterns, and where told not to reads a plain path beside them twice.
        if set(path) & set("*?[]{}\\"):
            raise ValueError(f"Spark takes *?[]{{}}\\ in a path for a pattern: {path}")
    # Files may differ in the columns that are not needed.
    return session.read.option("mergeSchema", "true").parquet(*paths)


def _sketched(documents: "DataFrame", policy: DedupPolicy) -> "DataFrame":
    from pyspark.sql import functions as fn
    from pyspark.sql.types import NullType, StringType

    kinds = {field.name: field.dataType for field in documents.schema.fields}
    for name in (*_NAMES, "text"):
        if name not in kinds:
            raise ValueError(f"documents have no column {name!r}")
    for name in (*_NAMES, "text", "why"):
        if not isinstance(kinds.get(name, StringType()), StringType | NullType):
            raise ValueError(f"column {name!r} of documents must hold strings, not {kinds[name].simpleString()}")

    def column(name: str, kind: str) -> "Column":
        known = name in kinds and not isinstance(kinds[name], NullType)
        return (fn.col(f"`{name}`") if known else fn.lit(None).cast(kind)).alias(name)

    looked_at = {NEEDED[criterion] for criterion in policy.order if criterion in NEEDED} - {"bytes"}
    extra = [column(name, "double" if name == "quality" else "string") for name in sorted(looked_at)]
    # A collation that takes unlike strings for equal ends here.
    plain = [column(name, "string").cast("string").alias(name) for name in (*_NAMES, "why", "text")]
    chosen = documents.select(*plain, *extra)
    fields = [f"`{field.name}` {field.dataType.simpleString()}" for field in chosen.schema if field.name != "text"]
    schema = ", ".join([*fields, *(f"{name} {kind}" for name, kind in SKETCHED.items())])
    made = chosen.mapInArrow(partial(sketch_rows, config=policy.signature), schema)
    return made.withColumn("node", fn.monotonically_increasing_id())


@dataclass(frozen=True)
class _Found:
    """Of all documents: how many, bytes of their sets, and their batches' names, oldest first."""

    rows: int
    size: int
    batches: tuple[str, ...]


def _checked(sketches: "DataFrame", batches: Sequence[str] | None) -> _Found:
    # Raises where something is wrong with the documents.
    from pyspark.sql import functions as fn

    nulls = {name: f"count_if(why is null and {name} is null)" for name in ("id", "source", "locator")}
    nulls["text"] = "count_if(why is null and bytes is null)"
    counted = [f"{expression} as {name}" for name, expression in nulls.items()]
    per_batch = (
        sketches.groupBy("batch")
        .agg(*map(fn.expr, ["count(*) as rows", "coalesce(sum(octet_length(sets)), 0) as size", *counted]))
        .collect()
    )
    totals = {name: sum(row[name] for row in per_batch) for name in nulls}
    totals["batch"] = sum(row["rows"] for row in per_batch if row["batch"] is None)
    for name in (*_NAMES, "text"):
        if totals[name]:
            raise ValueError(f"column {name!r} of documents holds {totals[name]} nulls")
    present = sorted(row["batch"] for row in per_batch)
    names = tuple(present if batches is None else batches)
    unknown = sum(row["rows"] for row in per_batch if row["batch"] not in names)
    if unknown:
        raise ValueError(f"{unknown} documents are of a batch that `batches` does not name")
    return _Found(sum(row["rows"] for row in per_batch), sum(row["size"] for row in per_batch), names)


def _edges(sketches: "DataFrame") -> "DataFrame":
    # From each document of a key to the key's first.
    keyed = sketches.selectExpr("node", "explode(keys) as key")
    return keyed.repartition("key").mapInArrow(star_rows, "upper bigint, lower bigint")


def _decided(
    sketches: "DataFrame",
    components: "DataFrame",
    buckets: int,
    policy: DedupPolicy,
    names: tuple[str, ...],
) -> "DataFrame":
    from pyspark.sql import functions as fn

    bucket = fn.pmod(fn.xxhash64("component"), fn.lit(buckets)).alias("bucket")
    placed = sketches.join(components.select("node", bucket), "node").drop("node")
    large = sketches.sparkSession.conf.get("spark.sql.execution.arrow.useLargeVarTypes") == "true"
    text = pa.large_string() if large else pa.string()
    fields = [(field.name, text if field.type == pa.string() else field.type) for field in DECISIONS]
    schema = pa.schema([*fields, ("clash", pa.bool_())])

    def decide(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # Spark goes by the types
        for decided in decide_rows(rows, policy, names):
            yield decided.cast(schema)

    return placed.groupBy("bucket").applyInArrow(decide, _DECIDED)


def _alone(sketches: "DataFrame", components: "DataFrame") -> "DataFrame":
    # What shares nothing is kept; what is not current is dropped for that.
    from pyspark.sql import functions as fn

    columns = {name: fn.col(name) for name in _NAMES}
    columns["verdict"] = fn.when(fn.col("why").isNull(), "kept").otherwise("dropped")
    columns["reason"] = fn.col("why")
    columns |= {name: fn.lit(None).cast("string") for name in ("kept_id", "kept_source", "kept_locator")}
    columns["jaccard"] = fn.lit(None).cast("double")
    columns["clash"] = fn.lit(False)
    rest = sketches.join(components, "node", "left_anti")
    return rest.select(*(value.alias(name) for name, value in columns.items()))
