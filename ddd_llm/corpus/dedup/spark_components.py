"""Connected components of a graph on Spark.

Here: from edges to the least node of every node's component. Not here: which documents are joined by an edge (`spark`).

Alternating large-star and small-star (R. Kiveris, S. Lattanzi, V. Mirrokni, V. Rastogi, S. Vassilvitskii, Connected
Components in MapReduce and Beyond, SoCC 2014): every node hands its neighbours to the least one it knows of. Both steps
keep components as they are. They end: an edge changes only into edges that make the sum over all distinct edges of both
ends smaller, and that sum is an integer not below 0. They end right: where neither step changes an edge, the lower end of
each has no lower neighbour and the upper end no other lower one, so that every component is a star around its least node.
The number of rounds is that until nothing changed, which is counted; in practice it grows with the logarithm of the
longest path. No step makes pairs of a node's neighbours, so that work per round is linear in the edges.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def connected_components(edges: "DataFrame") -> "DataFrame":
    """The component of every node of a graph.

    Args:
        edges: columns `upper, lower` (long, at least 0); equal ends and repeats are ignored.

    Returns:
        `node, component` (long), a row for every node that an edge joins to another; a component goes by its least node.
    """
    from pyspark.sql import functions as fn

    ends = edges.where("upper <> lower").select(
        fn.greatest("upper", "lower").alias("upper"), fn.least("upper", "lower").alias("lower")
    )
    state = cut(ends)  # repeats go in the first round
    while True:
        state = cut(_small_star(_large_star(state)))
        if state.where("changed").isEmpty():
            break
    centres = state.select(fn.col("lower").alias("node")).distinct()
    return cut(
        state.select(fn.col("upper").alias("node"), fn.col("lower").alias("component")).unionByName(
            centres.withColumn("component", fn.col("node"))
        )
    )


def cut(frame: "DataFrame") -> "DataFrame":
    """`frame`, computed once and kept, so that its plan does not grow and nothing is computed twice.

    In the session's checkpoint folder (`spark.checkpoint.dir`) if it has one, else on the executors.
    """
    if frame.sparkSession.conf.get("spark.checkpoint.dir", None):
        return frame.checkpoint()
    return frame.localCheckpoint()


def _large_star(edges: "DataFrame") -> "DataFrame":
    # Each node's greater neighbours are joined to the least of it and its neighbours.
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    both = edges.select(fn.col("upper").alias("node"), fn.col("lower").alias("other")).unionByName(
        edges.select(fn.col("lower").alias("node"), fn.col("upper").alias("other"))
    )
    least = fn.least(fn.min("other").over(Window.partitionBy("node")), fn.col("node"))
    return (
        both.withColumn("least", least)
        .where("other > node")
        .select(fn.col("other").alias("upper"), fn.col("least").alias("lower"), fn.expr("least < node as changed"))
    )


def _small_star(edges: "DataFrame") -> "DataFrame":
    # Each node and its lesser neighbours are joined to the least of these. Every edge given leaves one with its mark.
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    least = fn.min("lower").over(Window.partitionBy("upper"))
    made = fn.array(
        fn.struct("upper", fn.col("least").alias("lower"), "changed"),
        fn.struct(fn.col("lower").alias("upper"), fn.col("least").alias("lower"), fn.lit(True).alias("changed")),
    )
    return (
        edges.withColumn("least", least)
        .select(fn.explode(made).alias("edge"))
        .select("edge.*")
        .where("upper <> lower")
        .groupBy("upper", "lower")
        .agg(fn.max("changed").alias("changed"))
    )
