"""The decisions of `deduplicated_documents` made on Spark, from the same tables and with the same outcome.

Here: what Spark reads, and its answer put back in the order of the rows. Not here: the engine (`dedup.spark`).
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.spark import deduplicate_on_spark, read_batch, write_by_batch
from ddd_llm.corpus.dedup.spark_session import SparkFailed, spark_session
from ddd_llm.platform.step import Step
from ddd_llm.store.session import Held

COLUMNS = ["id", "source", "locator", "date", "quality", "text"]


def decide_on_spark(
    step: Step, master: str, policy: DedupPolicy, governed: Sequence[Held], whys: Sequence[pa.Array]
) -> Iterator[pa.Table]:
    """A table of decisions per batch, in the order of its rows; Spark has made all of them once this returns.

    Documents go to Spark as Parquet files in the step's scratch folder and decisions come back so, a batch at a time: all
    executors must be able to read and write it. On a cluster, DDD_LLM_HOME lies on a shared file system.

    Raises:
        SparkUnavailable, SparkFailed: as the session says.
        ValueError: a batch names one place twice.
    """
    names = [held.record.partition or "" for held in governed]
    folder = step.scratch() / "spark"
    folder.mkdir(exist_ok=True)
    paths = []
    for number, (held, why) in enumerate(zip(governed, whys, strict=True)):
        rows = step.store.read_table(held.record.tables["documents"], COLUMNS)
        if len(_places(rows).unique()) < len(rows):
            raise ValueError(f"batch {names[number]} names one place twice")
        rows = rows.append_column("batch", pa.repeat(pa.scalar(names[number]), len(rows))).append_column("why", why)
        paths.append(str(folder / f"batch{number:05}.parquet"))
        pq.write_table(rows, paths[-1])
    answers = folder / "decisions"
    with spark_session(master) as session:
        write_by_batch(deduplicate_on_spark(session, paths, policy, names), str(answers), names)
    return (_in_order(step, held, read_batch(answers, number)) for number, held in enumerate(governed))


def _in_order(step: Step, held: Held, decisions: pa.Table) -> pa.Table:
    wanted = _places(step.store.read_table(held.record.tables["documents"], ["source", "locator"]))
    order = pc.index_in(wanted, value_set=_places(decisions))
    if len(decisions) != len(wanted) or order.null_count:
        raise SparkFailed(
            f"batch {held.record.partition}: {len(wanted)} documents, and {len(decisions)} decisions came back: can all "
            "executors write to this installation's folder, and this process read it?"
        )
    return decisions.take(order)


def _places(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["source"], rows["locator"], "\0")
